"""Options of the runtime that must not change what is learned, and the seams the loop relies on."""

from collections import Counter
from functools import partialmethod
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from taixue.kernels.loss import IGNORE
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime
from taixue.parallel.spawn import run_ranks
from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.models import model_spec
from taixue.pretrain.verify.batch import random_batch
from taixue.pretrain.verify.comparison import counts, small, worst_difference

T5 = small(T5Config(dropout=0.1), Layout(pp=2, tp=2))
BERT = small(BertConfig(dropout=0.0), Layout(pp=2, tp=2))
LENGTHS = (16, 10)
CPU = torch.device("cpu")


def _runtime(model: T5Config | BertConfig, layout: Layout, **options: object) -> Runtime:
    options = {"micro_batches": 2, "dtype": torch.float64, **options}
    return Runtime(model_spec(model, 1, LENGTHS), layout, CPU, **options)  # type: ignore[arg-type]


def _gradients(runtime: Runtime, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    block = slice(runtime.mesh.dp_rank * 4, runtime.mesh.dp_rank * 4 + 4)
    runtime.forward_backward({name: x[block] for name, x in batch.items()}, counts(T5, batch))
    return {name: parameter.grad.full_tensor() for name, parameter in runtime.named_parameters()}


def _same_with(layout: Layout, options: dict[str, object]) -> float:
    batch = random_batch(T5, 4 * layout.dp_shard, 1, 16)
    plain = _gradients(_runtime(T5, layout), batch)
    return worst_difference(_gradients(_runtime(T5, layout, **options), batch).items(), plain)[0]


@pytest.mark.parametrize("mode", ["full", "selective"])
@pytest.mark.parametrize("layout", [Layout(dp_shard=2), Layout(tp=2), Layout(pp=2, schedule="v")], ids=str)
def test_activation_checkpointing_changes_nothing(mode: str, layout: Layout) -> None:
    assert max(run_ranks(_same_with, 2, layout, {"activation_checkpointing": mode})) <= 1e-14


def _exchanges(options: dict[str, object]) -> tuple[dict[str, int], float]:
    """FSDP's exchanges in a step of four micro-batches, and the gradients' difference from a plain runtime's."""
    layout = Layout(dp_shard=2)
    batch = random_batch(T5, 8, 1, 16)
    plain = _gradients(_runtime(T5, layout, micro_batches=4), batch)
    runtime = _runtime(T5, layout, micro_batches=4, **options)
    for _ in range(2):  # the second time around everything has been gathered once, and let go again
        with _Calls() as calls:
            found = _gradients(runtime, batch)
    ops = {"gathers": torch.ops.c10d._allgather_base_, "reductions": torch.ops.c10d._reduce_scatter_base_}
    return {name: calls.seen[op] for name, op in ops.items()}, worst_difference(found.items(), plain)[0]


class _Calls(TorchDispatchMode):
    """Counts calls of every operator."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Counter[object]()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[op.overloadpacket] += 1
        return op(*args, **(kwargs or {}))


def test_weights_may_stay_gathered_and_gradients_be_reduced_with_every_micro_batch() -> None:
    units = 5  # two encoder layers, two decoder layers, the rest
    plain, same = run_ranks(_exchanges, 2, {})[0]
    assert same == 0
    assert plain["reductions"] == units
    assert plain["gathers"] > 4 * units
    kept, same = run_ranks(_exchanges, 2, {"keep_gathered": True})[0]
    assert same == 0
    assert kept == {"gathers": units, "reductions": units}
    reduced, same = run_ranks(_exchanges, 2, {"reduce_every_micro_batch": True})[0]
    assert same <= 1e-14
    assert reduced == {"gathers": plain["gathers"], "reductions": 4 * units}


def _compiled(layout: Layout, mode: str, backend: str) -> tuple[float, int, int]:
    with mock.patch.object(
        torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend=backend)
    ):
        difference = _same_with(layout, {"compile_blocks": True, "activation_checkpointing": mode})
    counters = torch._dynamo.utils.counters
    return difference, counters["stats"]["unique_graphs"], len(counters["graph_break"])


# inductor takes most of a minute; what checkpointing changes is in the graphs
@pytest.mark.parametrize(
    ("layout", "mode", "backend"),
    [(Layout(tp=2), "full", "aot_eager"), (Layout(), "selective", "inductor")],
    ids=["tp2-full-aot_eager", "selective-inductor"],
)
def test_compiled_blocks_are_compiled_and_compute_the_same(layout: Layout, mode: str, backend: str) -> None:
    for difference, graphs, breaks in run_ranks(_compiled, layout.world, layout, mode, backend, deadline=280):
        assert difference <= 1e-12
        assert graphs >= 2  # an encoder and a decoder layer
        assert breaks == 0


def _bfloat16(layout: Layout) -> tuple[float, list[torch.dtype], float]:
    batch = random_batch(T5, 4 * layout.dp_shard, 1, 16)
    runtime = _runtime(T5, layout, dtype=torch.float32, compute_dtype=torch.bfloat16)
    grads = _gradients(runtime, batch)
    exact = _gradients(_runtime(T5, layout), batch)
    cosine = min(
        torch.nn.functional.cosine_similarity(
            grads[name].double().flatten(), exact[name].flatten(), dim=0
        ).item()
        for name in grads
    )
    dtypes = [parameter.dtype for _, parameter in runtime.named_parameters()]
    return cosine, sorted({*dtypes, *(grad.dtype for grad in grads.values())}, key=str), 0.0


@pytest.mark.parametrize("layout", [Layout(dp_shard=2), Layout(tp=2), Layout(pp=2, schedule="1f1b")], ids=str)
def test_bfloat16_computes_on_fp32_masters(layout: Layout) -> None:
    for cosine, dtypes, _ in run_ranks(_bfloat16, 2, layout):
        assert dtypes == [torch.float32]
        assert cosine > 0.99


def _evaluate(model: T5Config | BertConfig, layout: Layout) -> tuple[float, float]:
    batch = random_batch(model, 4 * layout.dp_shard, 2, 16)
    runtime = _runtime(model, layout)
    block = slice(runtime.mesh.dp_rank * 4, runtime.mesh.dp_rank * 4 + 4)
    mine = {name: x[block] for name, x in batch.items()}
    trained = runtime.forward_backward(mine, counts(model, batch))
    evaluated = runtime.evaluate(mine, micro_batches=2) / counts(model, batch)
    again = runtime.forward_backward(mine, counts(model, batch))
    assert trained is not None
    assert again is not None
    return (trained - evaluated).abs().max().item(), (trained - again).abs().max().item()


@pytest.mark.parametrize("model", [T5.model_copy(update={"dropout": 0.0}), BERT], ids=["t5", "bert"])
@pytest.mark.parametrize("schedule", ["1f1b", "interleaved", "v"])
def test_evaluation_gives_the_training_loss_and_disturbs_nothing(
    model: T5Config | BertConfig, schedule: str
) -> None:
    for first, second in run_ranks(_evaluate, 2, model, Layout(pp=2, schedule=schedule)):
        assert max(first, second) <= 1e-14


def _dropout(layout: Layout) -> tuple[list[float], list[float]]:
    model = BERT.model_copy(update={"dropout": 0.3})
    runtime = _runtime(model, layout)
    batch = random_batch(model, 4, 0, 16)
    norms, masks = [], []
    for step in (1, 2, 1):
        runtime.seed(1, step)
        runtime.forward_backward(batch, counts(model, batch))
        norms.append(runtime.grad_norm().item())
    for module in runtime.parts[0].modules():
        if type(module).__name__ == "BertLayer":
            module.register_forward_hook(lambda _, args, out: masks.append(out.sum().item()))
    runtime.seed(1, 1)
    runtime.forward_backward(batch, counts(model, batch))
    return norms, masks


def test_dropout_follows_the_seed_and_stays_equal_where_activations_are_replicated() -> None:
    (first, states), (second, other_states) = run_ranks(_dropout, 2, Layout(tp=2, sequence_parallel=False))
    assert first == second
    assert first[0] == first[2] != first[1]
    assert states == other_states  # the residual stream is the same on both ranks


def _micro(layout: Layout, sizes: tuple[int, ...]) -> list[float]:
    batch = random_batch(T5, 4 * layout.dp_shard, 1, 16)
    whole = _gradients(_runtime(T5, layout, micro_batches=sizes[0]), batch)
    cut = [_gradients(_runtime(T5, layout, micro_batches=size), batch) for size in sizes[1:]]
    return [worst_difference(gradients.items(), whole)[0] for gradients in cut]


@pytest.mark.parametrize("layout", [Layout(dp_shard=2), Layout(tp=2)], ids=str)
def test_micro_batches_change_nothing_though_there_is_dropout(layout: Layout) -> None:
    for differences in run_ranks(_micro, 2, layout, (1, 2, 4)):
        assert max(differences) <= 1e-12


def _taught(model: T5Config | BertConfig, layout: Layout) -> float:
    """A teacher beside the labels: largest relative difference of losses and gradients from one process."""
    model = model.model_copy(update={"dropout": 0.0})
    batch = random_batch(model, 4, 0, 16)
    shape = (*batch["labels"].shape, 3)
    generator = torch.Generator().manual_seed(5)
    ids = torch.rand((*shape[:2], model.vocab_size), generator=generator).topk(3).indices
    ids[0, :2] = IGNORE  # nothing is said of these positions
    said = torch.rand(shape, generator=generator, dtype=torch.float64).add(0.1).log_softmax(-1) - 0.3
    batch |= {"teacher_ids": ids, "teacher_log_probabilities": said}
    numbers = torch.cat((counts(model, batch), torch.tensor([float((ids[..., 0] != IGNORE).sum())])))
    spec = model_spec(model, 1, LENGTHS, teacher=True)
    module = spec.build(None).double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(spec.init(name, tuple(parameter.shape)))
    expected = module(**batch) / numbers.clamp(min=1)
    expected.sum().backward()
    runtime = Runtime(spec, layout, CPU, micro_batches=2, dtype=torch.float64)
    means = runtime.forward_backward(batch, numbers)
    assert means is not None
    assert len(means) == len(spec.loss_names)
    assert means[-1] > 0
    plain = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    found = [(name, p.grad.full_tensor()) for name, p in runtime.named_parameters() if name in plain]
    return max(worst_difference(found, plain)[0], ((means - expected).abs().max() / expected.max()).item())


@pytest.mark.parametrize("model", [T5, BERT], ids=["t5", "bert"])
@pytest.mark.parametrize("layout", [Layout(tp=2), Layout(pp=2, schedule="1f1b")], ids=str)
def test_a_teacher_is_learned_from_in_any_layout(model: T5Config | BertConfig, layout: Layout) -> None:
    assert max(run_ranks(_taught, 2, model, layout)) <= 1e-12


def _stops() -> tuple[bool, bool]:
    runtime = _runtime(T5, Layout())
    batch = random_batch(T5, 4, 0, 16)
    asked = iter([False, True])
    given_up = runtime.forward_backward(batch, counts(T5, batch), should_stop=lambda: next(asked)) is None
    return given_up, all(parameter.grad is None for _, parameter in runtime.named_parameters())


def test_a_step_can_be_given_up_between_micro_batches() -> None:
    assert run_ranks(_stops, 1) == [(True, True)]


def _unset() -> str:
    runtime = _runtime(T5, Layout(), initialise=False)
    name = "encoder.final_norm.weight"
    runtime.load(lambda key, shape: torch.full(shape, float("nan") if key == name else 1.0))
    with pytest.raises(RuntimeError, match="nothing was written into") as caught:
        runtime.check_weights()
    runtime.load(lambda key, shape: torch.ones(shape))
    runtime.check_weights()
    return str(caught.value)


def test_a_weight_that_nothing_was_written_into_is_noticed() -> None:
    assert "encoder.final_norm.weight (1 parameters)" in run_ranks(_unset, 1)[0]
