"""The weights of a Hugging Face folder (continual pretraining)."""

import hashlib
from pathlib import Path

from taixue.base import UserError, files
from taixue.base.section import Harmless, PretrainingOnly, marked
from taixue.parallel.engine import Engine

from ..config.schema import ModelConfig
from ..export import from_hf
from ..models import ModelSpec
from ..models.hugging_face import is_extra
from ..run.history import Origin


def take(folder: str, model: ModelConfig, engine: Engine, spec: ModelSpec) -> None:
    """Set the weights to those of `folder`; what serves pretraining only starts as in a new run. No communication.

    Raises UserError if its model is another one than `model`.
    """
    config, tensors = from_hf(folder)
    theirs, ours = config.model_dump(), model.model_dump()
    may_differ = marked(type(model), Harmless) | marked(type(model), PretrainingOnly)
    for key in ours:
        if key not in may_differ and theirs.get(key) != ours[key]:
            raise UserError(
                f"init_from: {folder} has model.{key} = {theirs.get(key)!r}, the configuration says {ours[key]!r}: "
                f"set model.{key} to {theirs.get(key)!r}"
            )
    section = type(model)
    engine.set_weights(
        lambda name, shape: spec.init(name, shape) if is_extra(section, name) else tensors[name]
    )


def origin(folder: str) -> Origin:
    """`folder` and the digest of what `take` may read of it: names and SHA-256 of config.json and the weight files."""
    patterns = ("config.json", "*.safetensors", "*.bin", "*.index.json")
    found = {path.name: path for pattern in patterns for path in Path(folder).glob(pattern)}
    digests = {name: files.sha256_of_file(path) for name, path in found.items()}
    digest = hashlib.sha256(files.canonical_json(digests)).hexdigest()
    return Origin(kind="folder", path=str(Path(folder).resolve()), digest=digest)
