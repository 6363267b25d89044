"""What Taixue computes, as small values that can be kept: the items of recorded.json, by name.

Everything is made from the sample text by the `taixue` command itself, with the presets of configs/. Only the imports
below know where the code lives.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from safetensors.numpy import load_file

from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.launch.cli import main
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.data import open_data
from taixue.pretrain.knowledge import Graph, Vectors
from taixue.pretrain.knowledge.vectors import save_vectors
from taixue.pretrain.models import model_spec
from taixue.pretrain.objectives import build_objective

from .cases import CORPORA, MODELS, OBJECTIVES, RUNS, TOKENIZERS

ROOT = Path(__file__).parents[2]
SAMPLES = np.r_[0:24, 997, 10_000, 123_456]
"""First samples, and some of later epochs."""
_CLOCK = ("seconds", "per_second", "_wait", "memory", "time")


class Home:
    """A folder in which tokenizers, corpora and runs are made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._statuses: dict[str, int] = {}

    def tokenizer(self, name: str) -> Path:
        preset, overrides = TOKENIZERS[name]
        words = ["--inputs", str(ROOT / "data_tools/sample/*.jsonl"), *overrides]
        return self._made(
            f"tokenizer-{name}", lambda out: ["tokenizer", "train", preset, *words, "--output", out]
        )

    def corpus(self, name: str) -> Path:
        preset, tokenizer, overrides = CORPORA[name]
        words = ["--tokenizer", str(self.tokenizer(tokenizer)), "--workers", "1"]
        text = self._dirty if name == "t5-clean" else ROOT / "data_tools/sample/*.jsonl"
        words += ["--sources.0.inputs", str(text), *overrides]
        return self._made(f"corpus-{name}", lambda out: ["corpus", "build", preset, *words, "--output", out])

    def run(self, name: str) -> Path:
        """The folder of a finished run, trained by this process."""
        values = self.values(**RUNS[name], name=f"run-{name}", runs=str(self._folder))
        config = self._folder / f"{name}.yaml"
        config.write_text(json.dumps(values))
        return self._made(f"run-{name}", lambda out: ["train", str(config)])

    def export(self, name: str) -> Path:
        return self._made(f"export-{name}", lambda out: ["export", str(self.run(name)), out])

    def values(self, corpora: Iterable[str], **changes: Any) -> dict[str, Any]:
        """Values of a RunConfig on these corpora; `vectors` stands for a folder of entity vectors."""
        sources = [{"corpus": str(self.corpus(name))} for name in corpora]
        tokenizer = self.tokenizer(CORPORA[next(iter(corpora))][1])
        if changes.pop("vectors", False):
            changes["knowledge"] = {"vectors": str(self._vectors), "rare_per_million": 1e6, "rare_share": 1.0}
        return {"data": {"tokenizer": str(tokenizer), "sources": sources}} | changes

    def _made(self, name: str, words: Callable[[str], list[str]]) -> Path:
        """The folder that a command makes, which is run once. AssertionError when it fails, or failed before."""
        out = self._folder / name
        if name not in self._statuses:
            with _undisturbed():
                self._statuses[name] = main(words(str(out)))
        assert self._statuses[name] == 0, f"the command failed: taixue {' '.join(words(str(out)))}"
        return out

    @cached_property
    def _dirty(self) -> Path:
        """The sample, with what cleaning is for: copies, near copies, repeated lines, markup, addresses, other text."""
        lines = [
            line for path in sorted((ROOT / "data_tools/sample").glob("*.jsonl")) for line in path.open()
        ]
        texts = [json.loads(line)["text"] for line in lines]
        for number, text in enumerate(texts[::6]):
            texts += [text] if number % 2 else [text[:-2] + "啊。"]
            texts += [f"<p>{text}</p>&nbsp;来信：name{number}@example.com，电话１３８００１３８{number:03}。"]
            texts += [
                f"{text[:60]}\n{texts[number].splitlines()[0]}",
                f"Lorem ipsum {number} dolor sit amet. " * 9,
            ]
        path = self._folder / "dirty.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        return path

    @cached_property
    def _vectors(self) -> Path:
        graph = Graph(("长城", "北京", "长江", "杭州"), ("在", "经过"), np.array([[0, 0, 1], [2, 1, 3]]))
        draw = np.random.Generator(np.random.PCG64(1))
        entities, relations = (draw.random((rows, 4), dtype=np.float32) - np.float32(0.5) for rows in (4, 2))
        save_vectors(Vectors(graph, entities, relations), self._folder / "vectors", {})
        return self._folder / "vectors"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """One thread, so that sums have one order; and afterwards logging and threads as they were."""
    threads, log = torch.get_num_threads(), logging.getLogger("taixue")
    handlers, level, propagate = log.handlers, log.level, log.propagate
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what a tokenizer or a corpus is; reports and manifests, which name paths and versions, are not it."""
    names = (".bin", ".idx", ".ann", ".model", ".txt", "tokenizer.json", "tokenizer_config.json")
    paths = [path for path in sorted(folder.iterdir()) if path.name.endswith(names)]
    kept = [path for path in paths if path.name != "taixue_tokenizer.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def array_digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of names, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def samples(home: Home, name: str) -> dict[str, Any]:
    """What a run with this objective is fed, and the digest by which it would know its data again."""
    run = RunConfig.model_validate(home.values(**OBJECTIVES[name]))
    tokenizer = load_tokenizer(run.data.tokenizer)
    data = open_data(run, tokenizer, build_objective(run.objective, tokenizer))
    batch = data.batch(SAMPLES)
    return {
        "arrays": {key: [array.dtype.name, *array.shape] for key, array in sorted(batch.items())},
        "train": array_digest(batch),
        "validation": {
            source: array_digest(held_out[range(len(held_out))])
            for source, held_out in data.validation().items()
        },
        "fingerprint": data.fingerprint,
    }


def initial_weights(home: Home, name: str) -> dict[str, Any]:
    """Names of the parameters, and their first values."""
    config = RunConfig.model_validate({"model": MODELS[name]}).model
    spec = model_spec(config, seed=1, lengths=(32, 16))
    shapes = {key: tuple(weight.shape) for key, weight in spec.build(None).named_parameters()}
    weights = {key: spec.init(key, shape).numpy() for key, shape in shapes.items()}
    names = "\n".join(sorted(weights))
    return {
        "count": len(weights),
        "names": hashlib.sha256(names.encode()).hexdigest(),
        "weights": array_digest(weights),
    }


def training(home: Home, name: str) -> dict[str, list[Any]]:
    """metrics.jsonl by column: losses, gradient norms, learning rates, held-out losses; nothing of the clock."""
    columns: dict[str, list[Any]] = {}
    for line in (home.run(name) / "metrics.jsonl").read_bytes().splitlines():
        record = orjson.loads(line)
        for key, value in record.items():
            if "save_seconds" not in record and not any(part in key for part in _CLOCK):
                columns.setdefault(key, []).append(value)
    return columns


def exported_config(home: Home, name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((home.export(name) / "config.json").read_bytes())
    return config


def exported_tensors(home: Home, name: str) -> dict[str, list[Any]]:
    """Of each tensor: dtype, shape, norm, and a sum with rising weights, which notices values that changed places.

    Not the bytes: the last bit of a trained weight may be another on another processor.
    """
    return {
        key: [array.dtype.name, *array.shape, *_sums(array.astype(np.float64).ravel())]
        for key, array in sorted(load_file(home.export(name) / "model.safetensors").items())
    }


def _sums(values: np.ndarray) -> list[float]:
    rising = 1 + np.arange(len(values)) / len(values)
    return [float(np.sqrt((values**2).sum())), float((np.abs(values) * rising).sum())]  # no cancellation


def tokenizer(home: Home, name: str) -> dict[str, str]:
    return file_digests(home.tokenizer(name))


def corpus(home: Home, name: str) -> dict[str, str]:
    return file_digests(home.corpus(name))


_EXPORTED = ("t5-v1.1", "bert-post")
_GROUPS: dict[str, tuple[Callable[..., Any], Iterable[str]]] = {
    "tokenizer": (tokenizer, TOKENIZERS),
    "corpus": (corpus, CORPORA),
    "samples": (samples, OBJECTIVES),
    "weights": (initial_weights, MODELS),
    "training": (training, RUNS),
    "export/config": (exported_config, _EXPORTED),
    "export/tensors": (exported_tensors, _EXPORTED),
}
ITEMS: dict[str, Callable[[Home], Any]] = {
    f"{group}/{name}": partial(compute, name=name)
    for group, (compute, names) in _GROUPS.items()
    for name in names
}
