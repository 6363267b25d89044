"""Documents of a piece of a file, whatever its format."""

from collections import Counter
from collections.abc import Callable, Iterator

from taixue.base import UserError

from . import delimited, lines, tables, warc
from .find import whole
from .kinds import file_format
from .records import DamagedError, Piece, ReadOptions, Reject, Rejected

_READERS: dict[str, Callable[[Piece, ReadOptions, Reject, Counter[str]], Iterator[str]]] = {
    ".txt": lines.texts,
    ".jsonl": lines.json_texts,
    ".json": lines.json_texts,
    ".csv": delimited.texts,
    ".tsv": delimited.texts,
    ".parquet": tables.parquet_texts,
    ".arrow": tables.arrow_texts,
    ".warc": warc.texts,
    ".wet": warc.texts,
}
_CHARACTERS_TOGETHER = 1 << 18


def documents(
    piece: Piece,
    options: ReadOptions | str,
    reject: Callable[[Rejected], None],
    converted: Counter[str] | None = None,
) -> Iterator[str]:
    """Texts of a piece, in file order, one by one; `batches` says the rest."""
    for texts in batches(piece, options, reject, converted):
        yield from texts


def batches(
    piece: Piece,
    options: ReadOptions | str,
    reject: Callable[[Rejected], None],
    converted: Counter[str] | None = None,
) -> Iterator[list[str]]:
    """Texts of a piece, in file order, several at a time; a string in place of options is the text field.

    Every line, row or record that cannot be used goes to reject with its place and reason: it neither ends the
    run nor disappears. So does, as line 0, a file in which nothing was found at all. converted counts lines by the
    encoding they were converted from.
    UserError when the file is truncated, damaged or unreadable, and when every one of its lines was rejected; with
    options.damaged "skip" that is one more rejected line (number 0: the file as a whole).
    """
    options = ReadOptions(options) if isinstance(options, str) else options
    good, bad = 0, 0
    first: Rejected | None = None
    is_told = False  # something about the file as a whole

    def note(line: int, reason: str, last: int = 0) -> None:
        nonlocal bad, first, is_told
        rejected = Rejected(piece.path, line, reason, last or line)
        if line:
            bad += 1
            first = first or rejected
        else:
            is_told = True
        reject(rejected)

    if piece.end == 0:
        reject(Rejected(piece.path, 0, "the file is empty"))
        return
    try:
        for texts in _read(piece, options, note, Counter() if converted is None else converted):
            good += len(texts)
            yield texts
    except DamagedError as error:
        if options.damaged == "stop":
            raise UserError(f"{piece.path}: {error}") from None
        note(0, f"{error}; {good} documents came before")
    if not good and not bad and not is_told and piece == whole(piece.path):
        reject(Rejected(piece.path, 0, "the file holds no document"))
    if first and not good and options.damaged == "stop":
        more = "; text_field names the one with the text" if first.reason.startswith("no field") else ""
        raise UserError(
            f"{piece.path}: none of its {bad} lines is a document; the first: line {first.line}: {first.reason}{more}"
        )


def _read(piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]) -> Iterator[list[str]]:
    """Handing texts over one by one would cost as much as parsing them."""
    together: list[str] = []
    size = 0
    try:
        for text in _READERS[file_format(piece.path)](piece, options, reject, converted):
            together.append(text)
            size += len(text)
            if size >= _CHARACTERS_TOGETHER:
                yield together
                together, size = [], 0
    except DamagedError:
        yield together  # what came before the damage
        raise
    yield together
