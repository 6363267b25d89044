"""What a family adds to a batch so that ranks can share its sequences."""

import torch

from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.models import model_spec


def test_padding_of_targets_is_ignored_by_the_loss() -> None:
    batch = {
        name: torch.ones(2, 5, dtype=torch.long) for name in ("input_ids", "decoder_input_ids", "labels")
    }
    padded = model_spec(T5Config(), 1, (5, 5)).pad(batch, 4)
    assert padded["labels"].shape == padded["decoder_input_ids"].shape == (2, 8)
    assert (padded["labels"][:, 5:] == -100).all()
    assert padded["input_ids"].shape == (2, 5)


def test_padding_of_label_positions_names_none() -> None:
    batch = {"label_positions": torch.tensor([[0, 4, -1], [2, -1, -1]])}
    padded = model_spec(BertConfig(), 1, (5, 3)).pad(batch, 4)
    assert padded["label_positions"].tolist() == [[0, 4, -1, -1], [2, -1, -1, -1]]


def test_an_encoder_has_no_targets_to_pad() -> None:
    batch = {"input_ids": torch.ones(2, 5, dtype=torch.long)}
    assert model_spec(BertConfig(), 1, (5, 0)).pad(batch, 4) == batch
