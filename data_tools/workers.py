"""Tasks on local processes. The task of a worker that dies goes to a new one; a task that ends three workers ends the
work with a clear error. Nothing hangs, nothing is orphaned.

Each worker is a fresh process (spawn: no inherited threads or locks) with its own pipe, and gets one task at
a time.
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
from typing import Generic, Protocol, TypeVar, cast

from taixue import UserError

Task = TypeVar("Task")
_context = get_context("spawn")
_ATTEMPTS = 3


class Runnable(Protocol):
    """A task that knows its work."""

    def run(self) -> Iterator[int]: ...


def run_task(task: Runnable) -> Iterator[int]:
    """The work of tasks that bring their own."""
    return task.run()


@dataclass
class _Worker(Generic[Task]):
    """A process and what it is at."""

    process: BaseProcess
    task: Task
    amount: int = 0


def run(work: Callable[[Task], Iterator[int]], tasks: Sequence[Task], workers: int) -> Iterator[int]:
    """Run the generator work(task) of every task to its end; yield what they yield, as it comes.

    work must be importable and the tasks picklable; a task whose worker dies is run again, so it must be possible to
    run one again after it was killed anywhere, and what it had yielded is taken back by a negative amount. With one
    worker (or task) the work is done in this process. The first exception of a task is raised here; UserError when
    _ATTEMPTS workers died of one task.
    """
    if min(workers, len(tasks)) <= 1:
        for task in tasks:
            yield from work(task)
        return
    waiting = list(reversed(tasks))
    deaths: Counter[int] = Counter()
    busy: dict[Connection, _Worker[Task]] = {}

    def start() -> None:
        ours, theirs = _context.Pipe()
        process: BaseProcess = _context.Process(target=_serve, args=(theirs, work), daemon=True)
        process.start()
        theirs.close()
        busy[ours] = _Worker(process, waiting.pop())
        _send(ours, busy[ours].task)

    try:
        while waiting and len(busy) < workers:
            start()
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
                    waiting.append(worker.task)
                    start()
                    continue
                if isinstance(message, BaseException):
                    raise message
                if message is not None:
                    worker.amount += message
                    yield message
                elif waiting:
                    worker.task, worker.amount = waiting.pop(), 0
                    _send(pipe, worker.task)
                else:
                    del busy[pipe]
                    pipe.close()
                    worker.process.join()
    finally:
        for worker in busy.values():
            worker.process.kill()
            worker.process.join()


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
