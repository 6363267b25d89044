"""Made-up batches of a BERT."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from taixue.kernels.loss import IGNORE

from ..label_positions import with_label_positions
from ..probe import Draws
from .config import BertConfig
from .heads import auxiliary


def probe(config: BertConfig, samples: int, step: int, lengths: tuple[int, int]) -> dict[str, Tensor]:
    """See Family.probe. Lengths beyond config.max_positions are cut; the last sample has as many labels as may be."""
    length = min(lengths[0], config.max_positions)
    draw = Draws(samples, step)
    mask = draw.mask(length)
    types = (torch.arange(length) >= length // 2).long().clamp(max=config.token_types - 1)
    most = lengths[1] if 0 < lengths[1] < length else 0
    batch = {
        "input_ids": draw.ids(config.vocab_size, length),
        "token_type_ids": types.expand(samples, -1).contiguous(),
        "labels": _at_most(most, draw.ids(config.vocab_size, length), draw),
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
    return with_label_positions(batch, most)


def pad(batch: Mapping[str, Tensor], multiple: int) -> dict[str, Tensor]:
    """See Family.pad."""
    positions = batch.get("label_positions")
    if positions is None:
        return dict(batch)
    return {**batch, "label_positions": F.pad(positions, (0, -positions.shape[1] % multiple), value=-1)}


def _at_most(most: int, ids: Tensor, draw: Draws) -> Tensor:
    """A fifth of ids (B, S) as labels; with `most` no more of a sample, and the last `most` of the last sample."""
    labels = draw.some(ids, 0.8)
    if most:
        labels[-1] = IGNORE
        labels[-1, -most:] = ids[-1, -most:]
        labels[(labels != IGNORE).cumsum(1) > most] = IGNORE
    return labels


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
