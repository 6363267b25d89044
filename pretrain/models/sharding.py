"""How a model may be split over tensor-parallel ranks, as data: parameter-owning module -> role.

Keys are module paths, `*` stands for one path component. The roles are those of parallel/tensor.py. Here are the parts
that families share; each has its own sharding.py.
"""

LAYER = {
    "self_attention": "region",
    "cross_attention": "region",
    "attention": "region",
    "ffn": "region",
    "*.q": "column",
    "*.k": "column",
    "*.v": "column",
    "*.o": "row",
    "*.wi": "column",
    "*.wi_0": "column",
    "*.wi_1": "column",
    "*.wo": "row",
    "self_attention_norm": "replicated",
    "cross_attention_norm": "replicated",
    "attention_norm": "replicated",
    "ffn_norm": "replicated",
    "self_attention.dropout": "drop-heads",
    "cross_attention.dropout": "drop-heads",
    "attention.dropout": "drop-heads",
    "ffn.dropout": "drop-hidden",
    "self_attention_dropout": "drop-states",
    "cross_attention_dropout": "drop-states",
    "attention_dropout": "drop-states",
    "ffn_dropout": "drop-states",
}
"""Of one transformer layer."""

FEATURES = {
    "features.pos": "split",
    "features.pos_scale": "replicated",
    "features.roles": "split",
    "features.roles_scale": "replicated",
}
"""Of linguistic inputs."""


def below(prefix: str, roles: dict[str, str]) -> dict[str, str]:
    """The same roles of modules below `prefix`."""
    return {f"{prefix}.{name}": role for name, role in roles.items()}
