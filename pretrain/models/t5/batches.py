"""Batches of a T5: made up, and padded."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from taixue.kernels.loss import IGNORE

from ..probe import Draws
from .config import T5Config


def probe(config: T5Config, samples: int, step: int, lengths: tuple[int, int]) -> dict[str, Tensor]:
    """See Family.probe."""
    source, target = lengths
    draw = Draws(samples, step)
    mask = draw.mask(source)
    labels = draw.some(draw.ids(config.vocab_size, target), 0.2)
    return {
        "input_ids": draw.ids(config.vocab_size, source),
        "decoder_input_ids": draw.ids(config.vocab_size, target),
        "labels": labels,
        "attention_mask": mask,
        **draw.features(config.features, source),
    }


def pad(batch: Mapping[str, Tensor], multiple: int) -> dict[str, Tensor]:
    """Decoder inputs and labels (B, T) extended to a multiple of `multiple`; what is added is causal and ignored."""
    missing = -batch["decoder_input_ids"].shape[1] % multiple
    filling = {
        "decoder_input_ids": 0,
        "labels": IGNORE,
        "decoder_segments": 0,
        "teacher_ids": IGNORE,
        "teacher_log_probabilities": 0,
    }
    return {
        name: F.pad(x, (0, 0) * (x.ndim - 2) + (0, missing), value=filling[name]) if name in filling else x
        for name, x in batch.items()
    }
