"""A folder of entity and relation vectors: vectors.safetensors, and graph.json with the names and the triples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from taixue.base import UserError, files

from .triples import Graph

_VECTORS, _GRAPH = "vectors.safetensors", "graph.json"


@dataclass(frozen=True)
class Vectors:
    """A graph and fp32 vectors of width K: entities (E, K), relations (R, K). digest: of both files."""

    graph: Graph
    entities: np.ndarray
    relations: np.ndarray
    digest: str = ""

    @property
    def width(self) -> int:
        return int(self.entities.shape[1])


def save_vectors(vectors: Vectors, folder: Path, report: dict[str, Any]) -> None:
    """Write the folder; each file appears whole. report: how the vectors were made, kept in graph.json."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = vectors.graph
    names = {"entities": graph.entities, "relations": graph.relations, "triples": graph.triples.tolist()}
    tensors = {"entities": vectors.entities, "relations": vectors.relations}
    files.write(folder / _VECTORS, save(tensors))
    files.write(folder / _GRAPH, orjson.dumps(names | {"made": report}))


def load_vectors(folder: str | Path) -> Vectors:
    """Read a folder that save_vectors wrote. UserError when it is not one, or its files do not fit together."""
    folder = Path(folder)
    hint = "make it with `taixue knowledge transe TRIPLES FOLDER`"
    try:
        raw = orjson.loads((folder / _GRAPH).read_bytes())
        tensors = load_file(folder / _VECTORS)
        graph = Graph(
            tuple(raw["entities"]), tuple(raw["relations"]), np.array(raw["triples"], np.int64).reshape(-1, 3)
        )
        vectors = Vectors(graph, tensors["entities"], tensors["relations"], _digest(folder))
    except OSError as error:
        raise UserError(
            f"{folder}: no folder of vectors ({error.strerror}: {error.filename}); {hint}"
        ) from None
    except (orjson.JSONDecodeError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: its files cannot be read ({error}); {hint}") from None
    counts = (len(graph.entities), len(graph.relations))
    if (len(vectors.entities), len(vectors.relations)) != counts or not len(graph.triples):
        raise UserError(
            f"{folder}: {len(vectors.entities)} and {len(vectors.relations)} vectors for {counts[0]} entities and "
            f"{counts[1]} relations in {len(graph.triples)} triples; {hint}"
        )
    return vectors


def _digest(folder: Path) -> str:
    return "".join(files.sha256_of_file(folder / name) for name in (_GRAPH, _VECTORS))
