"""Who is evaluated, and what it is asked: a checkpoint of a run, or a Hugging Face folder."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from taixue.base import UserError
from taixue.base.load import load

from ..config.schema import KnowledgeConfig, MlmConfig, ModelConfig, ObjectiveConfig, RunConfig, SourceConfig
from ..export.hf_folder import read_hf
from ..export.trained import read_trained
from ..models import FAMILIES
from ..objectives.config import DERIVED
from ..run.contents import CHECKPOINTS, CONFIG

_LENGTH = 512
"""Tokens of a sample, where neither a run nor the model says."""


@dataclass(frozen=True)
class Subject:
    """A model with its weights by our names. sources and knowledge: those of its run; none of a folder."""

    words: str
    model: ModelConfig
    weights: dict[str, Tensor]
    objective: ObjectiveConfig
    tokenizer: str
    sources: tuple[SourceConfig, ...]
    knowledge: KnowledgeConfig


def read_subject(place: Path, which: str, objective: str) -> Subject:
    """What is in `place`: a run folder (which: see export/chosen.py), a checkpoint of one, or a Hugging Face folder.

    objective: a configuration or a run folder whose objective is asked; empty: the run's own, or that which usually
    trains the family. UserError.
    """
    asked = _objective_of(objective) if objective else None
    if (place / "config.json").is_file():
        if which:
            raise UserError(f"--which {which}: {place} is a Hugging Face folder, which holds one model")
        return _of_folder(place, asked)
    if not place.is_dir():
        raise UserError(
            f"{place}: no such folder; expected a run, a checkpoint of one or a Hugging Face folder"
        )
    trained = read_trained(place, which)
    run = trained.run
    return Subject(
        f"{run.name}, {trained.chosen}",
        run.model,
        trained.weights,
        _fitted(asked or run.objective),
        run.data.tokenizer,
        run.data.sources,
        run.knowledge,
    )


def _of_folder(folder: Path, asked: ObjectiveConfig | None) -> Subject:
    model, weights = read_hf(folder)
    family = FAMILIES.of(model)
    length = min(_LENGTH, family.longest(model) or _LENGTH)
    usual = {"kind": family.objectives[0], "input_length": length}
    if usual["kind"] == MlmConfig().kind:
        usual["sentence_order"] = False  # a second head may have learned something else
    objective = asked or RunConfig.model_validate({"model": model, "objective": usual}).objective
    ordered = getattr(objective, "sentence_order", False)
    lacking = sorted(
        {name.split(".")[0] for name in weights.fresh} - ({"pooler", "sop_head"} if not ordered else set())
    )
    if lacking:
        raise UserError(
            f"{folder}: has no {' and no '.join(lacking)}, which pretraining's predictions are made with: nothing that "
            "it has learned could be measured"
        )
    return Subject(folder.name, model, weights.state, _fitted(objective), str(folder), (), KnowledgeConfig())


def _objective_of(place: str) -> ObjectiveConfig:
    folder = Path(place)
    if (folder / CHECKPOINTS).is_dir():
        return load(RunConfig, folder / CONFIG).objective
    return load(RunConfig, place).objective


def _fitted(objective: ObjectiveConfig) -> ObjectiveConfig:
    """Switches that follow from the model are left to it: another one may be asked the same."""
    return objective.model_copy(update={name: None for name in DERIVED if hasattr(objective, name)})
