"""Entity knowledge in BERT pretraining (DKPLM, Zhang et al. 2022): injected into embeddings, asked for at the end.

  embedding of a mention's tokens = P v,  v = t - r or h + r: the entity as a triple of the graph has it
  s_0 = mean of the mention's final states,  s_k = tanh(delta (norm(R r) * s_{k-1}) W),  token k from s_k

Where the paper leaves magnitudes open: the relation is normed, else s_k dies out; the softmax is exact, not sampled,
and goes through the transform and the head of masked-language modelling. Nothing here is used after pretraining.

Letters: B batch, S sequence length, D model width, K vector width, W mentions, L answer tokens.
"""

import torch
from torch import Tensor, nn

from ..layers import LayerNorm

DELTA = 0.5


class KnowledgeInjection(nn.Module):
    """Replaces word embeddings of mentions by projected knowledge."""

    def __init__(self, knowledge_width: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(knowledge_width, width, bias=False)
        self.inside = nn.Identity()  # a mask of the residual stream: one place to split it

    def forward(self, words: Tensor, mentions: Tensor, knowledge: Tensor) -> Tensor:
        """words (B, S, D), mentions (B, S) with 0 outside of any, knowledge (B, S, K) -> (B, S, D)."""
        inside = self.inside((mentions != 0)[..., None].to(words.dtype))
        return words * (1 - inside) + self.project(knowledge.to(words.dtype)) * inside


class RelationalDecoder(nn.Module):
    """From a mention and a relation to states that the LM head turns into the other entity's tokens."""

    def __init__(self, knowledge_width: int, width: int, eps: float) -> None:
        super().__init__()
        self.memory = nn.Identity()  # final states of the whole sequence
        self.relation = nn.Linear(knowledge_width, width)
        self.norm = LayerNorm(width, eps)
        self.step = nn.Linear(width, width, bias=False)
        self.answers = nn.Identity()  # states to be shared out like a sequence

    def forward(self, x: Tensor, mentions: Tensor, relations: Tensor, length: int) -> Tensor:
        """x (B, S, D), mentions (B, S) numbered from 1, relations (B, W, K), length L -> (B, W * L, D)."""
        x = self.memory(x)
        numbers = torch.arange(1, relations.shape[1] + 1, device=mentions.device)
        holds = (mentions[:, None] == numbers[:, None]).to(x.dtype)  # (B, W, S)
        state = holds @ x / holds.sum(2, keepdim=True).clamp(min=1)
        gate = self.norm(self.relation(relations.to(x.dtype)))
        states = []
        for _ in range(length):
            state = torch.tanh(DELTA * self.step(gate * state))
            states.append(state)
        return self.answers(torch.stack(states, 2).flatten(1, 2))
