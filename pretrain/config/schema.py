"""The schema of a training run: one frozen tree of pydantic models; unknown keys are errors. No torch here.

A run is one YAML file. Defaults are the values a T5 v1.1 pretraining run starts from; presets under configs/
only say what differs. Checks that look at one field live here; checks that compare fields live in validate.py.
"""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0, le=1000.0)]


class Section(BaseModel):
    """Base of every section: immutable, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


class FeaturesConfig(Section):
    """Linguistic inputs of the (T5: encoder's) token embeddings and self-attention, from the annotation sidecar.

    Each starts without effect, so that a warm start is unchanged, and is left out of exports.
    """

    pos_tags: NonNegativeInt = Field(0, description="rows of the part-of-speech table; 0: no such input")
    roles: NonNegativeInt = Field(0, description="rows of the semantic-role table; 0: no such input")
    word_bias: bool = Field(False, description="learned attention bias between tokens of one word")
    clause_bias: bool = Field(False, description="learned attention bias between tokens of one clause")
    bias_layers: tuple[NonNegativeInt, ...] = Field(
        (), description="layers that learn these biases; none named: all"
    )
    bias_heads: NonNegativeInt = Field(
        0, description="heads of such a layer that do, evenly spaced; 0: every head"
    )
    dropout: Fraction = Field(0.15, description="share of the samples that are fed without these inputs")


class HeadsConfig(Section):
    """Auxiliary heads of a BERT: the number of classes of each, 0 for no such head. Left out of exports."""

    pos: NonNegativeInt = Field(0, description="part of speech of each token")
    ne: NonNegativeInt = Field(0, description="entity type of each token")
    relation: NonNegativeInt = Field(0, description="relation class of a removed connective, from [CLS]")


class T5Config(Section):
    """Shape of a T5. v1.0: ffn relu, tie_embeddings true. v1.1 and mT5: gated-gelu, untied."""

    family: Literal["t5"] = "t5"
    vocab_size: PositiveInt = 32128
    d_model: PositiveInt = 512
    d_kv: PositiveInt = 64
    d_ff: PositiveInt = 1024
    num_heads: PositiveInt = 6
    num_encoder_layers: PositiveInt = 8
    num_decoder_layers: PositiveInt = 8
    ffn: Literal["gated-gelu", "relu"] = "gated-gelu"
    tie_embeddings: bool = False
    relative_buckets: PositiveInt = 32
    relative_max_distance: PositiveInt = 128
    layer_norm_eps: PositiveFloat = 1e-6
    dropout: Fraction = 0.0
    features: FeaturesConfig = FeaturesConfig()


class BertConfig(Section):
    """Shape of a BERT. norm post: BERT as published; norm pre: Megatron-BERT (LayerNorm before each sub-layer)."""

    family: Literal["bert"] = "bert"
    vocab_size: PositiveInt = 21128
    d_model: PositiveInt = 768
    d_ff: PositiveInt = 3072
    num_heads: PositiveInt = 12
    num_layers: PositiveInt = 12
    norm: Literal["post", "pre"] = "post"
    activation: Literal["gelu", "gelu_new", "relu"] = Field(
        "gelu", description="gelu_new: the tanh approximation"
    )
    max_positions: PositiveInt = 512
    token_types: PositiveInt = 2
    layer_norm_eps: PositiveFloat = 1e-12
    dropout: Fraction = 0.1
    features: FeaturesConfig = FeaturesConfig()
    heads: HeadsConfig = HeadsConfig()
    knowledge_width: NonNegativeInt = Field(
        0, description="size of the entity vectors of knowledge.vectors; 0: takes none"
    )


ModelConfig = Annotated[T5Config | BertConfig, Field(discriminator="family")]


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

    corpus: str
    source: str | None = Field(
        None, description="name inside corpus.json; null takes every source of the folder"
    )
    weight: PositiveFloat | None = None


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


class UnitWeights(Section):
    """How readily a unit of each type is drawn, relative to a word; 0: never as a unit of its own."""

    word: Weight = 1.0
    entity: Weight = 3.0
    connective: Weight = 3.0
    idiom: Weight = 2.0
    clause: Weight = Field(0.2, description="what follows a connective in its clause")


class UnitCaps(Section):
    """Largest part of the masked tokens that units of each type may take."""

    word: Share = 1.0
    entity: Share = Field(0.4, description="with less room an entity is seen in context, too")
    connective: Share = 1.0
    idiom: Share = 1.0
    clause: Share = 0.4


class UnitsConfig(Section):
    """What knowledge-aware masking draws: units of the corpus's annotation, each masked as a whole."""

    weights: UnitWeights = UnitWeights()
    caps: UnitCaps = UnitCaps()
    pair_probability: Share = Field(0.5, description="both members of a pair of connectives are masked")
    longest_clause: Annotated[int, Field(ge=2)] = Field(16, description="tokens")
    idiom_tags: tuple[str, ...] = Field(("i",), description="parts of speech that are idioms")


class _ObjectiveSection(Section):
    """What every objective has."""

    units: UnitsConfig = UnitsConfig()
    documents: Literal["joined", "separate"] = Field(
        "joined", description="separate: attention stays inside each of the documents packed into a window"
    )
    features: bool = Field(
        False, description="give the model part of speech, roles, word and clause of each token"
    )
    hide_masked_tags: bool = Field(True, description="a masked token has no part of speech and no role")
    hide_masked_groups: bool = Field(False, description="a masked token belongs to no word and no clause")


SpanKind = Literal["random", "geometric", "words", "knowledge"]


class SpanCorruptionConfig(_ObjectiveSection):
    """T5 span corruption. The raw window and the target length follow from the first three numbers."""

    kind: Literal["span-corruption"] = "span-corruption"
    input_length: PositiveInt = 512
    noise_density: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    mean_span_length: Annotated[float, Field(ge=1.0)] = 3.0
    free_edges: bool = Field(
        False,
        description="random and geometric spans may lie anywhere; T5's last span ends the window, which masks the "
        "same tokens of a short window every time",
    )
    spans: SpanKind = Field(
        "random",
        description="random: T5's; geometric: none longer than longest_span; words: of whole words; knowledge: drawn "
        "as `units` says, of whole units",
    )
    longest_span: PositiveInt = Field(10, description="of geometric spans")


class PrefixLmConfig(_ObjectiveSection):
    """Prefix language modelling: the input is the window's first part, the target its last."""

    kind: Literal["prefix-lm"] = "prefix-lm"
    input_length: PositiveInt = 512
    target_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.25


class Denoiser(Section):
    """One task of a mixture. weight: its part of the input, relative to the others. prefix: no sentinels, the target
    is the last noise_density of the text."""

    mode: Annotated[str, Field(pattern="^[RSX]?$")] = Field("R", description="its mode token; empty: none")
    spans: SpanKind | Literal["prefix"] = "random"
    noise_density: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    mean_span_length: Annotated[float, Field(ge=1.0)] = 3.0
    weight: PositiveFloat = 1.0


UL2 = (
    Denoiser(mode="R", mean_span_length=3.0, noise_density=0.15),
    Denoiser(mode="R", mean_span_length=8.0, noise_density=0.15),
    Denoiser(mode="S", spans="prefix", noise_density=0.25),
    Denoiser(mode="X", mean_span_length=3.0, noise_density=0.5),
    Denoiser(mode="X", mean_span_length=8.0, noise_density=0.5),
    Denoiser(mode="X", mean_span_length=64.0, noise_density=0.15),
    Denoiser(mode="X", mean_span_length=64.0, noise_density=0.5),
)


class Ul2Config(_ObjectiveSection):
    """A mixture of denoisers (UL2, Tay et al. 2022): every sample has one stretch of text for each, side by side."""

    kind: Literal["ul2"] = "ul2"
    input_length: PositiveInt = 2048
    denoisers: Annotated[tuple[Denoiser, ...], Field(min_length=1, max_length=64)] = UL2
    longest_span: PositiveInt = Field(10, description="of geometric spans")
    mode_tokens: dict[Literal["R", "S", "X"], str] = Field(
        {}, description="pieces of the vocabulary; those not named are the tokenizer's last sentinels"
    )


class LossWeights(Section):
    """What the mean loss of each head of a BERT is multiplied by."""

    mlm: NonNegativeFloat = 1.0
    sop: NonNegativeFloat = 1.0
    pos: NonNegativeFloat = 0.1
    ne: NonNegativeFloat = 0.1
    relation: NonNegativeFloat = 0.1
    answer: NonNegativeFloat = Field(1.0, description="decoding the other entity of a triple")


Masking = Literal["token", "word", "ngram", "entity", "discourse", "knowledge"]


class MlmConfig(_ObjectiveSection):
    """BERT masked-language modelling: mask_probability of the real tokens, 80 % [MASK], 10 % random, 10 % kept."""

    kind: Literal["mlm"] = "mlm"
    input_length: PositiveInt = 512
    mask_probability: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    sentence_order: bool = Field(True, description="sentence-order prediction on two consecutive segments")
    loss_weights: LossWeights = LossWeights()
    masking: Masking | dict[Masking, PositiveFloat] = Field(
        "token", description="what is masked as a whole; a mapping is a mixture, by weight, of samples"
    )
    replacement: Literal["auto", "token", "unit"] = Field(
        "auto", description="what shares one 80/10/10 draw; auto: units, but words token by token"
    )
    ngrams: Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=8)] = Field(
        (0.4, 0.3, 0.2, 0.1), description="ngram: relative frequency of 1, 2, ... words (MacBERT's)"
    )
    similar_words: str = Field(
        "", description="ngram: table term<TAB>similar terms, which take [MASK]'s place (MacBERT)"
    )
    tag_labels: bool = Field(False, description="labels for heads that tag parts of speech and entities")
    relation_labels: bool = Field(
        False, description="label for a head that names the relation of a connective, which is masked"
    )


ObjectiveConfig = Annotated[
    SpanCorruptionConfig | PrefixLmConfig | Ul2Config | MlmConfig, Field(discriminator="kind")
]


class BatchConfig(Section):
    """Samples per optimizer step over all ranks, and per forward pass of one rank."""

    global_size: PositiveInt = 128
    micro_size: PositiveInt = 8


class OptimizerConfig(Section):
    """adamw: decoupled AdamW. adamw-rms: AdamW whose step is scaled by the RMS of the parameter. adafactor: T5's."""

    name: Literal["adamw", "adamw-rms", "adafactor"] = "adamw-rms"
    lr: PositiveFloat = Field(0.02, description="peak learning rate")
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: NonNegativeFloat = Field(1.0, description="global gradient norm; 0 turns clipping off")


class ScheduleConfig(Section):
    """Learning rate over steps; warm-up is linear from 0."""

    name: Literal["inverse-sqrt", "cosine", "linear", "wsd", "constant"] = "cosine"
    warmup_steps: NonNegativeInt = 1000
    decay_steps: NonNegativeInt = Field(
        0, description="wsd: length of the final decay; 0 means a tenth of the run"
    )
    min_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = Field(0.1, description="final learning rate / peak")


class ComputeConfig(Section):
    """How a step is computed. Weights, gradients' reduction and optimizer states are fp32 in every precision."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    allow_fp16: bool = Field(
        False, description="T5 overflows in fp16; set to insist on fp16 with loss scaling"
    )
    activation_checkpointing: Literal["none", "selective", "full"] = "none"
    compile: bool = Field(False, description="torch.compile each block in place")
    deterministic: bool = False
    float64: bool = Field(False, description="for tests: everything in double precision")


class ParallelConfig(Section):
    """The mesh: pp x dp_replicate x dp_shard x tp ranks. dp_shard 0 takes the ranks that are left."""

    tp: PositiveInt = 1
    pp: PositiveInt = 1
    dp_replicate: PositiveInt = 1
    dp_shard: NonNegativeInt = 1
    sequence_parallel: bool = Field(
        True, description="with tp > 1: norms and residuals sharded along the sequence"
    )
    pipeline_schedule: Literal["auto", "1f1b", "interleaved", "v"] = "auto"
    timeout_seconds: PositiveInt = Field(1800, description="a collective that takes longer ends the run")


class CheckpointConfig(Section):
    """When to save and what to keep."""

    every: PositiveInt = 1000
    keep: PositiveInt = Field(3, description="newest checkpoints kept")
    asynchronous: bool = True


class LoggingConfig(Section):
    """Metrics always go to metrics.jsonl in the run folder; the rest is optional."""

    every: PositiveInt = 10
    tensorboard: bool = False
    wandb: Literal["off", "offline", "online"] = "off"
    wandb_project: str = "taixue"


class RunConfig(Section):
    """One run."""

    name: str = "run"
    runs: str = Field("runs", description="folder that holds run folders; this run is written to runs/name")
    seed: NonNegativeInt = 1
    steps: PositiveInt = 100_000
    eval_every: NonNegativeInt = Field(1000, description="0: never")
    eval_windows: PositiveInt = Field(256, description="held-out windows per source and evaluation")
    dry_run: bool = Field(True, description="one forward and backward pass on the first batch before step 1")
    init_from: str = Field("", description="HF folder whose weights start the run (continual pretraining)")
    model: ModelConfig = T5Config()
    data: DataConfig = DataConfig()
    knowledge: KnowledgeConfig = KnowledgeConfig()
    objective: ObjectiveConfig = SpanCorruptionConfig()
    batch: BatchConfig = BatchConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    compute: ComputeConfig = ComputeConfig()
    parallel: ParallelConfig = ParallelConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    logging: LoggingConfig = LoggingConfig()
