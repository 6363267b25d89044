"""torchrun's agent without its report: `python -m taixue.launch.agent`, torchrun's arguments.

It ends with the status of the first rank that failed, 128 + n after signal n; torchrun's own command would add a
traceback to a rank's short message, and ends with 1 whatever happened.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

_AGENTS_OWN_SECONDS = 30


def main(arguments: Sequence[str]) -> int:
    """Run the ranks. --shutdown-timeout SECONDS: how long they may save after a signal, with any version of torch."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig
    from torch.distributed.run import parse_args, run

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    words = list(arguments)
    if not hasattr(LaunchConfig, "shutdown_timeout"):
        words = _patient(words)
    try:
        run(parse_args(words))
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0


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
