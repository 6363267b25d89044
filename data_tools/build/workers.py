"""Tasks on local processes. The task of a worker that dies goes to a new one; a task that ends three workers ends the
work with a clear error. Nothing hangs, nothing is orphaned.

Each worker is a fresh process (spawn: no inherited threads or locks) with its own pipe, and gets one task at a time.
"""

import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar, cast

from taixue.base import UserError

Task = TypeVar("Task")
_context = get_context("spawn")
_ATTEMPTS = 3


class Runnable(Protocol):
    """A task that knows its work."""

    def is_finished(self) -> bool: ...

    def run(self) -> Iterator[int]: ...


class Executor(Protocol):
    """Where tasks are done. Used as a context manager around everything that is run."""

    def __enter__(self) -> "Executor": ...

    def __exit__(self, *error: object) -> None: ...

    def run(self, tasks: Sequence[Any]) -> Iterator[int]:
        """Run every task to its end; yield amounts of work as it is done.

        A task whose process or machine is lost is run again elsewhere. The first exception of a task is raised here;
        UserError for a task that is lost again and again.
        """
        ...


def run_task(task: Runnable) -> Iterator[int]:
    """The work of tasks that bring their own."""
    return task.run()


@dataclass
class _Worker(Generic[Task]):
    """A process and what it is at."""

    process: BaseProcess
    task: Task
    amount: int = 0


class Workers(Generic[Task]):
    """Processes that run the generator work(task) of tasks. They start when there is something to do and are kept from
    one `run` to the next, so that what they have loaded is loaded once. Used as a context manager.

    work must be importable and the tasks picklable.
    """

    def __init__(self, work: Callable[[Task], Iterator[int]], count: int) -> None:
        self._work, self._count = work, count
        self._idle: list[tuple[Connection, BaseProcess]] = []

    def __enter__(self) -> "Workers[Task]":
        return self

    def __exit__(self, *error: object) -> None:
        for pipe, _ in self._idle:
            pipe.close()  # the sign to end
        for _, process in self._idle:
            process.join()

    def run(self, tasks: Sequence[Task]) -> Iterator[int]:
        """Run every task to its end; yield what they yield, as it comes.

        A task whose worker dies is run again, so it must be possible to run one again after it was killed anywhere, and
        what it had yielded is taken back by a negative amount. With one worker (or task) the work is done in this
        process. The first exception of a task is raised here; UserError when _ATTEMPTS workers died of one task.
        """
        if min(self._count, len(tasks)) <= 1:
            for task in tasks:
                yield from self._work(task)
            return
        waiting = list(reversed(tasks))
        deaths: Counter[int] = Counter()
        busy: dict[Connection, _Worker[Task]] = {}
        try:
            while waiting and len(busy) < self._count:
                self._give(waiting.pop(), busy)
            while busy:
                for ready in wait(list(busy)):
                    pipe = cast(Connection, ready)
                    worker = busy[pipe]
                    try:
                        message = pipe.recv()
                    except (EOFError, ConnectionError):
                        del busy[pipe]
                        pipe.close()
                        worker.process.join()
                        deaths[id(worker.task)] += 1
                        if deaths[id(worker.task)] == _ATTEMPTS:
                            raise UserError(_obituary(worker.process.exitcode, worker.task)) from None
                        yield -worker.amount
                        self._give(worker.task, busy)
                        continue
                    if isinstance(message, BaseException):
                        raise message
                    if message is not None:
                        worker.amount += message
                        yield message
                        continue
                    del busy[pipe]
                    self._idle.append((pipe, worker.process))
                    if waiting:
                        self._give(waiting.pop(), busy)
        finally:
            for worker in busy.values():
                worker.process.kill()
                worker.process.join()

    def _give(self, task: Task, busy: dict[Connection, _Worker[Task]]) -> None:
        """Let an idle worker, or a new one, begin a task."""
        pipe, process = self._idle.pop() if self._idle else self._start()
        if not process.is_alive():  # ended while it had nothing to do
            pipe.close()
            pipe, process = self._start()
        busy[pipe] = _Worker(process, task)
        _send(pipe, task)

    def _start(self) -> tuple[Connection, BaseProcess]:
        ours, theirs = _context.Pipe()
        process: BaseProcess = _context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        process.start()
        theirs.close()
        return ours, process


def _send(pipe: Connection, task: object) -> None:
    """A worker that is dead already is noticed when it is listened to."""
    with suppress(ConnectionError):
        pipe.send(task)


def _obituary(code: int | None, task: object) -> str:
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
    return (
        f"{_ATTEMPTS} worker processes died while making {task}, the last one {how}; when memory ran out, "
        "use fewer workers or smaller shards. Finished shards are kept: run the same command again"
    )


def _serve(pipe: Connection, work: Callable[[Task], Iterator[int]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        while True:
            for amount in work(pipe.recv()):
                if amount:
                    pipe.send(amount)
            pipe.send(None)
    except EOFError:
        return
    except Exception as error:
        error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        pipe.send(error)


def _follow_parent() -> None:
    """End with the parent, even when that was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
