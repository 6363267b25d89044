"""Tokenizer files of a folder: copying them, and what config.json must say about them."""

import shutil
from pathlib import Path

from taixue.base import UserError

FILES = (
    "taixue_tokenizer.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "vocab.txt",
)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy what a tokenizer is made of, and nothing else. Raises UserError when there is nothing."""
    names = [name for name in FILES if (source / name).is_file()]
    if not names:
        raise UserError(f"{source}: no tokenizer; expected one of {', '.join(FILES)}")
    for name in names:
        shutil.copyfile(source / name, target / name)
