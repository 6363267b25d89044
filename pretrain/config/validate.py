"""What must hold between the fields of a run. Every message has both numbers and a legal value. No torch.

`validate` collects all problems and raises them as one UserError, before any process group starts.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from taixue.base import UserError
from taixue.parallel.stages import stage_count

from ..models import FAMILIES, Family
from ..models.family import Setting
from ..objectives import OBJECTIVES, ObjectiveKind
from ..optim import SCHEDULES
from .schema import MlmConfig, RunConfig

MOST_NAME, MOST_PARAMETERS = 200, 10**14
"""Bytes of a run's name (a file system takes 255), to which files add endings. Parameters that no cluster holds."""


@dataclass(frozen=True)
class Facts:
    """What a run meets: the configuration, and numbers known from outside it (None: not known)."""

    run: RunConfig
    world: int | None
    tokenizer_vocab: int | None

    @property
    def dp(self) -> int | None:
        """Number of data-parallel groups."""
        layout = self.run.parallel
        if layout.dp_shard:
            return layout.dp_replicate * layout.dp_shard
        return self.world // (layout.tp * layout.pp) if self.world else None

    @property
    def family(self) -> Family[Any]:
        """The record of the model."""
        return FAMILIES.of(self.run.model)


def validate(
    run: RunConfig, world: int | None, tokenizer_vocab: int | None = None, checks: "Checks | None" = None
) -> None:
    """Raise UserError with every problem of `run` on `world` ranks with a tokenizer of so many ids.

    None skips the checks that need the number. checks: these instead of all.
    """
    facts = Facts(run, world, tokenizer_vocab)
    problems = [problem for check in checks or CHECKS for problem in check(facts)]
    if problems:
        raise UserError("\n".join(problems))


def run_folder(run: RunConfig) -> Path:
    """Folder that belongs to this run: resolved config, metrics, checkpoints."""
    return Path(run.runs) / run.name


def _world(facts: Facts) -> Iterator[str]:
    layout, world = facts.run.parallel, facts.world
    if world is None:
        return
    shares = {
        "pp": layout.pp,
        "dp_replicate": layout.dp_replicate,
        "dp_shard": layout.dp_shard,
        "tp": layout.tp,
    }
    fixed = prod(share for share in shares.values() if share)
    product = " x ".join(f"{name} {share}" for name, share in shares.items() if share)
    if layout.dp_shard and fixed != world:
        rest = fixed // layout.dp_shard
        legal = f"start {fixed} ranks"
        if world % rest == 0:
            legal += f", or set parallel.dp_shard to {world // rest} (0 takes the ranks that are left)"
        yield f"parallel: {product} = {fixed} ranks, but {world} are started; {legal}"
    if not layout.dp_shard and world % fixed:
        yield f"parallel: {product} = {fixed} does not divide the {world} ranks started; start a multiple of {fixed}"


def _tensor_parallel(facts: Facts) -> Iterator[str]:
    run, tp = facts.run, facts.run.parallel.tp
    split = [("model.num_heads", run.model.num_heads), ("model.d_ff", run.model.d_ff)]
    if tp > 1 and run.parallel.sequence_parallel:
        split.append(("objective.input_length", run.objective.input_length))
    for name, number in split:
        if number % tp:
            hint = ", or turn parallel.sequence_parallel off" if name == "objective.input_length" else ""
            legal = ", ".join(str(n) for n in range(1, min(number, 64) + 1) if number % n == 0)
            yield f"parallel.tp: {name} {number} is not divisible by tp {tp}; tp may be {legal}{hint}"
    vocab = run.model.vocab_size
    if vocab % tp:
        padded = -(-vocab // (64 * tp)) * 64 * tp
        yield f"parallel.tp: model.vocab_size {vocab} is not divisible by tp {tp}; pad model.vocab_size to {padded}"


def _pipeline(facts: Facts) -> Iterator[str]:
    pp, schedule = facts.run.parallel.pp, facts.run.parallel.pipeline_schedule
    if pp > 1 and facts.run.parallel.reduce_every_micro_batch:
        yield f"parallel.reduce_every_micro_batch: not with pp {pp}, where stages reduce once a step; set it to false"
    stages, layers = stage_count(schedule, pp), facts.family.costs.layers(facts.run.model)
    if pp > 1 and layers < stages:
        yield (
            f"parallel.pp: {layers} layers are fewer than the {stages} stages of pp {pp} with schedule "
            f"{schedule}; pp may be at most {layers // stage_count(schedule, 1)}"
        )


def _batch(facts: Facts) -> Iterator[str]:
    batch = facts.run.batch
    unit = facts.dp * batch.micro_size if facts.dp else 1
    if facts.run.steps * batch.global_size >= 2**63:
        yield (
            f"steps: {facts.run.steps} x batch.global_size {batch.global_size} are more samples than are numbered; "
            f"fewer than 2^63, so at most {(2**63 - 1) // batch.global_size} steps"
        )
    if batch.global_size % unit:
        near = sorted({max(unit, batch.global_size // unit * unit), -(-batch.global_size // unit) * unit})
        yield (
            f"batch.global_size: {batch.global_size} is not a multiple of dp {facts.dp} x micro_size "
            f"{batch.micro_size} = {unit}; legal near it: {' or '.join(map(str, near))}"
        )


def _objective(facts: Facts) -> Iterator[str]:
    family, objective = facts.family, facts.run.objective
    kind = OBJECTIVES.of(objective)
    if not _trains(kind, family):
        fits = " or ".join(other.name for other in OBJECTIVES if _trains(other, family))
        yield f"objective.kind: {kind.name} does not train a {family.name} model; set it to {fits}"
    yield from kind.problems(objective)
    for name, switch in family.switches(facts.run.model).items():
        chosen = getattr(objective, name, None)
        if chosen not in (None, switch.value):
            legal = str(switch.value).lower()
            yield f"objective.{name}: {str(chosen).lower()}, but {switch.because}; set it to {legal}, or leave it out"


def _trains(kind: ObjectiveKind, family: Family[Any]) -> bool:
    """Those that the family names do, and those whose batches are like its usual objective's."""
    return kind.name in family.objectives or not set(kind.fits).isdisjoint(
        OBJECTIVES[family.objectives[0]].fits
    )


def _model(facts: Facts) -> Iterator[str]:
    run = facts.run
    if (size := facts.family.costs.parameters(run.model, range(1))) > MOST_PARAMETERS:
        yield f"model: {size:,} parameters in one layer and the embeddings; at most {MOST_PARAMETERS:,}"
        return
    setting = Setting(
        input_length=run.objective.input_length,
        sentence_order=isinstance(run.objective, MlmConfig) and run.objective.sentence_order,
        tp=run.parallel.tp,
        sequence_parallel=run.parallel.sequence_parallel,
        knowledge=run.knowledge.vectors,
        mentions=run.knowledge.mentions,
        answer_tokens=run.knowledge.answer_tokens,
    )
    yield from facts.family.problems(run.model, setting)


def _vocabulary(facts: Facts) -> Iterator[str]:
    model, vocab = facts.run.model, facts.tokenizer_vocab
    if vocab is not None and vocab > model.vocab_size:
        yield (
            f"model.vocab_size: {model.vocab_size} rows are too few for the {vocab} ids of tokenizer "
            f"{facts.run.data.tokenizer}; set it to {-(-vocab // 128) * 128} (a multiple of 128 is fast)"
        )


def _precision(facts: Facts) -> Iterator[str]:
    compute, reason = facts.run.compute, facts.family.fp16
    if compute.precision == "fp16" and reason and not compute.allow_fp16:
        yield f"compute.precision: fp16: {reason}; set bf16, or compute.allow_fp16 true to insist"
    if compute.float64 and compute.precision != "fp32":
        yield f"compute.float64: true contradicts compute.precision {compute.precision}; set precision to fp32"


def _eight_bits(facts: Facts) -> Iterator[str]:
    run, model = facts.run, facts.run.model
    if run.compute.fp8 == "off":
        return
    if run.compute.precision == "fp16" or run.compute.float64:
        yield f"compute.fp8: {run.compute.fp8} needs compute.precision bf16, which is {run.compute.precision}"
    inner = model.num_heads * getattr(model, "d_kv", model.d_model // model.num_heads)
    for name, width in (("model.d_model", model.d_model), ("heads", inner), ("model.d_ff", model.d_ff)):
        part = width if name == "model.d_model" else width // run.parallel.tp
        if part % 16:
            yield f"compute.fp8: {name}: {part} on each of tp {run.parallel.tp} is no multiple of 16; set fp8 to off"


def _schedule(facts: Facts) -> Iterator[str]:
    schedule, steps = facts.run.schedule, facts.run.steps
    if schedule.extend >= steps:
        yield f"schedule.extend: {schedule.extend} should be the steps before; of {steps} at most {steps - 1}, or 0"
        return
    if schedule.extend:  # both rounds are schedules of their own
        steps = min(schedule.extend, steps - schedule.extend)
    if schedule.warmup_steps >= steps:
        yield f"schedule.warmup_steps: {schedule.warmup_steps} leaves nothing of {steps} steps; at most {steps - 1}"
    else:
        yield from SCHEDULES.of(schedule).problems(schedule, steps)


def _early_stop(facts: Facts) -> Iterator[str]:
    run = facts.run
    if run.early_stop.patience and not run.eval_every:
        yield (
            f"early_stop.patience: {run.early_stop.patience}, but eval_every is 0, which never evaluates; set "
            f"eval_every to at most {run.steps}, or patience to 0"
        )


def _packages(facts: Facts) -> Iterator[str]:
    logging = facts.run.logging
    for key, wanted, off in (
        ("tensorboard", logging.tensorboard, "false"),
        ("wandb", logging.wandb != "off", "off"),
    ):
        found = find_spec(key) if wanted else None
        if wanted and (found is None or found.origin is None):  # a mere folder of that name is no package
            yield f"logging.{key}: the package {key} is missing; pip install {key}, or set it to {off}"


def _folder(facts: Facts) -> Iterator[str]:
    name, folder = facts.run.name, run_folder(facts.run).absolute()
    if Path(name).name != name or name in ("", ".", "..") or "\0" in name:
        yield f"name: {name!r} should be the name of one folder, without /"
        return
    if len(name.encode()) > MOST_NAME:
        yield f"name: {len(name.encode())} bytes are too long for the name of a folder; at most {MOST_NAME}"
        return
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        yield (
            f"runs: the run folder {folder} cannot be written ({existing}: {error.strerror}); "
            "set runs to a folder that can"
        )


Checks = tuple[Callable[[Facts], Iterator[str]], ...]

SAMPLES: Checks = (_objective, _model, _vocabulary, _precision)
"""Those of what a model is fed: where nothing is trained."""

CHECKS: Checks = (
    _world,
    _tensor_parallel,
    _pipeline,
    _batch,
    _objective,
    _model,
    _vocabulary,
    _precision,
    _eight_bits,
    _schedule,
    _early_stop,
    _packages,
    _folder,
)
