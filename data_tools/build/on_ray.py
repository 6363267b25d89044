"""Tasks on a Ray cluster (extra `ray`): its scheduler, its retries, nodes that come and go, its dashboard.

Nodes share the folders of inputs and output under the same names, as ranks do, and have the same code. A task needs one
core; what is kept between tasks (tokenizer, lexicons) is kept by Ray's worker processes.
"""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from typing import Any

from taixue.base import UserError
from taixue.base.registry import extended

from .workers import Runnable

_RETRIES = 3
_SIGHT_SECONDS = 60.0  # a network file system may take this long to show one node what another has written


class RayCluster:
    """The cluster that RAY_ADDRESS names or this machine belongs to; without one, one of this machine."""

    def __init__(self, most: int) -> None:
        """most: tasks at one time; 0: as many as the cluster has cores. UserError without Ray."""
        try:
            import ray
        except ImportError:
            raise UserError("--on ray needs Ray: pip install 'taixue-pretrain[ray]'") from None
        if extended():
            raise UserError(
                "--on ray: what this script registers is not known on the nodes of a cluster; build on this machine or "
                "on ranks that torchrun, Slurm or mpirun starts"
            )
        self._ray, self._most = ray, most
        self._is_ours = False

    def __enter__(self) -> "RayCluster":
        if not self._ray.is_initialized():
            try:
                self._ray.init(log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise UserError(f"--on ray: no cluster can be joined: {str(error).splitlines()[0]}") from None
            self._is_ours = True
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def run(self, tasks: Sequence[Runnable]) -> Iterator[int]:
        """See Executor."""
        ray = self._ray
        work = ray.remote(num_cpus=1, max_retries=_RETRIES, retry_exceptions=False)(_work)
        together = ray.put(list(tasks))  # once, for what they have in common
        waiting = list(reversed(range(len(tasks))))
        running: dict[Any, Runnable] = {}
        try:
            while waiting or running:
                while waiting and len(running) < (self._most or self._room()):
                    number = waiting.pop()
                    named = work.options(name=str(tasks[number]))
                    running[named.remote(together, number, os.getcwd())] = tasks[number]
                for done in ray.wait(list(running))[0]:
                    yield self._result(done, running.pop(done))
        finally:
            for left in running:
                ray.cancel(left, force=True)

    def _room(self) -> int:
        """Twice the cores there are now: what waits shows Ray that more nodes would be of use."""
        return max(1, 2 * int(self._ray.cluster_resources().get("CPU", 1)))

    def _result(self, done: Any, task: Runnable) -> int:
        errors = self._ray.exceptions
        try:
            amount, node = self._ray.get(done)
        except errors.RayTaskError as error:
            error.cause.add_note(f"on a node of the cluster:\n{error}")
            raise error.cause from None
        except errors.RayError as error:
            raise UserError(
                f"Ray lost {task} {_RETRIES + 1} times, at last: {str(error).splitlines()[0]}; when memory ran out, "
                "use smaller shards or fewer tasks at a time (workers). What is finished is kept: run the same "
                "command again"
            ) from None
        end = time.monotonic() + _SIGHT_SECONDS
        while not task.is_finished():
            if time.monotonic() > end:
                raise UserError(
                    f"node {node} has made {task}, which is not seen on {platform.node()}: output must be a folder "
                    "that all nodes share, under the same name"
                )
            time.sleep(0.2)
        return int(amount)


def _work(tasks: Sequence[Runnable], number: int, folder: str) -> tuple[int, str]:
    """Runs on a node: (amount done, name of the node)."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    node = platform.node()
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"node {node} has no folder {folder} ({error.strerror}): all nodes must see the folder where the build is "
            "started, under the same name"
        ) from None
    return sum(tasks[number].run()), node
