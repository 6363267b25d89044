"""How gradients become weights: sections of the configuration."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from taixue.base.section import Fraction, Section


class OptimizerSection(Section):
    """What every optimizer has. Matrices alone are decayed: norms, biases and attention-bias tables are spared."""

    name: str = ""
    lr: PositiveFloat = Field(0.02, description="peak learning rate")
    weight_decay: NonNegativeFloat = Field(0.0, description="of matrices alone; times the learning rate")
    clip_norm: NonNegativeFloat = Field(1.0, description="global gradient norm; 0 turns clipping off")


class _Moments(OptimizerSection):
    betas: tuple[Fraction, Fraction] = Field(
        (0.9, 0.98), description="decay of the first and of the second moment"
    )
    eps: PositiveFloat = Field(1e-8, description="added to the root of the second moment")


class AdamWConfig(_Moments):
    """Decoupled AdamW."""

    name: Literal["adamw"] = "adamw"


class AdamWRmsConfig(_Moments):
    """AdamW whose step is scaled by the RMS of the parameter."""

    name: Literal["adamw-rms"] = "adamw-rms"


class AdafactorConfig(_Moments):
    """T5's Adafactor. It takes no notice of betas and eps, which configurations of it may have."""

    name: Literal["adafactor"] = "adafactor"


class ScheduleSection(Section):
    """What every schedule has: a linear warm-up from 0, a last rate, and a second round of both after an extension."""

    name: str = ""
    warmup_steps: NonNegativeInt = Field(1000, description="steps of the linear warm-up")
    min_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = Field(0.1, description="final learning rate / peak")
    extend: NonNegativeInt = Field(
        0,
        description="steps that a finished run had when `steps` was raised: from there its last rate is warmed up "
        "to the peak again in warmup_steps, and decays anew; 0: one schedule over all steps",
    )


class _Decay(ScheduleSection):
    decay_steps: NonNegativeInt = Field(
        0, description="wsd: length of the final decay; 0 means a tenth of the run"
    )


class InverseSqrtConfig(_Decay):
    """As the inverse square root of the step: T5's."""

    name: Literal["inverse-sqrt"] = "inverse-sqrt"


class CosineConfig(_Decay):
    """Half a period of a cosine."""

    name: Literal["cosine"] = "cosine"


class LinearConfig(_Decay):
    """A line."""

    name: Literal["linear"] = "linear"


class WsdConfig(_Decay):
    """Warm-up, stable, decay."""

    name: Literal["wsd"] = "wsd"


class ConstantConfig(_Decay):
    """The peak, for ever."""

    name: Literal["constant"] = "constant"
