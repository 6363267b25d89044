"""Linguistic inputs: tags added to token embeddings, and words and clauses as a bias of chosen attention heads.

Published only as a press text (Langboat's Mengzi); the formulas are ours:

  x_i    = embedding_i + a E_pos[t_i] + b / P sum_p E_role[r_ip]     tag 0, "none", adds nothing
  s_ij^h = score_ij^h + sum_g c_g^h [i and j in the same group g]    g: words, clauses

The scales a, b, c are learned and start at 0: the model then computes what it computes without them, bit for bit.

Letters: B batch, S sequence length, D model width, H heads, G kinds of groups, P predicates of a sentence.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .linguistic_config import FeaturesConfig


class LinguisticFeatures(nn.Module):
    """Adds the embeddings of parts of speech and semantic roles to token embeddings."""

    def __init__(self, config: FeaturesConfig, width: int) -> None:
        super().__init__()
        if config.pos_tags:
            self.pos, self.pos_scale = TagEmbedding(config.pos_tags, width), Scale()
        if config.roles:
            self.roles, self.roles_scale = TagEmbedding(config.roles, width), Scale()

    def forward(self, x: Tensor, pos_ids: Tensor | None, role_ids: Tensor | None) -> Tensor:
        """x (B, S, D), pos_ids (B, S), role_ids (B, S, P) -> (B, S, D); what is not given adds nothing."""
        if pos_ids is not None and hasattr(self, "pos"):
            x = x + self.pos_scale(self.pos(pos_ids))
        if role_ids is not None and hasattr(self, "roles"):
            x = x + self.roles_scale(self.roles(role_ids).mean(2))
        return x


class TagEmbedding(nn.Embedding):
    """(..., ) tags -> (..., D); zeros for tag 0."""

    def forward(self, tags: Tensor) -> Tensor:
        rows = super().forward(tags)
        return rows * (tags != 0)[..., None].to(rows.dtype)


class Scale(nn.Module):
    """x times one learned number that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class GroupBias(nn.Module):
    """The learned (G, heads) scale of one layer's group bias; `heads` of the layer's heads have one, evenly spaced."""

    def __init__(self, kinds: int, heads: int, all_heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(kinds, heads))
        self.spacing = all_heads // heads

    def forward(self) -> Tensor:
        """group_scale (G, H) for `attention`, zeros for the other heads."""
        return F.pad(self.weight[..., None], (0, self.spacing - 1)).flatten(1)


def group_bias(config: FeaturesConfig, layer: int, heads: int) -> GroupBias | None:
    """The group bias of layer number `layer` with so many heads; None where the configuration wants none."""
    return GroupBias(config.kinds, config.bias_heads or heads, heads) if config.biases(layer) else None


def group_ids(
    config: FeaturesConfig, word_groups: Tensor | None, clause_groups: Tensor | None
) -> Tensor | None:
    """(B, S) each -> (B, G, S) for `attention_bias`; None without groups, when nothing is biased."""
    wanted = ((config.word_bias, word_groups), (config.clause_bias, clause_groups))
    given = [groups for bias, groups in wanted if bias and groups is not None]
    return torch.stack(given, 1) if given and len(given) == config.kinds else None
