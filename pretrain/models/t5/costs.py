"""What a T5 costs, as formulas. No torch here.

Letters: D model width, I = H K heads times head dim, F feed-forward width, V vocabulary, S source, T target length.
"""

from ..family import Step
from ..kept import Kept
from .config import T5Config

MARGIN = 256
"""Distances that the kernels' table of biases has on each side beyond the largest, see kernels/attention/bias.py."""


def layers(config: T5Config) -> int:
    """Encoder layers, then decoder layers."""
    return config.num_encoder_layers + config.num_decoder_layers


def parameters(config: T5Config, part: range, layer_tables: bool = False) -> int:
    """Elements of the slice `part`. A slice has the embedding where it is first, or last with one weight for both, and
    a bias table for each stack it is in, of which pipeline stages hold replicas; layer_tables: for each layer instead.

    Encoder layer: 4 D I + n D F + 2 D, n = 3 with a gate, else 2. Decoder layer: 8 D I + n D F + 3 D.
    """
    d, boundary, total = config.d_model, config.num_encoder_layers, layers(config)
    inner, features = config.num_heads * config.d_kv, config.features
    ffn = _matrices(config) * d * config.d_ff
    encoder = [layer for layer in part if layer < boundary]
    decoder = len(part) - len(encoder)
    is_first, is_last = part.start == 0, part.stop == total
    count = len(encoder) * (4 * d * inner + ffn + 2 * d) + decoder * (8 * d * inner + ffn + 3 * d)
    group_scales = features.kinds * (features.bias_heads or config.num_heads)
    count += group_scales * sum(features.biases(layer) for layer in encoder)
    tables = len(part) if layer_tables else (len(encoder) > 0) + (decoder > 0)
    count += config.relative_buckets * config.num_heads * tables
    count += d * ((boundary - 1 in part) + is_last)  # final norms
    count += (
        config.vocab_size * d * (is_first + is_last if not config.tie_embeddings else is_first or is_last)
    )
    if is_first:
        count += sum(rows * d + 1 for rows in (features.pos_tags, features.roles) if rows)
    return count


def forward_flops(config: T5Config, lengths: tuple[int, int]) -> tuple[float, ...]:
    """See Costs.forward_flops.

    Encoder layer: S (8 D I + 2 n D F) + 4 S^2 I. Decoder layer: T (12 D I + 2 n D F) + 4 S D I + 4 T (T + S) I: its
    queries, outputs and own keys and values are T long, the memory's keys and values S. Head: 2 T D V.
    """
    (source, target), d, inner = lengths, config.d_model, config.num_heads * config.d_kv
    ffn = _matrices(config) * 2 * d * config.d_ff
    encoder = source * (8 * d * inner + ffn) + 4 * source * source * inner
    decoder = (
        target * (12 * d * inner + ffn) + source * 4 * d * inner + 4 * target * (target + source) * inner
    )
    head = 2 * target * d * config.vocab_size
    costs = [encoder] * config.num_encoder_layers + [decoder] * config.num_decoder_layers
    costs[-1] += head
    return tuple(float(cost) for cost in costs)


def kept_bytes(config: T5Config, part: range, step: Step, layer_tables: bool = False) -> int:
    """See Costs.kept_bytes and ../kept.py; linguistic inputs are not counted.

    A slice also keeps, once, the encoder's states (S, D) where it has decoder layers, and a bias table for each stack
    that it is in; layer_tables: for each layer instead, unless layers are recomputed.
    """
    kept, d, inner, heads = Kept(step), config.d_model, config.num_heads * config.d_kv, config.num_heads
    source, target = kept.padded(step.lengths[0]), kept.padded(step.lengths[1])
    encoder = len([layer for layer in part if layer < config.num_encoder_layers])
    decoder = len(part) - encoder

    def tables(layers: int) -> int:
        return 1 if not layer_tables else layers if step.recompute == "none" else 0

    total = 0
    if encoder:
        attention = kept.attention(source, source, inner, heads, biased=True)
        norms = [kept.rms_norm(source, d)] * 2
        total += encoder * kept.layer(source, d, norms, [attention, _kept_ffn(config, kept, source)])
        total += tables(encoder) * _kept_table(config, step, source, causal=False)
    if decoder:
        own = kept.attention(target, target, inner, heads, biased=True)
        cross = kept.attention(target, source, inner, heads, biased=False)
        norms = [kept.rms_norm(target, d)] * 3
        total += decoder * kept.layer(target, d, norms, [own, cross, _kept_ffn(config, kept, target)])
        total += tables(decoder) * _kept_table(config, step, target, causal=True) + kept.whole(source, d)
    if config.num_encoder_layers - 1 in part:
        total += kept.rms_norm(source, d)
    if part.stop == layers(config):
        total += kept.rms_norm(target, d) + kept.lm_head(target, d, config.vocab_size, bias=False)
    return total


def _kept_ffn(config: T5Config, kept: Kept, tokens: int) -> int:
    if config.ffn == "relu":
        return kept.ffn(tokens, config.d_ff, config.ffn)
    return kept.gated_ffn(tokens, config.d_ff)


def _kept_table(config: T5Config, step: Step, length: int, causal: bool) -> int:
    """Of one stack's biases. Kernels: for each distance up to relative_max_distance + MARGIN on both sides its bucket,
    8 bytes, and the biases (H) in fp32. Reference: the bucket of every pair of positions and, if causal, whether it is
    hidden; where layers are recomputed, also what is added to the scores, (H, length, length)."""
    if step.fused:
        distances = 2 * (config.relative_max_distance + MARGIN) + 1
        return distances * (8 + 4 * config.num_heads // step.tp)
    added = 0 if step.recompute == "none" else step.element_bytes * config.num_heads // step.tp
    return length**2 * (8 + (1 if causal else 0) + added)


def _matrices(config: T5Config) -> int:
    """Matrices of a feed-forward layer."""
    return 3 if config.ffn == "gated-gelu" else 2
