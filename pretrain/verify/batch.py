"""Made-up batches for `taixue verify`: every input and label that a model's configuration knows, none of it even."""

import torch
from torch import Tensor

from taixue.kernels.loss import IGNORE

from ..config.schema import BertConfig, FeaturesConfig, T5Config

TARGET = 10  # no multiple of 4: padding for sequence shards is exercised


def random_batch(config: T5Config | BertConfig, samples: int, step: int, source: int) -> dict[str, Tensor]:
    """Random tokens; some targets are ignored, so that ranks and micro-batches hold unequal counts."""
    generator = torch.Generator().manual_seed(step)

    def ids(length: int) -> Tensor:
        return torch.randint(1, config.vocab_size, (samples, length), generator=generator)

    def drop(labels: Tensor, share: float) -> Tensor:
        return labels.masked_fill(torch.rand(labels.shape, generator=generator) < share, IGNORE)

    def classes(count: int, *shape: int) -> Tensor:
        return drop(torch.randint(0, count, shape, generator=generator), 0.3)

    mask = torch.arange(source)[None] < torch.randint(
        source // 2, source + 1, (samples, 1), generator=generator
    )
    if isinstance(config, T5Config):
        labels = drop(ids(TARGET), 0.2)
        return {
            "input_ids": ids(source),
            "decoder_input_ids": ids(TARGET),
            "labels": labels,
            "attention_mask": mask,
            **_random_features(config.features, samples, source, generator),
        }
    types = (torch.arange(source) >= source // 2).long().expand(samples, -1).contiguous()
    shapes = {"pos": (samples, source), "ne": (samples, source), "relation": (samples,)}
    heads = {name: count for name, count in config.heads.model_dump().items() if count}
    return {
        "input_ids": ids(source),
        "token_type_ids": types,
        "labels": drop(ids(source), 0.8),
        "sop_labels": torch.randint(0, 2, (samples,), generator=generator),
        "attention_mask": mask,
        **{f"{name}_labels": classes(count, *shapes[name]) for name, count in heads.items()},
        **(_random_knowledge(config, samples, source, generator) if config.knowledge_width else {}),
        **_random_features(config.features, samples, source, generator),
    }


def _random_features(
    config: FeaturesConfig, samples: int, source: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Random linguistic inputs of the kinds that `config` wants; the first sample has none."""

    def numbers(limit: int, *shape: int) -> Tensor:
        drawn = torch.randint(0, limit, (samples, source, *shape), generator=generator)
        drawn[0] = 0
        return drawn

    features = {"pos_ids": numbers(config.pos_tags)} if config.pos_tags else {}
    features |= {"role_ids": numbers(config.roles, 3)} if config.roles else {}
    features |= {"word_groups": numbers(2).cumsum(1)} if config.word_bias else {}
    features |= {"clause_groups": numbers(3) // 2} if config.clause_bias else {}
    return features


def _random_knowledge(
    config: BertConfig, samples: int, source: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Two mentions in each sample, but one in the first; vectors and answers of `source` / 2 tokens are random."""
    mentions = torch.zeros(samples, source, dtype=torch.long)
    mentions[:, 2:4], mentions[1:, 5:8] = 1, 2
    answers = torch.randint(0, config.vocab_size, (samples, 2, source // 2), generator=generator)
    answers[0, 1], answers[:, 0, 3:] = IGNORE, IGNORE
    knowledge = torch.randn(samples, source, config.knowledge_width, generator=generator)
    return {
        "mentions": mentions,
        "knowledge": knowledge,
        "mention_relations": knowledge[:, :2].contiguous(),
        "answer_labels": answers,
    }
