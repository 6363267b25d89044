"""How large the initial weights of a T5 are."""

from .config import T5Config


def initial_std(name: str, config: T5Config) -> float:
    """Mesh-TensorFlow T5's fan-in scaling; the untied head starts with unit-variance logits."""
    d, inner = config.d_model, config.num_heads * config.d_kv
    by_suffix = {
        "shared.weight": 1.0,
        "features.pos.weight": 1.0,
        "features.roles.weight": 1.0,
        ".q.weight": (d * config.d_kv) ** -0.5,
        ".o.weight": inner**-0.5,
        ".wo.weight": config.d_ff**-0.5,
    }
    return next((std for suffix, std in by_suffix.items() if name.endswith(suffix)), d**-0.5)
