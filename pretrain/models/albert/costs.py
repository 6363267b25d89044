"""What an ALBERT costs, as formulas. No torch here.

Letters: D model width, E embedding size, F feed-forward width, V vocabulary, S sequence length, P positions that the
LM head sees, K width of entity vectors.
"""

from ..bert.costs import classifiers, head_positions, kept_by_classifiers, kept_by_transform
from ..family import Lengths, Step
from ..kept import Kept
from .config import AlbertConfig


def layers(config: AlbertConfig) -> int:
    """Applications of the one layer: pipeline stages share them out."""
    return config.num_layers


def parameters(config: AlbertConfig, part: range) -> int:
    """Elements of the slice `part`. Every slice holds a replica of the layer, the last one of the word embedding.

    Layer: 4 (D D + D) + 2 D F + F + D + 4 D. Embeddings: rows of E, norm 2 E, projection E D + D. Head: dense D E + E,
    norm 2 E, bias V; classifiers as in a BERT.
    """
    d, e, ffn, features = config.d_model, config.embedding_size, config.d_ff, config.features
    is_first, is_last = part.start == 0, part.stop == config.num_layers
    count = 4 * (d * d + d) + 2 * d * ffn + ffn + d + 4 * d
    if features.biases(0):
        count += features.kinds * (features.bias_heads or config.num_heads)
    if is_first or is_last:
        count += config.vocab_size * e
    if is_first:
        count += (config.max_positions + config.token_types + config.knowledge_width) * e + 2 * e
        count += sum(rows * e + 1 for rows in (features.pos_tags, features.roles) if rows)
        count += e * d + d
    if is_last:
        count += (d * e + e) + 2 * e + config.vocab_size + classifiers(config)
    return count


def forward_flops(config: AlbertConfig, lengths: Lengths) -> tuple[float, ...]:
    """See Costs.forward_flops. Every application of the layer costs what a layer of a BERT does: S (8 D D + 4 D F)
    + 4 S^2 D. The first also has the projection: 2 S E D. Head: 2 P E (D + V)."""
    length, d, e = lengths[0], config.d_model, config.embedding_size
    layer = length * (8 * d * d + 4 * d * config.d_ff) + 4 * length * length * d
    costs = [float(layer)] * config.num_layers
    costs[0] += float(2 * length * e * d)
    costs[-1] += float(2 * head_positions(lengths) * e * (d + config.vocab_size))
    return tuple(costs)


def kept_bytes(config: AlbertConfig, part: range, step: Step) -> int:
    """See Costs.kept_bytes and ../kept.py; linguistic inputs and entity knowledge are not counted.

    Every application keeps what a layer keeps. First slice: the positions (8 S), the norm, and the projection's input
    (S, E). Last: what transform and classifiers keep in a BERT; the LM head, on (P, E).
    """
    kept, d, e, length = Kept(step), config.d_model, config.embedding_size, step.lengths[0]
    norm, small_norm = kept.layer_norm(length, d), kept.layer_norm(length, e)
    attention = kept.attention(length, length, d, config.num_heads, biased=False)
    ffn = kept.ffn(length, config.d_ff, config.activation)
    total = len(part) * kept.layer(length, d, [norm] * 2, [attention, ffn])
    if part.start == 0:
        total += 8 * length + small_norm + kept.residual(length, e)
    if part.stop == config.num_layers:
        total += kept_by_transform(config, step, e)
        total += kept.lm_head(kept.padded(head_positions(step.lengths)), e, config.vocab_size, bias=True)
        total += kept_by_classifiers(config, step)
    return total
