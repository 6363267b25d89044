"""The training steps that `taixue bench train` compares: ours, and those around Hugging Face's T5.

Hugging Face's T5Config ties the LM head to the embedding whatever it is told (transformers 5), so that v1.1's own head
is put in afterwards. Its SDPA runs under the memory-efficient backend on GPUs: cuDNN's takes a bias but has no gradient
for it.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from taixue.base import files
from taixue.kernels import dispatch
from taixue.parallel import group
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime

from ..config.schema import T5Config
from ..models import model_spec
from ..optim import build_optimizer
from ..optim.config import AdamWConfig

OPTIMIZER = AdamWConfig(lr=1e-4, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0, clip_norm=1.0)

Step = Callable[[Mapping[str, Tensor]], float]
"""One full step on a batch; the mean loss before it, nats."""


class CaseLike(Protocol):
    """What a rival needs to know; see train.Case."""

    @property
    def model(self) -> T5Config: ...
    @property
    def samples(self) -> int: ...
    @property
    def source(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def warmup(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def nanot5(self) -> str: ...
    @property
    def weights(self) -> str: ...


@dataclass(frozen=True)
class Outcome:
    """seconds: median of a step. bytes: most memory allocated on the device. losses: by step, warm-up included."""

    device: str
    seconds: float
    bytes: int
    micro_batch: int
    losses: list[float]


def run(rival: str, case: CaseLike) -> Outcome:
    """Take the steps of one rival in this process, halving the micro-batch while memory does not suffice."""
    micro = case.samples
    while True:
        try:
            with RIVALS[rival](case, micro) as step:
                return _timed(step, case, micro)
        except torch.OutOfMemoryError:
            if micro == 1:
                raise
        micro //= 2
        gc.collect()
        torch.cuda.empty_cache()


def _timed(step: Step, case: CaseLike, micro: int) -> Outcome:
    """The same batch for all steps, so that losses fall and differences show."""
    cuda = case.device == "cuda"
    batch = random_batch(case)
    losses, times = [], []
    for index in range(case.warmup + case.steps):
        if cuda and index == case.warmup:
            torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        losses.append(step(batch))  # reads the loss, hence waits for the device
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    name = torch.cuda.get_device_name() if cuda else "CPU"
    peak = torch.cuda.max_memory_allocated() if cuda else 0
    return Outcome(name, median(times[case.warmup :]), peak, micro, losses)


def random_batch(case: CaseLike) -> dict[str, Tensor]:
    """Random tokens, no padding; decoder inputs are the labels shifted right behind token 0."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda length: torch.randint(  # noqa: E731
        1, case.model.vocab_size, (case.samples, length), generator=generator
    )
    labels = draw(case.target)
    shifted = torch.cat([torch.zeros_like(labels[:, :1]), labels[:, :-1]], 1)
    batch = {"input_ids": draw(case.source), "labels": labels, "decoder_input_ids": shifted}
    return {name: tensor.to(case.device) for name, tensor in batch.items()}


def weights(config: T5Config, kept: str = "") -> dict[str, Tensor]:
    """The starting weights of every rival, by our names; read from the file `kept`, written there when it is not."""
    if kept and Path(kept).exists():
        return load_file(kept)
    spec = model_spec(config, 1, (1, 1))
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in spec.build(None).named_parameters()}
    made = {name: spec.init(name, shape) for name, shape in shapes.items()}
    if kept:
        temporary = files.temporary_name(Path(kept))
        save_file(made, temporary)
        files.publish(temporary, Path(kept))
    return made


@contextmanager
def _ours(case: CaseLike, micro: int, *, compiled: bool = False, mode: str = "") -> Iterator[Step]:
    """The runtime of a training run on one rank: FSDP2's bf16 casts of fp32 weights, clipping inside the optimizer."""
    device = torch.device(case.device)
    group.start(None, device, 600)
    try:
        runtime = Runtime(
            model_spec(case.model, 1, (case.source, case.target)),
            Layout(),
            device,
            micro_batches=case.samples // micro,
            compute_dtype=torch.bfloat16,
            compile_blocks=compiled and case.device == "cuda",
        )
        optimizer = build_optimizer(OPTIMIZER, runtime.named_parameters())
        counts = torch.tensor([case.samples * case.target])

        def step(batch: Mapping[str, Tensor]) -> float:
            with dispatch.using(mode or dispatch.mode()):
                means = runtime.forward_backward(batch, counts)
                assert means is not None
                optimizer.step(scale=(OPTIMIZER.clip_norm / (runtime.grad_norm() + 1e-6)).clamp(max=1.0))
            return means.item()

        yield step
    finally:
        group.stop()


@contextmanager
def _hugging_face(
    case: CaseLike, micro: int, *, attention: str = "eager", compiled: bool | Literal["blocks"] = False
) -> Iterator[Step]:
    """A bf16 model with fp32 master weights and torch's fused AdamW. attention: transformers' name, or "nanoT5".

    compiled "blocks": each layer by itself, which takes seconds where the whole of 48 layers takes minutes.
    """
    first = weights(case.model, case.weights)
    nano = attention == "nanoT5"
    model = (
        nanot5_model(case.model, case.nanot5, first)
        if nano
        else hugging_face_model(case.model, attention, first)
    )
    model = model.to(case.device)
    masters = [nn.Parameter(parameter.detach().clone()) for parameter in model.parameters()]
    model = model.to(torch.bfloat16)  # after the copy: rounded masters would swallow the first small steps
    parameters: list[Tensor] = list(model.parameters())
    options: dict[str, Any] = {
        "lr": OPTIMIZER.lr,
        "betas": OPTIMIZER.betas,
        "eps": OPTIMIZER.eps,
        "weight_decay": 0.0,
    }
    optimizer = torch.optim.AdamW(masters, fused=True, **options)
    cuda = case.device == "cuda"
    backend = "inductor" if cuda else "eager"
    if compiled == "blocks":
        for block in (*model.encoder.block, *model.decoder.block):  # type: ignore[union-attr, misc]
            block.compile(backend=backend)
    forward = torch.compile(model, backend=backend) if compiled is True else model
    chosen = cuda and attention == "sdpa"

    def step(batch: Mapping[str, Tensor]) -> float:
        total = torch.zeros((), device=case.device)
        pieces = case.samples // micro
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]) if chosen else nullcontext():
            for index in range(pieces):
                rows = slice(index * micro, (index + 1) * micro)
                loss = forward(**{name: tensor[rows] for name, tensor in batch.items()}).loss / pieces
                loss.backward()
                total += loss.detach()
        for master, parameter in zip(masters, parameters, strict=True):
            assert parameter.grad is not None
            master.grad = parameter.grad.float()
            parameter.grad = None
        nn.utils.clip_grad_norm_(masters, OPTIMIZER.clip_norm)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(parameters, list[Tensor](masters))
        return total.item()

    yield step


def hugging_face_model(config: T5Config, attention: str, first: Mapping[str, Tensor]) -> nn.Module:
    """transformers' T5 with the starting weights `first` (our names), fp32, training mode."""
    import transformers

    from ..export.config import config_to_hf
    from ..export.mapping import state_to_hf

    raw = config_to_hf(config, pad_id=0, eos_id=1, dtype="float32")
    model = transformers.T5ForConditionalGeneration._from_config(
        transformers.AutoConfig.for_model(**raw), attn_implementation=attention
    )
    if not config.tie_embeddings:
        model.lm_head.weight = nn.Parameter(torch.empty(config.vocab_size, config.d_model))
        model.config.tie_word_embeddings = False
    _load(model, state_to_hf(config, first))
    return model.train()


def nanot5_model(config: T5Config, path: str, first: Mapping[str, Tensor]) -> nn.Module:
    """The model of nanoT5 (Nawrot 2023) from its file utils/t5_model.py, with the starting weights `first`.

    The file is run as it is, which is why it is named by hand; two methods that transformers 5 dropped are given back.
    """
    import importlib.util

    import transformers

    from ..export.config import config_to_hf
    from ..export.mapping import state_to_hf

    if not path:
        raise ImportError("name its t5_model.py with --nanot5")
    spec = importlib.util.spec_from_file_location("nanot5_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanot5_model"] = module  # its dataclasses look there
    spec.loader.exec_module(module)

    def hide(mask: Tensor, like: nn.Module) -> Tensor:
        dtype = next(like.parameters()).dtype
        return (1 - mask.to(dtype)) * torch.finfo(dtype).min

    def extended(self: Any, mask: Tensor, shape: Any) -> Tensor:
        seen = mask[:, None, None, :]
        if self.is_decoder:
            seen = seen * torch.ones(shape[1], shape[1], device=mask.device).tril()
        return hide(seen, self)

    module.T5Stack.get_extended_attention_mask = extended
    module.T5Stack.invert_attention_mask = lambda self, mask: hide(mask[:, None, None, :], self)
    hf_config = transformers.AutoConfig.for_model(**config_to_hf(config, pad_id=0, eos_id=1, dtype="float32"))
    hf_config.tie_word_embeddings = False
    model: nn.Module = module.MyT5(hf_config)
    _load(model, state_to_hf(config, first))
    return model.train()


def _load(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Set all weights; the only names that may be missing are second names of tied ones."""
    missing, unexpected = model.load_state_dict(state, strict=False)
    copies = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}
    assert not unexpected, unexpected
    assert set(missing) <= copies, missing


def _variant(make: Callable[..., Any], **options: Any) -> Callable[[CaseLike, int], Any]:
    return lambda case, micro: make(case, micro, **options)


RIVALS: dict[str, Callable[[CaseLike, int], Any]] = {
    "taixue": _variant(_ours),
    "hf sdpa + compile": _variant(_hugging_face, attention="sdpa", compiled=True),
    "taixue + compile": _variant(_ours, compiled=True),
    "hf sdpa": _variant(_hugging_face, attention="sdpa"),
    "hf sdpa + compiled blocks": _variant(_hugging_face, attention="sdpa", compiled="blocks"),
    "hf eager": _variant(_hugging_face, attention="eager"),
    "nanoT5 + compile": _variant(_hugging_face, attention="nanoT5", compiled=True),
    "taixue, reference kernels + compile": _variant(_ours, compiled=True, mode="reference"),
}
"""Name -> (case, micro-batch) -> a context that gives the step, in the order of importance."""
