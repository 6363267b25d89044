"""torchrun's agent without its report: `python -m taixue.launch.agent`, torchrun's arguments.

It ends with the status of the rank whose failure is the cause, 128 + n after signal n, and says that cause in a few
lines (cause.py); torchrun's own command would add a traceback to a rank's short message, and ends with 1 whatever
happened. A second Ctrl-C kills the ranks at once.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from types import FrameType
from typing import Any

from taixue.base import UserError

from .cause import Ended, first_cause, kills_for_memory, lines

_AGENTS_OWN_SECONDS = 30


def main(arguments: Sequence[str]) -> int:
    """Run the ranks. --shutdown-timeout SECONDS: how long they may save after a signal, with any version of torch."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while nothing has begun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig
    from torch.distributed.run import parse_args, run

    logging.disable(logging.ERROR)  # torch's own words on what is told below
    words = list(arguments)
    if not hasattr(LaunchConfig, "shutdown_timeout"):
        words = _patient(words)
    _stop_at_once_when_asked_twice()
    killed_before = kills_for_memory()
    options = parse_args(words)
    try:
        _refuse_strangers(options.rdzv_endpoint)
        run(options)
    except UserError as error:
        say([str(error)])
        return 2
    except ChildFailedError as error:
        ended = [
            Ended.read(rank, one.exitcode, one.timestamp, one.error_file)
            for rank, one in error.failures.items()
        ]
        say(lines(ended, kills_for_memory() > killed_before))
        status = first_cause(ended).status
        return status if status > 0 else 128 - status
    except SignalException as error:
        return 128 + error.sigval
    return 0


def _refuse_strangers(endpoint: str) -> None:
    """UserError if another program listens where the agents of several machines meet: torch would wait in silence."""
    from taixue.parallel.rendezvous import connected, listens

    address, _, port = endpoint.rpartition(":")
    if port.isdecimal() and int(port) and listens(address, int(port)):
        remedy = "give all machines HEAD=<host>:<a free port>"
        connected(address, int(port), 1, False, timedelta(seconds=600), remedy)


def say(messages: Sequence[str]) -> None:
    """Lines on stderr, whoever reads it."""
    with suppress(OSError):
        os.write(2, "".join(f"taixue: {message}\n" for message in messages).encode())


def _stop_at_once_when_asked_twice() -> None:
    """Make torch's agent say what the first SIGINT does, and kill its ranks at the second: they may be stuck."""
    from torch.distributed.elastic.multiprocessing import api

    started: list[Any] = []
    start, raises = api.PContext.start, api._terminate_process_handler
    interrupted = False

    def noted_start(self: Any) -> None:
        started.append(self)
        start(self)

    def received(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if number == signal.SIGINT:
            if interrupted:
                for process in (process for context in started for process in context.pids().values()):
                    with suppress(ProcessLookupError):
                        os.killpg(process, signal.SIGKILL)  # each rank leads a group of its own
                os._exit(128 + number)
            interrupted = True
            say(["stopping as soon as the run is saved; Ctrl-C again stops at once"])
        raises(number, frame)

    setattr(api.PContext, "start", noted_start)  # noqa: B010  mypy knows that it is a method
    setattr(api, "_terminate_process_handler", received)  # noqa: B010


def _patient(words: list[str]) -> list[str]:
    """The words without --shutdown-timeout, which torch 2.11 does not know; its agent then waits so long, too."""
    from torch.distributed.elastic.multiprocessing.api import PContext

    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--shutdown-timeout", type=int, default=_AGENTS_OWN_SECONDS)
    # What stands behind the program's name is the program's.
    end = next((k for k, word in enumerate(words) if word == "-m" or word.endswith(".py")), len(words))
    known, rest = options.parse_known_args(words[:end])
    close = PContext.close

    def patient_close(self: Any, death_sig: Any = None, timeout: int = _AGENTS_OWN_SECONDS) -> None:
        close(self, death_sig, known.shutdown_timeout if death_sig is not None else timeout)

    setattr(PContext, "close", patient_close)  # noqa: B010  mypy knows that it is a method
    return [*rest, *words[end:]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
