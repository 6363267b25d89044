"""States and logits of a batch are those of one process, whatever the layout; every rank has them whole."""

import pytest
import torch
from torch import Tensor

from taixue.parallel.engine import Wanted
from taixue.parallel.mesh import Layout
from taixue.parallel.outputs import outputs
from taixue.parallel.runtime import Runtime
from taixue.parallel.spawn import run_ranks
from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.models import build_model, model_spec
from taixue.pretrain.verify.batch import random_batch
from taixue.pretrain.verify.comparison import describe, parse_layout, small

CPU = torch.device("cpu")
LAYOUTS = [
    layout
    for name in ("tp2:sp", "tp2:nosp", "pp2:v", "pp2:1f1b", "tp2xpp2:interleaved:sp", "dp2")
    for layout in parse_layout(name)
]
LABELS = ("labels", "sop_labels")


def _expected(model: T5Config | BertConfig, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """By the plain model, the states caught where the family says they are."""
    spec, plain, caught = (
        model_spec(model, 1, (16, 10)),
        build_model(model).double().eval(),
        dict[str, Tensor](),
    )
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            parameter.copy_(spec.init(name, tuple(parameter.shape)))
        for name, (place, _) in spec.outputs.items():
            plain.get_submodule(place).register_forward_pre_hook(
                lambda _, args, name=name: caught.update({name: args[0]})
            )
        out = plain(**batch)
    logits = out[0] if isinstance(out, tuple) else out
    values, ids = logits.log_softmax(-1).topk(3)
    return caught | {"logits": logits, "top_ids": ids, "top_log_probabilities": values}


def _outputs(model: T5Config | BertConfig, layout: Layout) -> float:
    samples = 4 * layout.dp_shard
    whole = {name: x for name, x in random_batch(model, samples, 1, 16).items() if name not in LABELS}
    runtime = Runtime(model_spec(model, 1, (16, 10)), layout, CPU, micro_batches=2, dtype=torch.float64)
    block = slice(runtime.mesh.dp_rank * 4, runtime.mesh.dp_rank * 4 + 4)
    batch = {name: x[block] for name, x in whole.items()}
    wanted = Wanted(states=tuple(runtime.spec.outputs), logits=True, top_k=3)
    expected = _expected(model, batch)
    worst = 0.0
    for _ in range(2):  # a pipeline's first run is special
        found = outputs(runtime, batch, wanted, layout.pp)
        assert found.keys() == expected.keys()
        assert found["states"].shape[:2] == found["top_ids"].shape[:2]
        assert (found["top_ids"] == expected["top_ids"]).all()
        worst = max(worst, *((found[name] - value).abs().max().item() for name, value in expected.items()))
    some = outputs(runtime, batch, Wanted(states=(), top_k=3, rows=1), layout.pp)
    each = 4 // layout.pp
    assert torch.equal(some["top_ids"], found["top_ids"][::each]), "the first of each micro-batch"
    labelled = random_batch(model, samples, 1, 16)
    mine = {name: x[block] for name, x in labelled.items()}
    runtime.evaluate(mine, layout.pp)  # another form of batch, through other runners
    only_states = outputs(runtime, batch, Wanted(), layout.pp)
    assert only_states.keys() == {"states"}
    assert torch.equal(only_states["states"], found["states"])
    return worst


@pytest.mark.parametrize(
    ("model", "layout"),
    [*((T5Config(), layout) for layout in LAYOUTS), *((BertConfig(), layout) for layout in LAYOUTS[::2])],
    ids=lambda value: describe(value) if isinstance(value, Layout) else value.family,
)
def test_outputs_equal_those_of_one_process(model: T5Config | BertConfig, layout: Layout) -> None:
    assert max(run_ranks(_outputs, layout.world, small(model, layout), layout)) <= 1e-12


def _labelled() -> bool:
    model = small(T5Config(), Layout())
    runtime = Runtime(model_spec(model, 1, (16, 10)), Layout(), CPU, micro_batches=1)
    with pytest.raises(ValueError, match="without labels"):
        outputs(runtime, random_batch(model, 2, 1, 16), Wanted(top_k=1), 1)
    return True


def test_logits_of_a_batch_with_labels_are_refused() -> None:
    assert run_ranks(_labelled, 1) == [True]
