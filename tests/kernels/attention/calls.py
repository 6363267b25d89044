"""Calls of `attention` with random inputs, by the kernels and by the reference in float64."""

from dataclasses import dataclass

import torch
from torch import Tensor

from taixue.kernels import dispatch
from taixue.kernels.attention import attention, attention_bias
from taixue.kernels.dropout import Draws

from ..machine import DEVICE


@dataclass(frozen=True)
class Call:
    """A shape and what is added to the scores; kinds: of groups."""

    batch: int = 2
    heads: int = 2
    queries: int = 20
    keys: int = 20
    head_dim: int = 16
    table: bool = True
    causal: bool = False
    mask: bool = False
    segments: bool = False
    kinds: int = 0
    max_distance: int = 12

    def inputs(self, seed: int = 0) -> dict[str, Tensor]:
        """Leaves (query, key, value, table, group_scale), what masks, and the gradient of the output; float64."""
        generator = torch.Generator().manual_seed(seed)
        draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
        ids = lambda top, *shape: torch.randint(0, top, shape, generator=generator)  # noqa: E731
        many = (self.batch, self.heads)
        values = {
            "query": draw(*many, self.queries, self.head_dim),
            "key": draw(*many, self.keys, self.head_dim),
            "value": draw(*many, self.keys, self.head_dim),
            "grad": draw(*many, self.queries, self.head_dim),
        }
        if self.table:
            values["table"] = draw(8, self.heads)
        if self.mask:
            values["key_mask"] = ids(4, self.batch, self.keys) > 0
        if self.segments:
            values["query_segments"] = ids(4, self.batch, self.queries).sort(1)[0]
            values["key_segments"] = ids(4, self.batch, self.keys).sort(1)[0]
            if self.queries == self.keys:
                values["key_segments"] = values["query_segments"]
        if self.kinds:
            values["groups"] = ids(5, self.batch, self.kinds, self.queries)
            values["group_scale"] = draw(self.kinds, self.heads)
        return values


def draws(p: float, batch: int, *, site: int = 9, first_row: int = 0, first_head: int = 0) -> Draws:
    """Numbers of step 4 of seed 3 for samples from 2^32 - 1 on: addresses wrap."""
    stream = torch.tensor([3, 4, site], device=DEVICE)
    samples = torch.arange(batch, device=DEVICE) + 2**32 - 1
    return Draws(p, stream, samples, first_row=first_row, first_head=first_head)


LEAVES = ("query", "key", "value", "table", "group_scale")


def run(
    call: Call,
    mode: str,
    dtype: torch.dtype,
    *,
    dropout: Draws | None = None,
    inputs: dict[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """{"out": ..., leaf: its gradient, ...} on the CPU."""
    values = {}
    for name, value in (inputs or call.inputs()).items():
        moved = value.to(DEVICE, dtype if value.is_floating_point() else value.dtype)
        values[name] = moved.requires_grad_() if name in LEAVES else moved
    with dispatch.using(mode):
        bias = attention_bias(
            call.queries,
            call.keys,
            table=values.get("table"),
            max_distance=call.max_distance,
            causal=call.causal,
            key_mask=values.get("key_mask"),
            query_segments=values.get("query_segments"),
            key_segments=values.get("key_segments"),
            groups=values.get("groups"),
            dtype=dtype,
            device=DEVICE,
        )
        out = attention(
            values["query"],
            values["key"],
            values["value"],
            bias,
            scale=call.head_dim**-0.5,
            dropout=dropout,
            group_scale=values.get("group_scale"),
        )
        out.backward(values["grad"])
    found = {"out": out.detach()}
    for name in LEAVES:
        if name in values:
            gradient = values[name].grad
            assert gradient is not None, name
            found[name] = gradient
    return {name: value.cpu() for name, value in found.items()}


def worst(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest relative L2 error; what is nearly zero is measured against a tenth of an entry of the inputs."""
    assert found.keys() == expected.keys()
    errors = []
    for name, value in found.items():
        reference = expected[name].double()
        assert value.shape == reference.shape, name
        assert value.isfinite().all(), name
        floor = 0.1 * reference.numel() ** 0.5
        errors.append(((value.double() - reference).norm() / reference.norm().clamp(min=floor)).item())
    return max(errors)
