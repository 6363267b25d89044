"""Packed samples: what a model computes for each is what it computes for it alone."""

import numpy as np
import torch

from taixue.base import rng
from taixue.pretrain.config.schema import BertConfig, Denoiser, MlmConfig, T5Config, Ul2Config
from taixue.pretrain.models.bert.model import Bert
from taixue.pretrain.models.t5.model import T5
from taixue.pretrain.objectives import build_objective

from ..objectives.fake import fake_bert, fake_t5

KEYS = rng.derive(np.uint64(1), np.arange(2))


def _noisy(model: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.double().eval()


def test_t5_stretches_do_not_see_one_another() -> None:
    denoisers = (Denoiser(), Denoiser(mode="S", spans="prefix"), Denoiser(mode="X", noise_density=0.5))
    objective = build_objective(Ul2Config(input_length=64, denoisers=denoisers), fake_t5(20, 100))
    tokens = rng.below(rng.draw(KEYS, 99, objective.raw_length), 70).astype(np.int32) + 3
    arrays = {name: torch.from_numpy(array) for name, array in objective(tokens, KEYS).items()}
    shape = T5Config(vocab_size=100, d_model=8, d_kv=4, d_ff=16, num_heads=2, num_encoder_layers=2)
    model = _noisy(T5(shape.model_copy(update={"num_decoder_layers": 2})))
    with torch.no_grad():
        packed = model(**{name: array for name, array in arrays.items() if name != "labels"})
        for row in range(2):
            for number in (1, 2, 3):
                mine = arrays["segments"][row] == number
                targets = arrays["decoder_segments"][row] == number
                alone = model(
                    input_ids=arrays["input_ids"][row, mine][None],
                    decoder_input_ids=arrays["decoder_input_ids"][row, targets][None],
                )
                torch.testing.assert_close(packed[row, targets], alone[0], rtol=1e-10, atol=1e-10)


def test_bert_documents_do_not_see_one_another() -> None:
    config = MlmConfig(input_length=32, sentence_order=False, documents="separate")
    objective = build_objective(config, fake_bert())
    tokens = rng.below(rng.draw(KEYS, 99, objective.raw_length), 150).astype(np.int32) + 5
    tokens[:, [7, 20]] = 3
    arrays = {name: torch.from_numpy(array) for name, array in objective(tokens, KEYS).items()}
    shape = BertConfig(vocab_size=200, d_model=8, d_ff=16, num_heads=2, num_layers=2, max_positions=32)
    model = _noisy(Bert(shape))
    given = ("input_ids", "token_type_ids", "segments")
    with torch.no_grad():
        packed, _ = model(**{name: arrays[name] for name in given})
        for row in range(2):
            for number in (1, 2, 3):
                mine = arrays["segments"][row] == number
                alone, _ = model(**{name: arrays[name][row, mine][None] for name in given[:2]})
                torch.testing.assert_close(packed[row, mine], alone[0], rtol=1e-10, atol=1e-10)
