"""The formulas of costs.py beside real modules: elements of parameters, and the storages that live between passes."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from taixue.kernels import dispatch
from taixue.parallel.blocks import blocks, checkpoint_activations
from taixue.pretrain.config.schema import BertConfig, FeaturesConfig, HeadsConfig, ModelConfig, T5Config
from taixue.pretrain.models import FAMILIES, build_model
from taixue.pretrain.models.albert.config import AlbertConfig
from taixue.pretrain.models.family import Step
from taixue.pretrain.models.umt5.config import UMT5Config

from ...kernels.machine import DEVICE, KERNELS

ALL = FeaturesConfig(pos_tags=6, roles=5, word_bias=True, clause_bias=True, bias_heads=2, bias_layers=(1,))
SHAPE: dict[str, Any] = {"vocab_size": 96, "d_model": 32, "d_ff": 56, "num_heads": 4, "dropout": 0.0}
MODELS: dict[str, ModelConfig] = {
    "t5": T5Config(**SHAPE, d_kv=16, num_encoder_layers=2, num_decoder_layers=3),
    "t5-v1.0": T5Config(
        **SHAPE, d_kv=8, num_encoder_layers=3, num_decoder_layers=2, ffn="relu", tie_embeddings=True
    ),
    "umt5": UMT5Config(**SHAPE, d_kv=8, num_encoder_layers=2, num_decoder_layers=3),
    "bert": BertConfig(**SHAPE, num_layers=3, heads=HeadsConfig(pos=6, relation=3)),
    "megatron-bert": BertConfig(**SHAPE, num_layers=2, norm="pre", activation="relu"),
    "albert": AlbertConfig(**SHAPE, embedding_size=12, num_layers=3, heads=HeadsConfig(ne=4, relation=3)),
}
LENGTHS, SAMPLES = (16, 12), 2


def slices(config: ModelConfig) -> list[range]:
    """Every contiguous slice of the layers."""
    layers = FAMILIES.of(config).costs.layers(config)
    return [range(a, b) for a in range(layers) for b in range(a + 1, layers + 1)]


@pytest.mark.parametrize("extras", [False, True], ids=["plain", "linguistic"])
@pytest.mark.parametrize("name", MODELS)
def test_parameters_of_every_slice(name: str, extras: bool) -> None:
    config = MODELS[name]
    if extras:
        known = {"features": ALL} | ({"knowledge_width": 7} if hasattr(config, "knowledge_width") else {})
        config = config.model_copy(update=known)
    for part in slices(config):
        with torch.device("meta"):
            expected = sum(parameter.numel() for parameter in build_model(config, part).parameters())
        assert FAMILIES.of(config).costs.parameters(config, part) == expected, part


@pytest.fixture(scope="module", autouse=True)
def only_our_garbage() -> Iterator[None]:
    """Collections pass over what was there before: all of torch and of the other tests."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class _Alive(TorchDispatchMode):
    """Every storage that an operator makes, and whether it still lives."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else (out,):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                self.made[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        return out

    def alive(self, without: set[int]) -> int:
        gc.collect()
        kept = {key: size for key, (ref, size) in self.made.items() if not ref.expired()}
        return sum(size for key, size in kept.items() if key not in without)


def kept(model: nn.Module, hidden: list[Tensor], batch: dict[str, Tensor]) -> int:
    """Bytes of what forward makes and the graph keeps alive. A slice's inputs are made here, as the slice before makes
    them, and count where they are kept."""
    given = {x.untyped_storage()._cdata for x in (*batch.values(), *model.parameters())}
    with _Alive() as made:
        states = [x * 1 for x in hidden]
        out = model(*states, **batch)
    graph = [x.grad_fn for x in (out if isinstance(out, tuple) else (out,))]
    del states, out
    found = made.alive(given)
    assert graph
    return found


@pytest.mark.parametrize("mode", ["reference", KERNELS])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_kept_bytes_of_every_slice(name: str, recompute: str, mode: str) -> None:
    if mode == KERNELS:
        pytest.importorskip("triton")
    config = MODELS[name]
    family = FAMILIES.of(config)
    whole = {name: value.to(DEVICE) for name, value in family.probe(config, SAMPLES, 0, LENGTHS).items()}
    del whole["attention_mask"]
    states = [(SAMPLES, LENGTHS[0], config.d_model), (SAMPLES, LENGTHS[1], config.d_model)]
    step = Step(SAMPLES, LENGTHS, element_bytes=4, recompute=recompute, fused=mode == KERNELS)
    parts = slices(config)
    for part in parts if mode == "reference" else (parts[0], parts[-1]):  # interpreted kernels are slow
        model = build_model(config, part).to(DEVICE)
        for block in blocks(model):
            if recompute != "none":
                checkpoint_activations(block, recompute)
        count = len(states) if "decoder_input_ids" in whole else 1
        hidden = (
            [torch.randn(shape, device=DEVICE, requires_grad=True) for shape in states[:count]]
            if part.start
            else []
        )
        with dispatch.using(mode):
            measured = kept(model, hidden, whole)
        expected = family.costs.kept_bytes(config, part, step)
        assert expected == measured, part
