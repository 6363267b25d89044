"""Taixue (太学): pretraining of encoder-decoder (T5-style) and BERT-style language models, Chinese first."""

import os

__version__ = "0.1.0"

if os.environ.get("TAIXUE_KERNELS") == "interpret":
    os.environ["TRITON_INTERPRET"] = (
        "1"  # triton reads it when it is first imported, which torch may be about to do
    )


class UserError(Exception):
    """A mistake the user can mend: bad configuration, data or environment.

    The message says what is wrong, where, both numbers, and what would be legal. Every entry point prints it
    without a traceback and exits with status 2. Bugs of ours raise anything else.
    """
