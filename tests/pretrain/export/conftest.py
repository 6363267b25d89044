"""Trained tokenizers, and checkpoints as the loop saves them, of models with random weights."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from taixue.data_tools.config import TokenizerTrainConfig
from taixue.data_tools.tokenizer.store import train
from taixue.pretrain.checkpoint import Saver
from taixue.pretrain.config.schema import (
    BertConfig,
    DataConfig,
    RunConfig,
    T5Config,
)
from taixue.pretrain.models import FAMILIES
from taixue.pretrain.models.albert.config import AlbertConfig
from taixue.pretrain.models.mt5.config import MT5Config
from taixue.pretrain.models.umt5.config import UMT5Config
from taixue.pretrain.objectives.summary import ObjectiveFacts

from ...dist import run_ranks
from ...parity.models import random_state

T5_V1_0 = T5Config(
    vocab_size=640, d_model=32, d_kv=8, d_ff=48, num_heads=4, num_encoder_layers=2, num_decoder_layers=1,
    ffn="relu", tie_embeddings=True,
)  # fmt: skip
T5_V1_1 = T5_V1_0.model_copy(update={"ffn": "gated-gelu", "tie_embeddings": False, "num_decoder_layers": 3})
MT5 = MT5Config(**T5_V1_1.model_dump(exclude={"family"}))
UMT5 = UMT5Config(**T5_V1_1.model_dump(exclude={"family"}))
UMT5_TIED = UMT5.model_copy(update={"tie_embeddings": True, "num_decoder_layers": 1})
BERT = BertConfig(
    vocab_size=640, d_model=32, d_ff=48, num_heads=4, num_layers=2, max_positions=32, dropout=0.0
)
MEGATRON_BERT = BERT.model_copy(update={"norm": "pre"})
ALBERT = AlbertConfig(
    vocab_size=640, embedding_size=12, d_model=32, d_ff=48, num_heads=4, num_layers=3, max_positions=32, dropout=0.0
)  # fmt: skip
CONFIGS: dict[str, T5Config | BertConfig] = {
    "t5-v1.0": T5_V1_0,
    "t5-v1.1": T5_V1_1,
    "mt5": MT5,
    "umt5": UMT5,
    "umt5-tied": UMT5_TIED,
    "bert": BERT,
    "megatron-bert": MEGATRON_BERT,
    "albert": ALBERT,
}

OBJECTIVE = ObjectiveFacts(
    words="span corruption as it was",
    raw_length=35,
    shapes={"input_ids": (32,), "decoder_input_ids": (13,), "labels": (13,)},
)

_TEXT = (
    "太学设于京师", "是古代中国的最高学府", "今天天气很好", "我们一起去公园散步", "许多孩子在草地上放风筝",
    "老师和学生", "研究自然语言处理", "改变了历史", "城市与乡村", "河流山川", "春天读书", "秋天写字", "科学技术",
)  # fmt: skip


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a T5 and a BERT tokenizer trained on made-up text."""
    folder = tmp_path_factory.mktemp("tokenizers")
    draw = random.Random(7)
    lines = ["".join(draw.choices(_TEXT, k=5)) + "。Pretraining 2018 model, language!" for _ in range(600)]
    (folder / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    for kind, size in (("t5", 300), ("bert", 200)):
        train(TokenizerTrainConfig(
            kind=kind, inputs=(str(folder / "text.txt"),), output=str(folder / kind), vocab_size=size, sentinels=20,
            threads=1,
        ))  # fmt: skip
    return {"t5": folder / "t5", "bert": folder / "bert"}


def run_config(config: T5Config | BertConfig, tokenizer: Path, name: str = "tiny") -> RunConfig:
    objective: Any = {"kind": FAMILIES.of(config).objectives[0], "input_length": 32}
    return RunConfig(name=name, model=config, objective=objective, data=DataConfig(tokenizer=str(tokenizer)))


def save_run(
    folder: Path,
    run: RunConfig,
    weights: dict[str, Tensor] | None = None,
    world: int = 1,
    step: int = 12,
    facts: ObjectiveFacts | None = OBJECTIVE,
) -> Path:
    """A run folder with one checkpoint, its tensors split over `world` ranks, and metrics. facts None: as Taixue 0.1
    left one."""
    weights = random_state(run.model) if weights is None else weights
    if world == 1:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        try:
            _save(folder / "checkpoints", run, weights, step, facts)
        finally:
            dist.destroy_process_group()
    else:
        run_ranks(_save, world, folder / "checkpoints", run, weights, step, facts)
    lines = [f'{{"step":{s},"loss":{9 - s / 4}}}\n' for s in range(1, step + 3)]
    lines.insert(0, '{"step":1,"loss":null,"eval/web/span":null}\n')
    lines.insert(step - 1, f'{{"step":{step},"eval/web/span":6.5}}\n')
    (folder / "metrics.jsonl").write_text("".join(lines) + '{"step":')
    return folder


def _save(
    folder: Path, run: RunConfig, weights: dict[str, Tensor], step: int, facts: ObjectiveFacts | None
) -> None:
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    tensors: dict[str, Tensor] = {}
    for name, value in weights.items():
        tensors[f"model.{name}"] = distribute_tensor(value, mesh, [Shard(0)])
    tensors |= {f"optim.exp_avg.{name}": torch.zeros_like(value) for name, value in weights.items()}
    saver = Saver(folder, keep=3, asynchronous=False, group=dist.distributed_c10d._get_default_group())
    state = {
        "step": step,
        "samples": step * 128,
        "fingerprint": "f" * 64,
        "config": run.model_dump(mode="json"),
    }
    if facts is not None:
        state["objective"] = facts.model_dump(mode="json")
    saver.save(step, tensors, state)
    saver.finish()
