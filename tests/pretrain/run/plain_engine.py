"""An engine of plain PyTorch, to see that nothing else is asked of one: one process, no sharding, torch.optim."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from taixue.parallel.engine import Batch, Update, Wanted
from taixue.pretrain.models import ModelSpec


class PlainEngine:
    """AdamW of torch on the whole model in float64, all samples in one pass."""

    data_rank, data_ranks, counts_once, depth = 0, 1, True, 1

    def __init__(self, spec: ModelSpec, weight_decay: float, clip_norm: float) -> None:
        self.model, self.loss_names, self.clip_norm = spec.build(None).double(), spec.loss_names, clip_norm
        self.updates = 0
        spared = [p for n, p in self.model.named_parameters() if p.ndim < 2 or n.endswith("_bias.weight")]
        decayed = [p for p in self.model.parameters() if not any(p is one for one in spared)]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-8)

    def describe(self) -> str:
        return "one process"

    def seed(self, seed: int, step: int) -> None:
        torch.manual_seed(hash((seed, step)))

    def update(
        self,
        batch: Batch,
        counts: Tensor,
        weights: Tensor,
        lr: float,
        should_stop: Callable[[], bool] | None = None,
    ) -> Update | None:
        if should_stop is not None and should_stop():
            return None
        self.model.train()
        self.optimizer.zero_grad()
        means = self.model(**batch) / counts.clamp(min=1)
        (means * weights).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.updates += 1
        return Update(means.detach(), norm)

    def rehearse(self, batch: Batch, counts: Tensor) -> None:
        self.model(**batch).sum().backward()

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> Tensor:
        return self.model.eval()(**batch)

    @torch.no_grad()
    def outputs(self, batch: Batch, wanted: Wanted) -> dict[str, Tensor]:
        logits = self.model.eval()(**batch)
        logits = (logits[0] if isinstance(logits, tuple) else logits)[: wanted.rows or None]
        values, ids = logits.log_softmax(-1).topk(wanted.top_k)
        return {"top_ids": ids, "top_log_probabilities": values}

    @torch.no_grad()
    def set_weights(self, value: Callable[[str, tuple[int, ...]], Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(value(name, tuple(parameter.shape)))

    def tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            tensors[f"model.{name}"] = parameter
            state = self.optimizer.state[parameter]
            if not state:
                state |= {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
                state["step"] = torch.zeros(())
            tensors |= {f"optim.{key}.{name}": x for key, x in state.items() if key != "step"}
        return tensors

    def load(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        self.updates = state["updates"]
        for parameter in self.model.parameters():
            self.optimizer.state[parameter]["step"] = torch.tensor(float(self.updates))

    def state(self) -> dict[str, Any]:
        return {"updates": self.updates, "loss_scale": None}
