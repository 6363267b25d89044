"""The objectives once more, one sample at a time in plain Python: what the vectorised ones have to equal."""

from collections.abc import Sequence
from itertools import pairwise

MODULUS = 2**64
GOLDEN = 0x9E3779B97F4A7C15


def mix(value: int) -> int:
    """splitmix64's finaliser."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % MODULUS
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % MODULUS
    return value ^ (value >> 31)


def derive(key: int, number: int) -> int:
    return mix((mix(key) + (number + 1) * GOLDEN) % MODULUS)


def draw(key: int, stream: int, position: int) -> int:
    return mix((derive(key, stream) + (position + 1) * GOLDEN) % MODULUS)


def below(number: int, limit: int) -> int:
    return (number % 2**32) * limit >> 32


def rank(key: int, stream: int, position: int) -> int:
    """Orders positions at random: 44 random bits, then the position."""
    return (draw(key, stream, position) >> 20 << 20) + position


def composition(key: int, stream: int, total: int, parts: int) -> list[int]:
    """total as a sum of `parts` numbers >= 1: cut behind parts - 1 of the total - 1 inner places."""
    places = sorted(range(total - 1), key=lambda place: rank(key, stream, place))
    cuts = [0, *sorted(place + 1 for place in places[: parts - 1]), total]
    return [end - begin for begin, end in pairwise(cuts)]


def span_corruption(
    tokens: Sequence[int],
    key: int,
    noise: int,
    spans: int,
    sentinels: Sequence[int],
    eos: int,
    pad: int,
    free_edges: bool = False,
) -> dict[str, list[int]]:
    """T5: text, span, text, span, ... ; every span becomes a sentinel, the target lists sentinel and span.

    With free edges the window may also begin with a span and end with text.
    """
    noise_lengths = composition(key, 1, noise, spans)
    if free_edges:
        text_lengths = composition(key, 2, len(tokens) - noise + 2, spans + 1)
        text_lengths = [text_lengths[0] - 1, *text_lengths[1:-1]]
    else:
        text_lengths = composition(key, 2, len(tokens) - noise, spans)
    source: list[int] = []
    labels: list[int] = []
    place = 0
    for sentinel, text, span in zip(sentinels, text_lengths, noise_lengths, strict=False):
        source += [*tokens[place : place + text], sentinel]
        labels += [sentinel, *tokens[place + text : place + text + span]]
        place += text + span
    source += tokens[place:]
    labels.append(eos)
    return {"input_ids": [*source, eos], "decoder_input_ids": [pad, *labels[:-1]], "labels": labels}


def masked(
    tokens: Sequence[int],
    key: int,
    probability: float,
    special: set[int],
    vocab_size: int,
    mask: int,
    cls: int,
    sep: int,
    sentence_order: bool,
) -> dict[str, list[int] | int]:
    """BERT: 80 / 10 / 10 on an exact number of real tokens; segments swapped on a coin toss."""
    real = [place for place, token in enumerate(tokens) if token not in special]
    ordinary = [number for number in range(vocab_size) if number not in special]
    budget = min(max(round(len(real) * probability), 1), len(real))
    chosen = sorted(real, key=lambda place: rank(key, 1, place))[:budget]
    corrupted, labels = list(tokens), [-100] * len(tokens)
    for place in chosen:
        labels[place] = tokens[place]
        number = draw(key, 2, place)
        action = below(number, 10)
        if action < 8:
            corrupted[place] = mask
        elif action == 8:
            corrupted[place] = ordinary[below(number >> 32, len(ordinary))]
    if not sentence_order:
        return {
            "input_ids": [cls, *corrupted, sep],
            "token_type_ids": [0] * (len(tokens) + 2),
            "labels": [-100, *labels, -100],
        }
    number = draw(key, 3, 0)
    quarter = len(tokens) // 4
    cut = quarter + below(number, len(tokens) - 2 * quarter + 1)
    swapped = below(number >> 32, 2)
    order = [range(cut), range(cut, len(tokens))][:: -1 if swapped else 1]
    first, second = order
    return {
        "input_ids": [cls, *(corrupted[i] for i in first), sep, *(corrupted[i] for i in second), sep],
        "token_type_ids": [0] * (len(first) + 2) + [1] * (len(second) + 1),
        "labels": [-100, *(labels[i] for i in first), -100, *(labels[i] for i in second), -100],
        "sop_labels": swapped,
    }
