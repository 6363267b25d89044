"""The schema of a training run: one frozen tree of pydantic models; unknown keys are errors. No torch here.

A run is one YAML file. Defaults are the values a T5 v1.1 pretraining run starts from; presets under configs/
only say what differs. A room that builds something has its section: models/<family>/config.py, objectives/config.py.
Checks that look at one field are with the field; checks that compare fields live in validate.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from taixue.base import UserError
from taixue.base.section import Decisive, Section, Seed

from ..models import FAMILIES
from ..models.bert.config import BertConfig
from ..models.bert.heads import HeadsConfig
from ..models.linguistic_config import FeaturesConfig
from ..models.t5.config import T5Config
from ..objectives import OBJECTIVES
from ..objectives.config import (
    DERIVED,
    UL2,
    Denoiser,
    LossWeights,
    Masking,
    MlmConfig,
    ObjectiveSection,
    PrefixLmConfig,
    SpanCorruptionConfig,
    SpanKind,
    Ul2Config,
    UnitCaps,
    UnitsConfig,
    UnitWeights,
)
from ..observe.config import SINKS, LoggingSection
from ..optim import OPTIMIZERS, SCHEDULES
from ..optim.config import AdamWRmsConfig, CosineConfig, OptimizerSection, ScheduleSection

__all__ = [
    "UL2",
    "BatchConfig",
    "BertConfig",
    "CheckpointConfig",
    "ComputeConfig",
    "DataConfig",
    "Denoiser",
    "EarlyStopConfig",
    "FeaturesConfig",
    "HeadsConfig",
    "KnowledgeConfig",
    "LoggingConfig",
    "LossWeights",
    "Masking",
    "MlmConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "ParallelConfig",
    "PrefixLmConfig",
    "RunConfig",
    "ScheduleConfig",
    "Section",
    "SourceConfig",
    "SpanCorruptionConfig",
    "SpanKind",
    "T5Config",
    "Ul2Config",
    "UnitCaps",
    "UnitWeights",
    "UnitsConfig",
    "recorded_run",
]


# What is registered when this file is first imported; type checkers see what all variants have.
if TYPE_CHECKING:
    ModelConfig = T5Config | BertConfig
    ObjectiveConfig = ObjectiveSection
    OptimizerConfig = OptimizerSection
    ScheduleConfig = ScheduleSection
    SinkConfig = Section
else:
    ModelConfig = FAMILIES.union()
    ObjectiveConfig = OBJECTIVES.union()
    OptimizerConfig = OPTIMIZERS.union()
    ScheduleConfig = SCHEDULES.union()
    SinkConfig = SINKS.union()


class KnowledgeConfig(Section):
    """Entity knowledge of a BERT run (DKPLM): what is known of rare entities stands in for their embeddings."""

    vectors: str = Field("", description="folder written by `taixue knowledge transe`; empty: no knowledge")
    mentions: PositiveInt = Field(4, description="most mentions of a window that are replaced")
    answer_tokens: PositiveInt = Field(8, description="tokens of the other entity that are decoded at most")
    rare_per_million: PositiveFloat = Field(50.0, description="entities named less often per token are rare")
    rare_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.5, description="of the rare entities those with the most neighbours in the graph"
    )


class SourceConfig(Section):
    """One part of the mixture: a source of one corpus folder. weight null: in proportion to its tokens."""

    corpus: str = Field(description="folder written by `taixue corpus build`")
    source: str | None = Field(
        None, description="name inside corpus.json; null takes every source of the folder"
    )
    weight: PositiveFloat | None = Field(
        None,
        description="part of the samples, relative to the other sources; null: in proportion to its tokens",
    )


class DataConfig(Section):
    """What is read. Paths are relative to the working directory."""

    tokenizer: str = Field(
        "", description="tokenizer folder written by `taixue tokenizer train` or an HF folder"
    )
    sources: tuple[SourceConfig, ...] = ()
    check_digests: bool = Field(
        True, description="read every shard once at the start, shared by the ranks, and compare its SHA-256"
    )
    prefetch: NonNegativeInt = Field(4, description="steps of batches prepared ahead by a background thread")


class BatchConfig(Section):
    """Samples per optimizer step over all ranks, and per forward pass of one rank."""

    global_size: Annotated[PositiveInt, Decisive()] = Field(
        128, description="samples of a step, over all ranks"
    )
    micro_size: PositiveInt = Field(8, description="samples of one forward pass of a rank")


class ComputeConfig(Section):
    """How a step is computed. Weights, gradients' reduction and optimizer states are fp32 in every precision."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is one")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "bf16", description="of activations and matrix products"
    )
    allow_fp16: bool = Field(
        False, description="T5 overflows in fp16; set to insist on fp16 with loss scaling"
    )
    activation_checkpointing: Literal["none", "selective", "full"] = Field(
        "none", description="computed again in backward; selective: all but matrix products; full: layers"
    )
    compile: bool = Field(False, description="torch.compile each block in place")
    fp8: Literal["off", "tensor", "row"] = Field(
        "off",
        description="large products of the layers in eight bits, scaled by the largest number of a tensor or of each "
        "row and column; GPUs of compute capability 8.9 and up",
    )
    deterministic: bool = Field(False, description="refuse operations whose result varies from run to run")
    float64: bool = Field(False, description="for tests: everything in double precision")


class ParallelConfig(Section):
    """The mesh: pp x dp_replicate x dp_shard x tp ranks. dp_shard 0 takes the ranks that are left."""

    tp: PositiveInt = Field(1, description="tensor-parallel ranks")
    pp: PositiveInt = Field(1, description="pipeline ranks")
    dp_replicate: PositiveInt = Field(1, description="copies of the weights")
    dp_shard: NonNegativeInt = Field(
        1, description="ranks that share out weights, gradients and optimizer states; 0: those that are left"
    )
    sequence_parallel: bool = Field(
        True, description="with tp > 1: norms and residuals sharded along the sequence"
    )
    pipeline_schedule: Literal["auto", "1f1b", "interleaved", "v"] = Field(
        "auto", description="order of forward and backward passes; auto: the best by cost"
    )
    keep_gathered: bool = Field(
        False,
        description="weights stay gathered from the first micro-batch of a step to the last, as always with pp > 1: an "
        "all-gather (with one rank a cast) less in each pass, for 2 bytes a parameter (fp32: 4)",
    )
    reduce_every_micro_batch: bool = Field(
        False,
        description="gradients are reduced after each micro-batch, so that no rank holds all of them, 4 bytes a "
        "parameter, between two; a reduce-scatter more for each. Not with pp > 1",
    )
    timeout_seconds: PositiveInt = Field(1800, description="a collective that takes longer ends the run")


class CheckpointConfig(Section):
    """When to save and what to keep."""

    every: PositiveInt = Field(1000, description="steps between checkpoints")
    keep: PositiveInt = Field(3, description="newest checkpoints kept")
    best: bool = Field(
        True,
        description="keep the checkpoint with the lowest eval_loss, too: an evaluation that finds a new one saves",
    )
    asynchronous: bool = Field(True, description="go on training while files are written")


class EarlyStopConfig(Section):
    """When a run ends before its last step: eval_loss no longer falls. The learning rate is then not yet at its end."""

    patience: NonNegativeInt = Field(
        0, description="evaluations in a row without a gain that end the run; 0: never"
    )
    min_delta: NonNegativeFloat = Field(
        0.0, description="nats that eval_loss must be below its best so far to be a gain"
    )


class LoggingConfig(LoggingSection):
    """Metrics always go to metrics.jsonl in the run folder; the rest is optional."""

    sinks: tuple[SinkConfig, ...] = Field((), description="sinks of your own, by kind (docs/extending.md)")


class RunConfig(Section):
    """One run."""

    name: str = Field("run", description="of the run, and of its folder")
    runs: str = Field("runs", description="folder that holds run folders; this run is written to runs/name")
    seed: Annotated[Seed, Decisive()] = Field(
        1, description="of first weights, order of the data, masks and dropout"
    )
    steps: PositiveInt = Field(100_000, description="updates of the weights")
    eval_every: NonNegativeInt = Field(1000, description="0: never")
    eval_windows: PositiveInt = Field(256, description="held-out windows per source and evaluation")
    dry_run: bool = Field(True, description="one forward and backward pass on the first batch before step 1")
    init_from: str = Field("", description="HF folder whose weights start the run (continual pretraining)")
    model: Annotated[ModelConfig, Decisive()] = T5Config()
    data: DataConfig = DataConfig()
    knowledge: KnowledgeConfig = KnowledgeConfig()
    objective: Annotated[ObjectiveConfig, Decisive()] = SpanCorruptionConfig()
    batch: BatchConfig = BatchConfig()
    optimizer: Annotated[OptimizerConfig, Decisive(only="name")] = AdamWRmsConfig()
    schedule: ScheduleConfig = CosineConfig()
    compute: ComputeConfig = ComputeConfig()
    parallel: ParallelConfig = ParallelConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    early_stop: EarlyStopConfig = EarlyStopConfig()
    logging: LoggingConfig = LoggingConfig()

    @model_validator(mode="after")
    def _switches(self) -> "RunConfig":
        """Switches of the objective that are null become what the model asks for."""
        wanted = FAMILIES.of(self.model).switches(self.model)
        switches = {
            name: wanted[name].value if name in wanted else False
            for name in DERIVED
            if getattr(self.objective, name, False) is None
        }
        if switches:  # the section is frozen for its users, and not yet handed out
            self.__dict__["objective"] = self.objective.model_copy(update=switches)
        return self

    @model_validator(mode="before")
    @classmethod
    def _default_names(cls, values: Any) -> Any:
        """An optimizer or schedule without a name is the default one."""
        if not isinstance(values, Mapping):
            return values
        defaults = {"optimizer": AdamWRmsConfig().name, "schedule": CosineConfig().name}
        return {
            key: {"name": defaults[key]} | dict(value)
            if key in defaults and isinstance(value, Mapping)
            else value
            for key, value in values.items()
        }


def recorded_run(values: Mapping[str, Any], where: Path) -> RunConfig:
    """The configuration that the checkpoint `where` holds. UserError when it is not one that can be read here."""
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] != "union_tag_invalid":
            said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise UserError(f"{where}: its configuration is not one this Taixue knows: {said}") from None
        key, tag = first["ctx"]["discriminator"].strip("'"), first["ctx"]["tag"]
        raise UserError(
            f"{where}: its {first['loc'][0]} has the {key} {tag!r}, which is registered nowhere here: run it with the "
            f"script that registers it; here are {first['ctx']['expected_tags']}"
        ) from None
