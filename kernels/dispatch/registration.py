"""Registration of the ops, with a quarter to a half less host time a call than torch.library.custom_op takes.

The op is torch's like any other, opaque to torch.compile, and what recompute policies see; its autograd is one
autograd.Function around it at the dispatcher's Autograd key, where custom_op flattens and checks arguments each time.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("taixue", "FRAGMENT")
_TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.needs_fixed_stride_order)


def register(
    name: str,
    function: Callable[..., Any],
    fake: Callable[..., Any],
    save: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
) -> None:
    """torch.ops.taixue.<name> from `function`, whose annotations are the schema; it changes none of its arguments.

    fake: the empty outputs for the same arguments. save(ctx, inputs, output) and backward(ctx, *gradients), which go
    together, are those of an autograd.Function; without them the op has no gradient. Calls pass every argument.
    """
    schema = torch.library.infer_schema(function, mutates_args=())
    _LIBRARY.define(name + schema, tags=_TAGS)
    _LIBRARY.impl(name, function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"taixue::{name}", fake, lib=_LIBRARY)
    if save is None or backward is None:
        return
    op = getattr(torch.ops.taixue, name).default

    def forward(ctx: Any, *inputs: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            output = op(*inputs)
        save(ctx, inputs, output)
        return output

    node = type(
        name,
        (torch.autograd.Function,),
        {"forward": staticmethod(forward), "backward": staticmethod(backward)},
    )

    def differentiable(*inputs: Any) -> Any:
        if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
            return node.apply(*inputs)  # type: ignore[attr-defined]
        with torch._C._AutoDispatchBelowAutograd():
            return op(*inputs)

    _LIBRARY.impl(name, differentiable, "Autograd")
