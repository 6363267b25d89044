"""What a BERT costs, as formulas. No torch here.

Letters: D model width, F feed-forward width, V vocabulary, S sequence length, P positions that the LM head sees,
K width of entity vectors.
"""

from ..family import Lengths, Step
from ..kept import Kept
from .config import BertConfig
from .heads import SENTENCE_ORDER, auxiliary


def layers(config: BertConfig) -> int:
    """Transformer layers."""
    return config.num_layers


def parameters(config: BertConfig, part: range) -> int:
    """Elements of the slice `part`. The last slice holds a replica of the word embedding, for its head.

    Layer: 4 (D D + D) + 2 D F + F + D + 4 D, two norms of 2 D. Head: dense D D + D, norm 2 D, bias V; see classifiers.
    """
    d, ffn, features = config.d_model, config.d_ff, config.features
    is_first, is_last = part.start == 0, part.stop == config.num_layers
    count = len(part) * (4 * (d * d + d) + 2 * d * ffn + ffn + d + 4 * d)
    group_scales = features.kinds * (features.bias_heads or config.num_heads)
    count += group_scales * sum(features.biases(layer) for layer in part)
    if is_first or is_last:
        count += config.vocab_size * d
    if is_first:
        count += (config.max_positions + config.token_types + config.knowledge_width) * d
        count += 2 * d if config.norm == "post" else 0
        count += sum(rows * d + 1 for rows in (features.pos_tags, features.roles) if rows)
    if is_last:
        count += 2 * d if config.norm == "pre" else 0
        count += (d * d + d) + 2 * d + config.vocab_size + classifiers(config)
    return count


def classifiers(config: BertConfig) -> int:
    """Elements of the pooler, D D + D, the classifiers, D C + C each, and the relational decoder."""
    d, width = config.d_model, config.knowledge_width
    count = d * d + d + sum((d + 1) * n for n in (2, *(count for _, count in auxiliary(config.heads))))
    return count + (width * d + d + 2 * d + d * d if width else 0)


def forward_flops(config: BertConfig, lengths: Lengths) -> tuple[float, ...]:
    """See Costs.forward_flops. Layer: S (8 D D + 4 D F) + 4 S^2 D. Head: 2 P D (D + V); pooler and classifiers, which
    see one position or have few classes, are not counted."""
    length, d = lengths[0], config.d_model
    layer = length * (8 * d * d + 4 * d * config.d_ff) + 4 * length * length * d
    costs = [float(layer)] * config.num_layers
    costs[-1] += float(2 * head_positions(lengths) * d * (d + config.vocab_size))
    return tuple(costs)


def head_positions(lengths: Lengths) -> int:
    """P, of a sample."""
    length, most = lengths
    return most if 0 < most < length else length


def kept_bytes(config: BertConfig, part: range, step: Step) -> int:
    """See Costs.kept_bytes and ../kept.py; linguistic inputs and entity knowledge are not counted.

    Norms before or after a region keep the same. First slice: the positions (8 S), and the norm of a post-LN model.
    Last: the final norm of a pre-LN model; kept_by_transform; the LM head, on (P, D); kept_by_classifiers.
    """
    kept, d, length = Kept(step), config.d_model, step.lengths[0]
    seen = kept.padded(head_positions(step.lengths))
    norm = kept.layer_norm(length, d)
    attention = kept.attention(length, length, d, config.num_heads, biased=False)
    ffn = kept.ffn(length, config.d_ff, config.activation)
    total = len(part) * kept.layer(length, d, [norm] * 2, [attention, ffn])
    if part.start == 0:
        total += 8 * length + (norm if config.norm == "post" else 0)
    if part.stop == config.num_layers:
        total += (norm if config.norm == "pre" else 0) + kept_by_transform(config, step, d)
        total += kept.lm_head(seen, d, config.vocab_size, bias=True)
        total += kept_by_classifiers(config, step)
    return total


def kept_by_transform(config: BertConfig, step: Step, size: int) -> int:
    """Bytes of the final states (S, D), which the pooler's input is part of; where P is less than S, of P numbers of
    rows and these rows (P, D); and of the product and the norm (P, size) of the transform."""
    kept, length = Kept(step), step.lengths[0]
    seen = kept.padded(head_positions(step.lengths))
    total = kept.residual(length, config.d_model)
    if head_positions(step.lengths) < length:
        total += 8 * step.samples * seen + kept.residual(seen, config.d_model)
    product = 0 if config.activation == "relu" else kept.residual(seen, size)
    return total + product + kept.layer_norm(seen, size)


def kept_by_classifiers(config: BertConfig, step: Step) -> int:
    """Bytes of the pooled state (D), and for every classifier the probabilities and the number of labels in fp32, and
    where labels are smoothed, which of them are ignored."""
    total, wide = step.samples * config.d_model * step.element_bytes, max(4, step.element_bytes)
    for head, classes in ((SENTENCE_ORDER, 2), *auxiliary(config.heads)):
        rows = step.samples * (step.lengths[0] if head.reads == "tokens" else 1)
        total += (rows * classes + 1) * wide + (rows if head.smoothing else 0)
    return total
