"""The weights of a Hugging Face folder (continual pretraining)."""

import hashlib
import logging
from pathlib import Path

from taixue.base import UserError, files
from taixue.base.section import Harmless, PretrainingOnly, marked
from taixue.parallel.engine import Engine

from ..config.schema import ModelConfig
from ..export.config import carried
from ..export.hf_folder import read_hf, read_json
from ..models import ModelSpec
from ..models.hugging_face import is_extra
from ..run.history import Origin

log = logging.getLogger("taixue")


def take(folder: str, model: ModelConfig, engine: Engine, spec: ModelSpec) -> None:
    """Set the weights to those of `folder`; what serves pretraining only starts as in a new run. No communication.

    Raises UserError if its model is another one than `model`.
    """
    config, (tensors, fresh, left) = read_hf(Path(folder))
    theirs, ours = config.model_dump(), model.model_dump()
    may_differ = marked(type(model), Harmless) | marked(type(model), PretrainingOnly)
    for key in ours:
        if key not in may_differ and theirs.get(key) != ours[key]:
            raise UserError(
                f"init_from: {folder} has model.{key} = {theirs.get(key)!r}, the configuration says {ours[key]!r}: "
                f"set model.{key} to {theirs.get(key)!r}"
            )
    if fresh:
        log.info("not in %s, starts untrained: %s", folder, ", ".join(fresh))
    if left:
        log.info("left behind in %s, of a task: %s", folder, ", ".join(left))
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
    said = carried(read_json(Path(folder) / "config.json"))
    return Origin(kind="folder", path=str(Path(folder).resolve()), digest=digest, config=said)
