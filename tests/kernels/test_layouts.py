"""The fused ops under tensor parallelism, FSDP2, checkpointing and compilation: the gradients of the reference."""

from functools import partialmethod
from unittest import mock

import pytest
import torch
from torch import Tensor

from taixue.kernels import dispatch
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime
from taixue.parallel.spawn import run_ranks
from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.models import model_spec
from taixue.pretrain.verify.batch import random_batch
from taixue.pretrain.verify.comparison import counts, small, worst_difference

from .machine import needs_interpreter

T5 = small(T5Config(), Layout(tp=2)).model_copy(update={"num_encoder_layers": 2, "num_decoder_layers": 2})
BERT = small(BertConfig(), Layout(tp=2)).model_copy(update={"num_layers": 1})


def gradients(
    mode: str,
    model: T5Config | BertConfig,
    layout: Layout,
    batch: dict[str, Tensor],
    options: dict[str, object],
) -> dict[str, Tensor]:
    with dispatch.using(mode):
        runtime = Runtime(
            model_spec(model, 1, (16, 10)),
            layout,
            torch.device("cpu"),
            micro_batches=layout.pp,
            dtype=torch.float64,
            **options,  # type: ignore[arg-type]
        )
        block = slice(runtime.mesh.dp_rank * 2, runtime.mesh.dp_rank * 2 + 2)
        runtime.forward_backward({name: x[block] for name, x in batch.items()}, counts(model, batch))
        return {name: p.grad.full_tensor() for name, p in runtime.named_parameters() if p.grad is not None}


def difference(model: T5Config | BertConfig, layout: Layout, options: dict[str, object]) -> float:
    """On one rank: of the gradients with interpreted kernels and with the reference."""
    batch = random_batch(model, 2 * layout.dp_shard, 1, 16)
    expected = gradients("reference", model, layout, batch, {})
    # inductor takes half a minute and leaves the ops, which are opaque to it, as they are
    compile_ = partialmethod(torch.nn.Module.compile, backend="aot_eager")
    with mock.patch.object(torch.nn.Module, "compile", compile_):
        found = gradients("interpret", model, layout, batch, options)
    return worst_difference(found.items(), expected)[0]


@pytest.mark.parametrize(
    ("model", "layout", "options"),
    [
        (T5, Layout(pp=2, schedule="v"), {"activation_checkpointing": "selective"}),
        (BERT, Layout(tp=2, sequence_parallel=True), {"activation_checkpointing": "full"}),
        (BERT, Layout(dp_shard=2), {"compile_blocks": True}),
    ],
    ids=["t5-pp-selective", "bert-tp-full", "bert-fsdp-compile"],
)
@needs_interpreter
def test_gradients_are_the_references(
    model: T5Config | BertConfig, layout: Layout, options: dict[str, object]
) -> None:
    pytest.importorskip("triton")
    assert max(run_ranks(difference, 2, model, layout, options, deadline=280)) <= 1e-12
