"""Taixue (太学): pretraining of encoder-decoder (T5-style) and BERT-style language models, Chinese first.

`register` and `main` make a program of a user's own script: docs/extending.md.
"""

import os
from collections.abc import Sequence
from typing import Any

from .base import UserError, __version__

__all__ = ["UserError", "__version__", "main", "register"]

if os.environ.get("TAIXUE_KERNELS") == "interpret":
    os.environ["TRITON_INTERPRET"] = (
        "1"  # triton reads it when it is first imported, which torch may be about to do
    )


def register(record: Any) -> None:
    """Make a record of your own (Family, ObjectiveKind, OptimizerKind, ScheduleKind, SinkKind, MeasureKind) one that
    configurations can name. At the top of a script, before anything else: worker processes run that part, too.

    TypeError or ValueError, with what is wrong, when it cannot be registered.
    """
    from .base.registry import register

    register(record)


def main(arguments: Sequence[str] | None = None) -> int:
    """The `taixue` command in a script of your own, whose ranks run that script again; returns the exit status.

    To be called below `if __name__ == "__main__":`. RuntimeError in a worker process, which imports the script.
    """
    from .launch.cli import main_of_script

    return main_of_script(arguments)
