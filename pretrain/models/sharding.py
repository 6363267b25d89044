"""How each model may be split over tensor-parallel ranks, as data: parameter-owning module -> role.

Keys are module paths, `*` stands for one path component. The roles are those of parallel/tensor.py.
"""

_ATTENTION_AND_FFN = {
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
}

_FEATURES = {
    "features.pos": "split",
    "features.pos_scale": "replicated",
    "features.roles": "split",
    "features.roles_scale": "replicated",
}

T5_PLAN = {
    "shared": "vocabulary-embedding",
    **_FEATURES,
    "encoder.relative_bias": "heads",
    "decoder.relative_bias": "heads",
    "encoder.final_norm": "replicated",
    "decoder.final_norm": "replicated",
    "memory": "enter",
    "lm_head": "vocabulary-head",
    "encoder.layers.*.group_bias": "heads",
    **{f"encoder.layers.*.{name}": role for name, role in _ATTENTION_AND_FFN.items()},
    **{f"decoder.layers.*.{name}": role for name, role in _ATTENTION_AND_FFN.items()},
}

BERT_PLAN = {
    "embeddings.word": "vocabulary-embedding",
    "embeddings.position": "split",
    "embeddings.token_type": "split",
    "embeddings.norm": "replicated",
    **{f"embeddings.{name}": role for name, role in _FEATURES.items()},
    "final_norm": "replicated",
    "mlm_transform.dense": "replicated",
    "mlm_transform.norm": "replicated",
    "lm_head": "vocabulary-head",
    "pooler": "gather",
    "sop_head": "whole",
    "tagged": "gather",
    "embeddings.knowledge.project": "split",
    "embeddings.knowledge.inside": "split",
    "relational.memory": "assemble",
    "relational.relation": "replicated",
    "relational.norm": "replicated",
    "relational.step": "replicated",
    "relational.answers": "split",
    "heads.*": "whole",
    "layers.*.group_bias": "heads",
    **{f"layers.*.{name}": role for name, role in _ATTENTION_AND_FFN.items()},
}
