"""Hard labels and a teacher's top-k in one pass: as a loop over positions in float64, whole or split."""

import random
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from taixue.kernels import dispatch
from taixue.kernels.loss import (
    IGNORE,
    Targets,
    Teacher,
    linear_cross_entropy_sum,
    linear_loss_sums,
    linear_top_k,
)
from taixue.parallel.vocabulary import vocabulary_split
from tests.dist import run_ranks

from .compare import assert_equals_float64, assert_same_bits, values_and_gradients
from .machine import BACKEND, DEVICE, KERNELS
from .test_loss import Largest, data


def teacher_of(rows: int, vocabulary: int, k: int, t: float, seed: int = 0) -> Teacher:
    """Random ids in no order; some positions without a teacher, some with fewer ids than k."""
    generator = torch.Generator().manual_seed(seed)
    everything = (2 * torch.randn(rows, vocabulary, generator=generator, dtype=torch.float64)).log_softmax(-1)
    ids = torch.rand(rows, vocabulary, generator=generator).argsort(-1)[:, :k]
    log_probabilities = everything.gather(1, ids)
    ids[2::5, k // 2 :] = IGNORE
    ids[3::5] = IGNORE
    log_probabilities[ids == IGNORE] = float("nan")
    return Teacher(ids.to(DEVICE), log_probabilities.to(DEVICE), t)


def plain(
    x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor | None, teacher: Teacher
) -> tuple[Tensor, Tensor]:
    """What the chunked pass must equal, on whole logits, one position after another."""
    logits, t = F.linear(x, weight, bias), teacher.temperature
    hard = soft = logits.new_zeros(()) + 0 * logits.sum()
    if labels is not None:
        hard = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    for row, ids, log_q in zip(logits, teacher.ids, teacher.log_probabilities, strict=True):
        named = ids != IGNORE
        log_p, log_q = (row / t).log_softmax(-1), log_q[named].to(row.dtype)
        others = [column for column in range(len(row)) if column not in ids.tolist()]
        soft = soft + t**2 * (log_q.exp() * (log_q - log_p[ids[named]])).sum()
        if others:
            rest = 1 - log_q.exp().sum()
            soft = soft + t**2 * rest * (rest.log() - log_p[others].logsumexp(0))
    return hard, soft


def error(got: list[Tensor], expected: list[Tensor]) -> float:
    """Largest relative difference; of what is next to nothing, absolute; nan where there is one."""
    pairs = zip(got, expected, strict=True)
    return torch.stack([(a - b).norm() / b.norm().clamp(min=1e-2) for a, b in pairs]).max().item()


@pytest.mark.parametrize("mode", ["reference", KERNELS])
@settings(max_examples=40)
@given(
    rows=st.sampled_from((1, 2, 7, 20)),
    sizes=st.sampled_from(((2, 1), (2, 2), (31, 31), (131, 1), (131, 5), (131, 64), (257, 256))),
    bias=st.booleans(),
    hard=st.booleans(),
    t=st.sampled_from((1.0, 2.0, 0.7)),
    chunk=st.sampled_from((None, 3)),
    seed=st.integers(0, 9),
)
def test_equal_to_a_loop_in_float64(
    mode: str,
    rows: int,
    sizes: tuple[int, int],
    bias: bool,
    hard: bool,
    t: float,
    chunk: int | None,
    seed: int,
) -> None:
    pytest.importorskip("triton")
    tensors, labels = data(rows, 24, sizes[0], bias, torch.float64)
    targets = Targets(labels if hard else None, teacher_of(rows, *sizes, t, seed))
    with dispatch.using(mode):
        got = values_and_gradients(
            lambda *three: linear_loss_sums(*three, targets, chunk_rows=chunk), tensors
        )
    expected = values_and_gradients(lambda *three: plain(*three, targets.labels, targets.teacher), tensors)
    assert error(got, expected) <= 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("k", [1, 8, 131])
def test_lower_precision_is_near_float64_and_bits_repeat(dtype: torch.dtype, k: int) -> None:
    tensors, labels = data(20, 24, 131, True, dtype)
    teacher = teacher_of(20, 131, k, 2.0)
    function = lambda *three: linear_loss_sums(*three, Targets(labels, teacher), chunk_rows=6)  # noqa: E731
    with dispatch.using("reference"):
        assert_equals_float64(function, lambda *three: plain(*three, labels, teacher), tensors)
        assert_same_bits(function, tensors)


def test_a_rest_far_below_the_smallest_number_is_exact() -> None:
    """The student gives the rest e^-300, which fp32 cannot hold; and the id that the teacher names, in turn."""
    weight = torch.eye(6, device=DEVICE)
    x = torch.tensor([[300.0, 0, 0, 1, 2, 3], [-300.0, 0, 0, 1, 2, 3]], device=DEVICE)
    ids = torch.zeros(2, 1, dtype=torch.long, device=DEVICE)
    teacher = Teacher(ids, torch.full((2, 1), 0.9, device=DEVICE).log())
    function = lambda a, b: linear_loss_sums(a, b, None, Targets(teacher=teacher))  # noqa: E731
    with dispatch.using("reference"):
        assert_equals_float64(function, lambda a, b: plain(a, b, None, None, teacher), [x, weight])


def test_a_student_that_agrees_has_no_loss_and_no_gradient() -> None:
    (x, weight, bias), _ = data(9, 16, 60, True, torch.float64)
    ids, log_probabilities = linear_top_k(x, weight, bias, 7, temperature=2.0)
    teacher = Teacher(ids, log_probabilities, 2.0)
    got = values_and_gradients(
        lambda *three: linear_loss_sums(*three, Targets(teacher=teacher)), [x, weight, bias]
    )
    assert all((value.abs() <= 1e-13).all() for value in got)


def test_the_hard_sum_has_the_bits_of_hard_labels_alone() -> None:
    tensors, labels = data(20, 24, 131, True)
    inputs = [t.requires_grad_() for t in tensors if t is not None]
    with dispatch.using("reference"):
        both = linear_loss_sums(*inputs, Targets(labels, teacher_of(20, 131, 5, 2.0)), chunk_rows=6)
        hard, nothing = linear_loss_sums(*inputs, Targets(labels), chunk_rows=6)
        alone = linear_cross_entropy_sum(*inputs, labels, chunk_rows=6)
        assert hard == alone == both[0]
        assert nothing == 0
        assert not nothing.requires_grad
        for a, b in zip(
            torch.autograd.grad(both[0], inputs), torch.autograd.grad(alone, inputs), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_gradients_may_be_asked_again_and_apart() -> None:
    """Of the input first, then of the weights; and of one sum, then of the other."""
    tensors, labels = data(20, 24, 131, True, torch.float64)
    inputs = [t.requires_grad_() for t in tensors if t is not None]
    before = [t.detach().clone() for t in inputs]
    with dispatch.using("reference"):
        sums = linear_loss_sums(*inputs, Targets(labels, teacher_of(20, 131, 5, 2.0)), chunk_rows=6)
        factors = [torch.tensor(f, dtype=torch.float64, device=DEVICE) for f in (0.37, -1.9)]
        together = torch.autograd.grad(sums, inputs, factors, retain_graph=True)
        apart = [torch.autograd.grad(sums, one, factors, retain_graph=True)[0] for one in inputs]
        hard = torch.autograd.grad(sums[0], inputs, factors[0], retain_graph=True)
        soft = torch.autograd.grad(sums[1], inputs, factors[1])
    assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))
    assert error([a + b for a, b in zip(hard, soft, strict=True)], list(together)) <= 1e-13
    assert all(torch.equal(a, b) for a, b in zip(before, inputs, strict=True))
    assert [f.item() for f in factors] == [0.37, -1.9]


def test_the_logits_are_never_whole() -> None:
    (x, weight, _), labels = data(64, 8, 500, False)
    inputs = [x.requires_grad_(), weight.requires_grad_()]
    teacher = teacher_of(64, 500, 3, 1.0)
    kept: list[int] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t)
    with dispatch.using("reference"), Largest() as largest, hooks:
        hard, soft = linear_loss_sums(*inputs, None, Targets(labels, teacher), chunk_rows=4)
        (hard + soft).backward()
        linear_top_k(*inputs, None, 3, chunk_rows=4)
    assert largest.numel == 500 * 8 < 64 * 500
    assert sorted(kept) == sorted([64 * 8, 500 * 8, 64, 64 * 3, 64 * 3, 3 * 64])


def test_compiled_as_a_whole_it_computes_the_same() -> None:
    (x, weight, _), labels = data(9, 8, 40, False, torch.float64)
    teacher = teacher_of(9, 40, 5, 2.0)
    function = lambda a, b: linear_loss_sums(a, b, None, Targets(labels, teacher))  # noqa: E731
    with dispatch.using("reference"):
        compiled = torch.compile(function, backend=BACKEND)
        got, expected = (values_and_gradients(f, [x, weight]) for f in (compiled, function))
    assert error(got, expected) <= 1e-13


def _split_losses(mode: str, cases: int) -> list[float]:
    """On one of two ranks, of each case: largest relative difference from a loop in one process, float64."""
    rank, group = dist.get_rank(), dist.group.WORLD
    differences = []
    for case in range(cases):
        draw = random.Random(case)
        rows, vocabulary, t = draw.choice((1, 5, 11)), 2 * draw.choice((1, 4, 33)), draw.choice((1.0, 2.0))
        k = draw.choice((1, min(6, vocabulary), vocabulary))
        tensors, labels = data(rows, 12, vocabulary, True, torch.float64)
        targets = Targets(draw.choice((labels, None)), teacher_of(rows, vocabulary, k, t, case))
        x, weight, bias = (tensor for tensor in tensors if tensor is not None)
        part = slice(rank * vocabulary // 2, (rank + 1) * vocabulary // 2)
        split = vocabulary_split(weight[part], group)
        with dispatch.using(mode):
            got = values_and_gradients(
                lambda *three: linear_loss_sums(*three, targets, split=split, chunk_rows=4),  # noqa: B023
                [x, weight[part], bias[part]],
            )
        dist.all_reduce(got[2])
        whole = values_and_gradients(
            lambda *three: plain(*three, targets.labels, targets.teacher),  # noqa: B023
            [x, weight, bias],
        )
        expected = [*whole[:3], whole[3][part], whole[4][part]]
        differences.append(error(got, expected))
    return differences


@pytest.mark.parametrize(("mode", "cases"), [("reference", 40), (KERNELS, 4)])
def test_a_vocabulary_split_over_ranks_gives_the_same(mode: str, cases: int) -> None:
    pytest.importorskip("triton")
    ranks = run_ranks(_split_losses, 2, mode, cases)
    assert all(difference <= 1e-12 for rank in ranks for difference in rank)


def _reductions() -> tuple[int, int, int]:
    """Calls of maximum and add for 3 chunks forward; and then for backward."""
    (x, weight, _), labels = data(10, 12, 64, False)
    calls: list[str] = []
    split = vocabulary_split(weight[:32], dist.group.WORLD)
    counted = replace(
        split,
        maximum=lambda t: calls.append("maximum") or split.maximum(t),
        add=lambda t: calls.append("add") or split.add(t),
    )
    inputs = [x.requires_grad_(), weight[:32].requires_grad_()]
    targets = Targets(labels, teacher_of(10, 64, 5, 2.0))
    hard, soft = linear_loss_sums(*inputs, None, targets, split=counted, chunk_rows=4)
    forward = calls.count("maximum"), calls.count("add")
    (hard + soft).backward()
    return *forward, len(calls) - sum(forward)


def test_two_reductions_a_chunk_and_none_backward() -> None:
    assert run_ranks(_reductions, 2) == [(3, 3, 0)] * 2


@settings(max_examples=40)
@given(
    rows=st.sampled_from((1, 3, 17)),
    sizes=st.sampled_from(((1, 1), (9, 1), (9, 9), (130, 7), (257, 64))),
    t=st.sampled_from((1.0, 2.0)),
    chunk=st.sampled_from((None, 4)),
    tied=st.booleans(),
    seed=st.integers(0, 9),
)
def test_top_k_is_that_of_whole_logits(
    rows: int, sizes: tuple[int, int], t: float, chunk: int | None, tied: bool, seed: int
) -> None:
    vocabulary, k = sizes
    x, weight, bias = numbers(rows, vocabulary, tied, seed)
    ids, log_probabilities = linear_top_k(x, weight, bias, k, temperature=t, chunk_rows=chunk)
    expected = expected_top_k(x, weight, bias, k, t)
    assert torch.equal(ids, expected[0])
    torch.testing.assert_close(log_probabilities, expected[1], rtol=1e-12, atol=1e-12)
    if not tied:
        values, order = (F.linear(x, weight, bias) / t).log_softmax(-1).topk(k)
        assert torch.equal(ids, order)
        torch.testing.assert_close(log_probabilities, values, rtol=1e-12, atol=1e-12)


def numbers(rows: int, vocabulary: int, tied: bool, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, weight, bias in float64; tied: small whole numbers, whose logits are exact and often equal."""
    generator = torch.Generator().manual_seed(seed)
    tensors = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).to(DEVICE)
        for shape in ((rows, 3), (vocabulary, 3), (vocabulary,))
    )
    x, weight, bias = (tensor.round() if tied else tensor for tensor in tensors)
    return x, weight, bias


def expected_top_k(x: Tensor, weight: Tensor, bias: Tensor, k: int, t: float) -> tuple[Tensor, Tensor]:
    """A stable sort of all logits: of equals, the lower id first."""
    logits = F.linear(x, weight, bias)
    ids = logits.sort(dim=-1, descending=True, stable=True).indices[:, :k]
    return ids, (logits / t).log_softmax(-1).gather(1, ids)


def _split_top_k() -> None:
    """On one of two ranks: beside whole logits; and all ranks refuse what is not finite."""
    rank, group = dist.get_rank(), dist.group.WORLD
    for case in range(40):
        draw = random.Random(case)
        vocabulary, tied = 2 * draw.choice((1, 5, 66)), draw.random() < 0.5
        k = draw.choice((1, min(5, vocabulary), vocabulary // 2 + 1, vocabulary))
        x, weight, bias = numbers(9, vocabulary, tied, case)
        part = slice(rank * vocabulary // 2, (rank + 1) * vocabulary // 2)
        split = vocabulary_split(weight[part], group)
        ids, values = linear_top_k(x, weight[part], bias[part], k, temperature=2.0, split=split, chunk_rows=4)
        expected = expected_top_k(x, weight, bias, k, 2.0)
        assert torch.equal(ids, expected[0])
        torch.testing.assert_close(values, expected[1], rtol=0, atol=1e-12)
    x[0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        linear_top_k(x, weight[part], bias[part], 1, split=split)


def test_top_k_of_a_split_vocabulary_is_the_same() -> None:
    run_ranks(_split_top_k, 2)


def test_top_k_keeps_shapes_and_knows_no_gradient() -> None:
    x, weight = (torch.randn(*shape, device=DEVICE).bfloat16() for shape in ((2, 5, 8), (40, 8)))
    ids, log_probabilities = linear_top_k(x, weight.requires_grad_(), None, 3)
    assert (ids.shape, ids.dtype) == ((2, 5, 3), torch.int64)
    assert (log_probabilities.shape, log_probabilities.dtype) == ((2, 5, 3), torch.float32)
    assert not log_probabilities.requires_grad
    labels = torch.zeros(2, 5, dtype=torch.long, device=DEVICE)
    hard, soft = linear_loss_sums(x, weight, None, Targets(labels, Teacher(ids, log_probabilities)))
    assert hard.shape == soft.shape == ()


def test_bad_input_is_refused() -> None:
    (x, weight, _), labels = data(4, 8, 40, False)
    teacher = teacher_of(4, 40, 5, 1.0)
    ids, log_probabilities = teacher.ids, teacher.log_probabilities

    def sums(changed: Teacher) -> None:
        linear_loss_sums(x, weight, None, Targets(labels, changed))

    with pytest.raises(ValueError, match="neither labels nor a teacher"):
        linear_loss_sums(x, weight, None, Targets())
    with pytest.raises(ValueError, match=r"\(\(3, 5\), \(3, 5\)\) do not fit x \(4, 8\)"):
        sums(Teacher(ids[:3], log_probabilities[:3]))
    with pytest.raises(ValueError, match=r"\(\(4, 5\), \(4, 4\)\) do not fit"):
        sums(Teacher(ids, log_probabilities[:, :4]))
    with pytest.raises(ValueError, match="a teacher of 0 ids, expected 1 to 40"):
        sums(Teacher(ids[:, :0], log_probabilities[:, :0]))
    with pytest.raises(ValueError, match=r"torch\.int32 and torch\.float64"):
        sums(replace(teacher, ids=ids.int()))
    with pytest.raises(ValueError, match=r"temperature 0\.0 is not above 0"):
        sums(replace(teacher, temperature=0.0))
    with pytest.raises(ValueError, match=f"teacher's ids on meta, x on {DEVICE}"):
        sums(replace(teacher, ids=ids.to("meta")))
    with pytest.raises(ValueError, match="k 41, expected 1 to 40"):
        linear_top_k(x, weight, None, 41)
    with pytest.raises(ValueError, match=r"temperature -1\.0 is not above 0"):
        linear_top_k(x, weight, None, 4, temperature=-1.0)
    with pytest.raises(ValueError, match="no positions"):
        linear_top_k(x[:0], weight, None, 4)
