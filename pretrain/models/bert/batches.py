"""Made-up batches of a BERT."""

import torch
from torch import Tensor

from taixue.kernels.loss import IGNORE

from ..probe import Draws
from .config import BertConfig
from .heads import auxiliary


def probe(config: BertConfig, samples: int, step: int, lengths: tuple[int, int]) -> dict[str, Tensor]:
    """See Family.probe. Lengths beyond config.max_positions are cut."""
    length = min(lengths[0], config.max_positions)
    draw = Draws(samples, step)
    mask = draw.mask(length)
    types = (torch.arange(length) >= length // 2).long().clamp(max=config.token_types - 1)
    return {
        "input_ids": draw.ids(config.vocab_size, length),
        "token_type_ids": types.expand(samples, -1).contiguous(),
        "labels": draw.some(draw.ids(config.vocab_size, length), 0.8),
        "sop_labels": draw.numbers(0, 2),
        "attention_mask": mask,
        **{
            head.labels: draw.some(
                draw.numbers(0, classes, *((length,) if head.reads == "tokens" else ())), 0.3
            )
            for head, classes in auxiliary(config.heads)
        },
        **(_knowledge(config, draw, length) if config.knowledge_width else {}),
        **draw.features(config.features, length),
    }


def _knowledge(config: BertConfig, draw: Draws, length: int) -> dict[str, Tensor]:
    """Two mentions in each sample, but one in the first; vectors and answers are random."""
    mentions = torch.zeros(draw.samples, length, dtype=torch.long)
    mentions[:, 2:4], mentions[1:, 5:8] = 1, 2
    answers = draw.numbers(0, config.vocab_size, 2, max(length // 2, 1))
    answers[0, 1], answers[:, 0, 3:] = IGNORE, IGNORE
    knowledge = draw.normal(length, config.knowledge_width)
    return {
        "mentions": mentions,
        "knowledge": knowledge,
        "mention_relations": knowledge[:, [0, min(1, length - 1)]],
        "answer_labels": answers,
    }
