"""What commands make of their words: CONFIG with overrides, and options of their own."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from taixue.base import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel

    Config = TypeVar("Config", bound=BaseModel)


def configured(cls: "type[Config]", command: str, words: list[str], example: str = "") -> "Config | None":
    """CONFIG and overrides to a `cls`; None when help was asked for, and given.

    example: preset whose values stand for the defaults in the help of a class that has none of its own.
    """
    from taixue.base.load import load, show_help

    wants_help = bool({"-h", "--help"} & set(words))
    rest = [word for word in words if word not in ("-h", "--help")]
    if rest and not rest[0].startswith("--"):
        config = load(cls, rest[0], rest[1:])
        if not wants_help:
            return config
        show_help(cls, f"taixue {command} {rest[0]}", config)
        return None
    if wants_help:
        show_help(cls, f"taixue {command} CONFIG", load(cls, example) if example else None)
        return None
    raise UserError(
        f"taixue {command} needs a CONFIG: a YAML file or a preset; see `taixue {command} --help`"
    )


def split(
    words: list[str], command: str, add: Callable[[argparse.ArgumentParser], object]
) -> tuple[argparse.Namespace, list[str]]:
    """Take a command's own options out of the words; the rest is CONFIG and overrides. Help on them comes first."""
    parser = argparse.ArgumentParser(f"taixue {command}", add_help=False, allow_abbrev=False)
    add(parser.add_argument_group(f"options of {command}"))  # type: ignore[arg-type]  # it adds like a parser
    if {"-h", "--help"} & set(words):
        print(parser.format_help().split("\n\n", 1)[1])
    return parser.parse_known_args(words)
