"""The LM head on positions of labels only computes what it computes on all of them, and never loses a label."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from taixue.kernels.loss import IGNORE
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime
from taixue.parallel.spawn import run_ranks
from taixue.pretrain.config.schema import BertConfig, FeaturesConfig, HeadsConfig
from taixue.pretrain.models import FAMILIES, build_model, model_spec
from taixue.pretrain.models.albert.config import AlbertConfig
from taixue.pretrain.models.label_positions import with_label_positions
from taixue.pretrain.verify.comparison import counts, small, worst_difference

LENGTH, MOST, SAMPLES = 16, 5, 4
BERT = BertConfig(
    heads=HeadsConfig(pos=6, relation=3), knowledge_width=4, features=FeaturesConfig(pos_tags=4)
)
MODELS = {
    "post": BERT,
    "pre": BERT.model_copy(update={"norm": "pre", "activation": "relu"}),
    "albert": AlbertConfig(),
}


def _batch(config: BertConfig, most: int = MOST) -> dict[str, Tensor]:
    """With padding; the first sample has no label, the second one at position 0, the last as many as may be."""
    batch = FAMILIES.of(config).probe(config, SAMPLES, 3, (LENGTH, most))
    batch["labels"][:2] = IGNORE
    batch["labels"][1, 0] = 7
    return with_label_positions({k: x for k, x in batch.items() if k != "label_positions"}, most)


def _dense(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: x for name, x in batch.items() if name != "label_positions"}


@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients_are_those_of_all_positions(name: str) -> None:
    config = small(MODELS[name], Layout()).model_copy(update={"dropout": 0.0})
    batch = _batch(config)
    assert ((batch["label_positions"] >= 0).sum(1) == (batch["labels"] != IGNORE).sum(1)).all()
    assert (batch["label_positions"][0] < 0).all()
    assert (batch["label_positions"][-1] >= 0).all()
    assert not batch["attention_mask"].all()
    seen = []
    model = build_model(config).double()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(FAMILIES.of(config).init(key, tuple(parameter.shape), config, 1))
    model.get_submodule("lm_head").register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[:2]))
    losses, gradients = [], []
    for given in (_dense(batch), batch):
        model.zero_grad()
        losses.append(model(**given))
        (losses[-1] / counts(config, batch).clamp(min=1)).sum().backward()
        gradients.append({key: p.grad for key, p in model.named_parameters() if p.grad is not None})
    assert {(SAMPLES, LENGTH), (SAMPLES, MOST)} <= set(seen)
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-12, atol=0)
    assert gradients[1].keys() == gradients[0].keys()
    assert worst_difference(gradients[1].items(), gradients[0])[0] <= 1e-12


class _Waits(TorchDispatchMode):
    """Operators whose result, or its shape, the host would wait for on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in (
            "nonzero",
            "_local_scalar_dense",
            "masked_select",
            "unique",
            "bincount",
        ):
            self.found.add(str(func))
        return func(*args, **(kwargs or {}))


def test_the_host_never_waits_for_positions() -> None:
    config = small(BertConfig(), Layout())
    model, batch = build_model(config), _batch(config)
    with _Waits() as waits:
        model(**batch).sum().backward()
    assert not waits.found
    with _Waits() as waits:
        batch["labels"].nonzero()
    assert waits.found == {"aten.nonzero.default"}


def _sharded(config: BertConfig, most: int) -> float:
    """Sparse over sequence shards beside dense in one process: largest relative difference."""
    batch = _batch(config, most)
    spec = model_spec(config, 1, (LENGTH, most))
    runtime = Runtime(spec, Layout(tp=2), torch.device("cpu"), micro_batches=2, dtype=torch.float64)
    means = runtime.forward_backward(batch, counts(config, batch))
    plain = spec.build(None).double()
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            parameter.copy_(spec.init(name, tuple(parameter.shape)))
    expected = plain(**_dense(batch)) / counts(config, batch).clamp(min=1)
    expected.sum().backward()
    gradients = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    found = [(name, p.grad.full_tensor()) for name, p in runtime.named_parameters() if name in gradients]
    assert means is not None
    return max(
        ((means - expected).abs().max() / expected.max()).item(), worst_difference(found, gradients)[0]
    )


def test_a_number_of_positions_that_ranks_cannot_share_out_is_padded() -> None:
    config = small(MODELS["pre"], Layout(tp=2)).model_copy(update={"dropout": 0.0})
    assert max(run_ranks(_sharded, 2, config, 7)) <= 1e-12


def test_no_label_is_lost_silently() -> None:
    labels = torch.full((2, 8), IGNORE)
    labels[1, 3:7] = 1
    assert with_label_positions({"labels": labels}, 5)["label_positions"][1].tolist() == [3, 4, 5, 6, -1]
    assert with_label_positions({"labels": labels}, 4)["label_positions"][1].tolist() == [3, 4, 5, 6]
    with pytest.raises(ValueError, match="a sample with 4 labels, though its objective makes at most 3"):
        with_label_positions({"labels": labels}, 3)


def test_all_positions_are_seen_where_nothing_is_saved() -> None:
    labels = torch.ones(2, 8, dtype=torch.long)
    teacher = {"teacher_ids": torch.ones(2, 8, 3, dtype=torch.long)}
    for batch, most in (
        ({"labels": labels}, 0),
        ({"labels": labels}, 8),
        ({"labels": labels} | teacher, 4),
    ):
        assert with_label_positions(batch, most).keys() == batch.keys()


def test_a_teacher_is_heard_at_every_position() -> None:
    config = small(BertConfig(), Layout()).model_copy(update={"dropout": 0.0})
    model, batch = build_model(config).double(), _batch(config)
    ids = torch.arange(3).expand(SAMPLES, LENGTH, 3).contiguous()
    batch |= {
        "teacher_ids": ids,
        "teacher_log_probabilities": torch.full(ids.shape, -2.0, dtype=torch.float64),
    }
    assert torch.equal(model(**batch), model(**_dense(batch)))
