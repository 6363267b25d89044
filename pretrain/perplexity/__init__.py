"""`taixue eval`: how well a model predicts held-out text, by source: loss and perplexity.

What a run measures while it trains (run/evaluation.py), on the same windows with the same masks, for any model that we
can read: a run's checkpoint, or a Hugging Face folder through the table of names by which it is imported.
"""

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import Any

import torch.distributed as dist

from taixue.base import UserError, files
from taixue.data_tools.tokenizer.base import Tokenizer
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.parallel import group
from taixue.parallel.ranks import from_environment
from taixue.parallel.stop import StopRequest

from ..config.schema import (
    BatchConfig,
    ComputeConfig,
    DataConfig,
    ParallelConfig,
    RunConfig,
    SourceConfig,
)
from ..config.validate import SAMPLES, validate
from ..data import TrainingData, open_data
from ..models import model_spec
from ..objectives import build_objective
from ..objectives.summary import facts_of
from ..observe import show_messages
from ..optim.config import AdafactorConfig
from ..run.build import build_engine, choose_device
from ..run.evaluation import SourceLosses, measure, overall
from ..run.predictions import lengths
from ..run.state import TrainState
from .losses_table import show
from .subject import Subject, read_subject

__all__ = ["evaluate"]

_MICRO_SIZE = 8
_MOST_NATS = 700.0  # exp() of more is no double


def evaluate(
    model: Path,
    corpora: Sequence[str],
    *,
    which: str = "",
    objective: str = "",
    tokenizer: str = "",
    windows: int = 256,
    device: str = "auto",
    precision: str = "fp32",
    json: Path | None = None,
) -> dict[str, Any] | None:
    """Print the losses of `model` (see read_subject) on the held-out windows of `corpora`, at most `windows` a source.

    corpora: empty for those that a run was trained on. tokenizer: where its folder is now, if not where the run had it,
    or in the Hugging Face folder. json: a file to write the result to, which is returned too; None when asked to stop
    on the way. Under a launcher the ranks share the windows and all call this; rank 0 prints and writes. UserError.
    """
    if windows < 1:
        raise UserError(f"--windows {windows}; at least 1 is needed")
    subject = read_subject(model, which, objective)
    with StopRequest() as stop:
        ranks = from_environment()
        world = ranks.world if ranks else 1
        loaded = load_tokenizer(tokenizer or subject.tokenizer)
        run = RunConfig.model_validate(
            {
                "model": subject.model,
                "objective": subject.objective,
                "knowledge": subject.knowledge,
                "data": DataConfig(
                    tokenizer=tokenizer or subject.tokenizer, sources=_sources(subject, corpora)
                ),
                "batch": BatchConfig(global_size=_MICRO_SIZE * world, micro_size=_MICRO_SIZE),
                "eval_every": 0,
                "eval_windows": windows,
                "optimizer": AdafactorConfig(),  # that which keeps least
                "parallel": ParallelConfig(dp_shard=0),
                "compute": ComputeConfig.model_validate({"device": device, "precision": precision}),
            }
        )
        validate(run, world, loaded.vocab_size, SAMPLES)
        built = build_objective(run.objective, loaded)
        data = open_data(run, loaded, built)
        _check_held_out(data)
        place = choose_device(run, ranks)
        with group.joined(ranks, place, run.parallel.timeout_seconds):
            is_main = dist.get_rank() == 0
            show_messages(is_main)
            spec = model_spec(run.model, run.seed, lengths(run, built))
            engine = build_engine(run, spec, place)
            engine.set_weights(lambda name, shape: subject.weights[name])
            state = TrainState(run, engine, data.fingerprint, facts_of(run.objective, built))
            found = measure(state, data, stop)
            if found is None:
                return None
            facts = _facts(subject, state, loaded, data, found)
        if is_main:
            show(facts)
            if json is not None:
                files.write(json, files.readable_json(facts))
    return facts


def _sources(subject: Subject, corpora: Sequence[str]) -> tuple[SourceConfig, ...]:
    if not corpora and not subject.sources:
        raise UserError("no CORPUS: name at least one folder written by `taixue corpus build`")
    return tuple(SourceConfig(corpus=corpus) for corpus in corpora) or subject.sources


def _check_held_out(data: TrainingData) -> None:
    if not data.validation():
        most = max(source.held_out.tokens for source in data.sources)
        raise UserError(
            f"no source holds out a window of {data.objective.raw_length} tokens, the most is {most}: build the corpus "
            "with a larger validation_fraction"
        )


def _facts(
    subject: Subject,
    state: TrainState,
    tokenizer: Tokenizer,
    data: TrainingData,
    found: Sequence[SourceLosses],
) -> dict[str, Any]:
    total = sum(one.weight for one in found)
    measured = {
        one.source: {
            "part": one.weight / total,
            "windows": one.samples,
            "losses": {
                name: {"predictions": count, "loss": loss, "perplexity": _perplexity(loss)}
                for name, (loss, count) in one.losses.items()
            },
        }
        for one in found
    }
    empty = {source.name: source.held_out.tokens for source in data.sources if source.name not in measured}
    return {
        "model": subject.words,
        "objective": state.objective.words,
        "raw_length": state.objective.raw_length,
        "objective_settings": state.run.objective.model_dump(mode="json"),
        "tokenizer": tokenizer.sha256,
        "precision": state.run.compute.precision,
        "sources": measured,
        "without_a_window": empty,
        "eval_loss": overall(state, found),
    }


def _perplexity(loss: float) -> float:
    return exp(loss) if loss < _MOST_NATS else float("inf")
