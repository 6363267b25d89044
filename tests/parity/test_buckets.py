"""T5's and UMT5's buckets of distances, which transformers computes in two ways, are ours."""

import pytest
import torch
from transformers import T5Config, UMT5Config
from transformers.models.t5.modeling_t5 import T5Attention
from transformers.models.umt5.modeling_umt5 import UMT5Attention

from taixue.kernels.attention.reference import relative_buckets


@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 12), (16, 64)])
def test_buckets(buckets: int, max_distance: int, causal: bool) -> None:
    distance = torch.arange(-700, 701)
    config = UMT5Config(
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=max_distance,
        is_decoder=causal,
        d_model=4,
        d_kv=2,
        num_heads=2,
    )
    ours = relative_buckets(distance, buckets, max_distance, bidirectional=not causal)
    umt5 = UMT5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    assert torch.equal(ours, umt5._relative_position_bucket(distance))
    t5 = T5Attention._relative_position_bucket(distance, not causal, buckets, max_distance)
    assert torch.equal(ours, t5)
    assert ours.unique().numel() == (buckets if causal else buckets - 1)


def test_the_published_numbers_are_the_defaults() -> None:
    for config in (T5Config(), UMT5Config()):
        assert config.relative_attention_num_buckets == 32
        assert config.relative_attention_max_distance == 128
