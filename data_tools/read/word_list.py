"""Word lists: one word or term per line, more after a tab (a frequency) is ignored, as are lines that start with #."""

from pathlib import Path

from taixue.base import UserError

from .wide import wide_encoding

_HEAD = 1 << 13


def read_terms(path: str) -> list[str]:
    """First column of the lines of a word list. UserError when it cannot be read."""
    try:
        content = Path(path).read_bytes()
        lines = content.decode(wide_encoding(content[:_HEAD]) or "utf-8").removeprefix("\ufeff").splitlines()
    except OSError as error:
        raise UserError(f"word list {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"word list {path}: not {error.encoding} (byte {error.start}); save it as UTF-8"
        ) from None
    terms = (line.split("\t")[0].strip() for line in lines)
    return [term for term in terms if term and not term.startswith("#")]
