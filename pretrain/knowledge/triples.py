"""Knowledge graphs from a TSV of triples: head, relation, tail."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taixue.base import UserError


@dataclass(frozen=True)
class Graph:
    """Names of entities and relations by number, and triples int64 (N, 3) of (head, relation, tail), each once, in
    the order in which they were first named.
    """

    entities: tuple[str, ...]
    relations: tuple[str, ...]
    triples: np.ndarray

    def keys(self, triples: np.ndarray) -> np.ndarray:
        """int64 (...): one number for each triple (..., 3)."""
        relations, entities = len(self.relations), len(self.entities)
        result: np.ndarray = (triples[..., 0] * relations + triples[..., 1]) * entities + triples[..., 2]
        return result


def read_triples(path: str | Path) -> Graph:
    """Read a file with one `head<TAB>relation<TAB>tail` a line; empty lines and lines that begin with # are skipped.

    UserError, naming the line, for what is not a triple or not UTF-8, and for a file without triples.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise UserError(f"triples {path}: cannot be read: {error.strerror}") from None
    entities: dict[str, int] = {}
    relations: dict[str, int] = {}
    triples: dict[tuple[int, int, int], None] = {}
    for number, raw in enumerate(lines, 1):
        head, relation, tail = _fields(raw, f"triples {path}, line {number}") or ("", "", "")
        if head:
            triples[
                entities.setdefault(head, len(entities)),
                relations.setdefault(relation, len(relations)),
                entities.setdefault(tail, len(entities)),
            ] = None
    if not triples:
        raise UserError(
            f"triples {path}: no triple in {len(lines)} lines; expected head<TAB>relation<TAB>tail"
        )
    return Graph(tuple(entities), tuple(relations), np.array(list(triples), np.int64))


def _fields(raw: bytes, where: str) -> tuple[str, str, str] | None:
    """The three names of a line; None for one to skip."""
    try:
        line = raw.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 (byte {error.start})") from None
    if not line.strip() or line.startswith("#"):
        return None
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) != 3:
        raise UserError(f"{where}: {len(fields)} columns; expected 3: head<TAB>relation<TAB>tail")
    if not all(fields):
        name = ("head", "relation", "tail")[fields.index("")]
        raise UserError(f"{where}: the {name} is empty")
    return fields[0], fields[1], fields[2]
