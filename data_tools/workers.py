"""Tasks on local processes. A worker that dies ends the work with a clear error; nothing hangs, nothing is
orphaned.

Each worker is a fresh process (spawn: no inherited threads or locks) with its own pipe, and gets one task at
a time.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar, cast

from taixue import UserError

Task = TypeVar("Task")
_context = get_context("spawn")


def run(work: Callable[[Task], Iterator[int]], tasks: Sequence[Task], workers: int) -> Iterator[int]:
    """Run the generator work(task) of every task to its end; yield what they yield, as it comes.

    work must be importable and the tasks picklable. With one worker (or task) the work is done in this
    process. The first exception of a task is raised here; UserError when a worker dies.
    """
    if min(workers, len(tasks)) <= 1:
        for task in tasks:
            yield from work(task)
        return
    waiting = list(reversed(tasks))
    busy: dict[Connection, tuple[BaseProcess, Task]] = {}
    try:
        for _ in range(min(workers, len(tasks))):
            ours, theirs = _context.Pipe()
            process: BaseProcess = _context.Process(target=_serve, args=(theirs, work), daemon=True)
            process.start()
            theirs.close()
            busy[ours] = (process, waiting.pop())
            ours.send(busy[ours][1])
        while busy:
            for ready in wait(list(busy)):
                pipe = cast(Connection, ready)
                process, task = busy[pipe]
                try:
                    message = pipe.recv()
                except EOFError:
                    process.join()
                    raise UserError(_obituary(process.exitcode, task)) from None
                if isinstance(message, BaseException):
                    raise message
                if message is not None:
                    yield message
                elif waiting:
                    busy[pipe] = (process, waiting.pop())
                    pipe.send(busy[pipe][1])
                else:
                    del busy[pipe]
                    pipe.close()
                    process.join()
    finally:
        for process, _ in busy.values():
            process.kill()
            process.join()


def _obituary(code: int | None, task: object) -> str:
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
    return (
        f"a worker process {how} while making {task}; when memory ran out, use fewer workers or "
        "smaller shards. Finished shards are kept: run the same command again"
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
