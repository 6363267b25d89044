"""What must hold between the fields of a run. Every message has both numbers and a legal value. No torch.

`validate` collects all problems and raises them as one UserError, before any process group starts.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from taixue import UserError
from taixue.parallel.stages import stage_count

from ..objectives import OBJECTIVES
from ..optim import SCHEDULES
from .schema import MlmConfig, RunConfig

BATCHES = {"t5": "encoder-decoder", "bert": "encoder"}
"""What feeds a model of a family: see ObjectiveKind.fits."""


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
    def layers(self) -> int:
        """Transformer layers that pipeline stages share out."""
        model = self.run.model
        if model.family == "t5":
            return model.num_encoder_layers + model.num_decoder_layers
        return model.num_layers


def validate(run: RunConfig, world: int | None, tokenizer_vocab: int | None = None) -> None:
    """Raise UserError with every problem of `run` on `world` ranks with a tokenizer of so many ids.

    None skips the checks that need the number.
    """
    facts = Facts(run, world, tokenizer_vocab)
    problems = [problem for check in CHECKS for problem in check(facts)]
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
            legal = ", ".join(str(n) for n in range(1, number + 1) if number % n == 0 and n <= 64)
            yield f"parallel.tp: {name} {number} is not divisible by tp {tp}; tp may be {legal}{hint}"
    vocab = run.model.vocab_size
    if vocab % tp:
        padded = -(-vocab // (64 * tp)) * 64 * tp
        yield f"parallel.tp: model.vocab_size {vocab} is not divisible by tp {tp}; pad model.vocab_size to {padded}"


def _pipeline(facts: Facts) -> Iterator[str]:
    pp, schedule = facts.run.parallel.pp, facts.run.parallel.pipeline_schedule
    stages = stage_count(schedule, pp)
    if pp > 1 and facts.layers < stages:
        yield (
            f"parallel.pp: {facts.layers} layers are fewer than the {stages} stages of pp {pp} with schedule "
            f"{schedule}; pp may be at most {facts.layers // stage_count(schedule, 1)}"
        )


def _batch(facts: Facts) -> Iterator[str]:
    batch = facts.run.batch
    unit = facts.dp * batch.micro_size if facts.dp else 1
    if batch.global_size % unit:
        near = sorted({max(unit, batch.global_size // unit * unit), -(-batch.global_size // unit) * unit})
        yield (
            f"batch.global_size: {batch.global_size} is not a multiple of dp {facts.dp} x micro_size "
            f"{batch.micro_size} = {unit}; legal near it: {' or '.join(map(str, near))}"
        )


def _objective(facts: Facts) -> Iterator[str]:
    model, objective = facts.run.model, facts.run.objective
    kind = OBJECTIVES.of(objective)
    if BATCHES[model.family] not in kind.fits:
        fits = [other.name for other in OBJECTIVES if BATCHES[model.family] in other.fits]
        yield f"objective.kind: {objective.kind} does not train a {model.family} model; set it to {' or '.join(fits)}"
    yield from kind.problems(objective)
    if model.family == "bert" and objective.input_length > model.max_positions:
        yield (
            f"objective.input_length: {objective.input_length} exceeds model.max_positions {model.max_positions}; "
            f"at most {model.max_positions}"
        )
    if isinstance(objective, MlmConfig) and objective.sentence_order and getattr(model, "token_types", 2) < 2:
        yield "model.token_types: 1 cannot tell two segments apart; set it to 2, or objective.sentence_order to false"
    if model.family == "t5" and not 4 <= model.relative_buckets <= 2 * model.relative_max_distance - 2:
        yield (
            f"model.relative_buckets: {model.relative_buckets} with relative_max_distance "
            f"{model.relative_max_distance}; legal: 4 to {2 * model.relative_max_distance - 2}"
        )
    if model.family == "bert" and model.d_model % model.num_heads:
        yield f"model.num_heads: d_model {model.d_model} is not divisible by num_heads {model.num_heads}"


def _features(facts: Facts) -> Iterator[str]:
    model, tp = facts.run.model, facts.run.parallel.tp
    features = model.features
    layers = model.num_encoder_layers if model.family == "t5" else model.num_layers
    heads = features.bias_heads
    if features.bias_layers and max(features.bias_layers) >= layers:
        yield (
            f"model.features.bias_layers: {max(features.bias_layers)} is no layer of {layers}; "
            f"legal: 0 to {layers - 1}"
        )
    if heads and (model.num_heads % heads or heads % tp):
        legal = [n for n in range(tp, model.num_heads + 1, tp) if model.num_heads % n == 0]
        yield (
            f"model.features.bias_heads: {heads} should divide the {model.num_heads} heads and be a multiple of "
            f"parallel.tp {tp}; legal: {', '.join(map(str, legal))}"
        )
    if (heads or features.bias_layers) and not (features.word_bias or features.clause_bias):
        yield "model.features: bias_layers and bias_heads without word_bias or clause_bias; set one of these to true"
    takes = bool(features.pos_tags or features.roles or features.word_bias or features.clause_bias)
    if takes != facts.run.objective.features:
        yield (
            f"objective.features: {str(not takes).lower()}, but model.features takes "
            f"{'some' if takes else 'none'}; set it to {str(takes).lower()}"
        )


def _heads(facts: Facts) -> Iterator[str]:
    model, objective = facts.run.model, facts.run.objective
    if model.family != "bert" or not isinstance(objective, MlmConfig):
        return
    tagging, relation = bool(model.heads.pos or model.heads.ne), bool(model.heads.relation)
    if tagging != objective.tag_labels:
        yield (
            f"objective.tag_labels: {str(not tagging).lower()}, but model.heads.pos is {model.heads.pos} and ne "
            f"{model.heads.ne}; set it to {str(tagging).lower()}"
        )
    if relation != objective.relation_labels:
        yield (
            f"objective.relation_labels: {str(not relation).lower()}, but model.heads.relation is "
            f"{model.heads.relation}; set it to {str(relation).lower()}"
        )


def _knowledge(facts: Facts) -> Iterator[str]:
    run, knowledge, tp = facts.run, facts.run.knowledge, facts.run.parallel.tp
    if run.model.family != "bert":
        if knowledge.vectors:
            yield f"knowledge.vectors: a {run.model.family} model takes none; leave it empty"
        return
    if run.model.knowledge_width and not knowledge.vectors:
        yield (
            f"model.knowledge_width: {run.model.knowledge_width} without knowledge.vectors; name the folder that "
            "`taixue knowledge transe` wrote, or set it to 0"
        )
    states = knowledge.mentions * knowledge.answer_tokens
    if knowledge.vectors and run.parallel.sequence_parallel and states % tp:
        yield (
            f"knowledge.mentions {knowledge.mentions} x answer_tokens {knowledge.answer_tokens} = {states} is not "
            f"divisible by parallel.tp {tp}; set answer_tokens to {-(-knowledge.answer_tokens // tp) * tp}"
        )


def _vocabulary(facts: Facts) -> Iterator[str]:
    model, vocab = facts.run.model, facts.tokenizer_vocab
    if vocab is not None and vocab > model.vocab_size:
        yield (
            f"model.vocab_size: {model.vocab_size} rows are too few for the {vocab} ids of tokenizer "
            f"{facts.run.data.tokenizer}; set it to {-(-vocab // 128) * 128} (a multiple of 128 is fast)"
        )


def _precision(facts: Facts) -> Iterator[str]:
    compute = facts.run.compute
    if compute.precision == "fp16" and facts.run.model.family == "t5" and not compute.allow_fp16:
        yield (
            "compute.precision: fp16 with a T5 overflows: its activations pass fp16's largest number, 65504, and its "
            "authors trained in bfloat16; set bf16, or compute.allow_fp16 true to insist"
        )
    if compute.float64 and compute.precision != "fp32":
        yield f"compute.float64: true contradicts compute.precision {compute.precision}; set precision to fp32"


def _schedule(facts: Facts) -> Iterator[str]:
    schedule, steps = facts.run.schedule, facts.run.steps
    if schedule.warmup_steps >= steps:
        yield f"schedule.warmup_steps: {schedule.warmup_steps} leaves nothing of {steps} steps; at most {steps - 1}"
    else:
        yield from SCHEDULES.of(schedule).problems(schedule, steps)


def _folder(facts: Facts) -> Iterator[str]:
    name, folder = facts.run.name, run_folder(facts.run).absolute()
    if Path(name).name != name or name in ("", ".", ".."):
        yield f"name: {name!r} should be the name of one folder, without /"
        return
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        yield (
            f"runs: the run folder {folder} cannot be written ({existing}: {error.strerror}); "
            "set runs to a folder that can"
        )


CHECKS: tuple[Callable[[Facts], Iterator[str]], ...] = (
    _world,
    _tensor_parallel,
    _pipeline,
    _batch,
    _objective,
    _features,
    _heads,
    _knowledge,
    _vocabulary,
    _precision,
    _schedule,
    _folder,
)
