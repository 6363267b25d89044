"""T5 and BERT trained on kernels lose what they lose on the reference, step by step; alone and on ranks."""

import pytest
import torch

from taixue.kernels import dispatch
from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.models import build_model, model_spec
from taixue.pretrain.models.umt5.config import UMT5Config
from taixue.pretrain.verify.batch import random_batch
from taixue.pretrain.verify.comparison import compare, counts, small
from taixue.pretrain.verify.layouts import parse_layout

from .machine import DEVICE, KERNELS, needs_interpreter

pytest.importorskip("triton")

SHAPE = {"vocab_size": 48, "d_model": 16, "d_ff": 24, "num_heads": 2, "dropout": 0.0}
T5 = T5Config().model_copy(
    update={**SHAPE, "d_kv": 8, "num_encoder_layers": 1, "num_decoder_layers": 1, "relative_buckets": 8}
)
UMT5 = UMT5Config(**T5.model_dump(exclude={"family"}) | {"num_encoder_layers": 2})
BERT = BertConfig().model_copy(update={**SHAPE, "num_layers": 1, "max_positions": 20})


def losses(config: T5Config | BertConfig, mode: str, steps: int) -> list[float]:
    """Of AdamW steps in fp32, each on another batch with padding."""
    spec = model_spec(config, 1, (20, 10))
    model = build_model(config).to(DEVICE)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(spec.init(name, tuple(parameter.shape)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    found = []
    with dispatch.using(mode):
        for step in range(steps):
            batch = {name: value.to(DEVICE) for name, value in random_batch(config, 1, step, 20).items()}
            loss = (model(**batch) / counts(config, batch).to(DEVICE).clamp(min=1)).sum()
            found.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return found


@pytest.mark.parametrize(("config", "steps"), [(T5, 5), (BERT, 5), (UMT5, 3)], ids=["t5", "bert", "umt5"])
def test_steps(config: T5Config | BertConfig, steps: int) -> None:
    expected = losses(config, "reference", steps)
    found = losses(config, KERNELS, steps)
    assert len(set(expected)) == steps
    assert found == pytest.approx(expected, rel=1e-5)


@needs_interpreter
def test_ranks_with_kernels_equal_one_process_without() -> None:
    (layout,) = parse_layout("tp2:sp")
    least = {"num_encoder_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    difference = compare(small(T5Config(), layout).model_copy(update=least), layout, "interpret")
    assert difference.equal, difference
