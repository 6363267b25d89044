"""Cloze cases: one unit of a held-out text is left out, the model says how likely each answer is.

For BERT the unit's tokens are [MASK]; for T5 one sentinel stands for it and the answer is the target behind it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from taixue.data_tools.tokenizer.base import Tokenizer

_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Cloze:
    """before and after: token ids around the gap; answers: token ids of each; right: which of them stood there."""

    kind: str
    before: np.ndarray
    after: np.ndarray
    answers: tuple[np.ndarray, ...]
    right: int


@dataclass(frozen=True)
class Scores:
    """What a model makes of one kind of cases.

    accuracy: of one answer, the share of cases whose tokens are all its first choices; of several, the share in which
    the right answer has the highest mean log-probability per token. loss: nats per token of the right answers.
    """

    cases: int
    accuracy: float
    loss: float


def score(model: nn.Module, tokenizer: Tokenizer, cases: Sequence[Cloze], longest: int) -> dict[str, Scores]:
    """Scores by kind. The model is in evaluation mode, on the CPU; contexts are cut to `longest` tokens in all."""
    pairs = [(number, answer) for number, case in enumerate(cases) for answer in case.answers]
    encode = _bert_rows if tokenizer.kind == "bert" else _t5_rows
    likelihoods: list[tuple[float, int, bool]] = []
    for begin in range(0, len(pairs), _ROWS_AT_ONCE):
        chunk = [(cases[number], answer) for number, answer in pairs[begin : begin + _ROWS_AT_ONCE]]
        likelihoods += _likelihoods(model, *encode(tokenizer, chunk, longest))
    answered: list[list[tuple[float, int, bool]]] = [[] for _ in cases]
    for (number, _), found in zip(pairs, likelihoods, strict=True):
        answered[number].append(found)
    return {
        kind: _summary([(c, a) for c, a in zip(cases, answered, strict=True) if c.kind == kind])
        for kind in dict.fromkeys(case.kind for case in cases)
    }


def _summary(answered: list[tuple[Cloze, list[tuple[float, int, bool]]]]) -> Scores:
    hits, nats, tokens = 0.0, 0.0, 0
    for case, answers in answered:
        total, length, first_choice = answers[case.right]
        means = [sum_ / count for sum_, count, _ in answers]
        # Answers of one probability share the hit: a model that knows nothing is right by chance.
        best = means.count(max(means)) if means[case.right] == max(means) else math.inf
        hits += first_choice if len(answers) == 1 else 1 / best
        nats, tokens = nats - total, tokens + length
    return Scores(len(answered), hits / len(answered), nats / tokens if tokens else math.nan)


@torch.no_grad()
def _likelihoods(
    model: nn.Module, batch: dict[str, Tensor], labels: list[tuple[int, np.ndarray]]
) -> Iterator[tuple[float, int, bool]]:
    """For each row (sum of the log-probabilities, number of tokens, whether all are first choices).

    labels: for each row the position of its first predicted token and the tokens.
    """
    out = model(**batch)
    logits = out[0] if isinstance(out, tuple) else out
    for row, (begin, answer) in zip(logits, labels, strict=True):
        wanted = torch.from_numpy(answer.astype(np.int64))
        chances = row[begin : begin + len(answer)].log_softmax(-1)
        total = chances.gather(1, wanted[:, None]).sum().item()
        yield total, len(answer), bool((chances.argmax(-1) == wanted).all())


def _bert_rows(
    tokenizer: Tokenizer, chunk: Sequence[tuple[Cloze, np.ndarray]], longest: int
) -> tuple[dict[str, Tensor], list[tuple[int, np.ndarray]]]:
    rows, labels = [], []
    for case, answer in chunk:
        before, after = _context(case, longest - 2 - len(answer))
        rows.append(
            np.concatenate([
                [tokenizer.cls_id], before, [tokenizer.mask_id] * len(answer), after, [tokenizer.sep_id],
            ])
        )  # fmt: skip
        labels.append((1 + len(before), answer))
    ids, mask = _padded(rows, tokenizer.pad_id)
    return {"input_ids": ids, "token_type_ids": torch.zeros_like(ids), "attention_mask": mask}, labels


def _t5_rows(
    tokenizer: Tokenizer, chunk: Sequence[tuple[Cloze, np.ndarray]], longest: int
) -> tuple[dict[str, Tensor], list[tuple[int, np.ndarray]]]:
    sentinel, rows, targets = tokenizer.sentinel_ids[0], [], []
    for case, answer in chunk:
        before, after = _context(case, longest - 2)
        rows.append(np.concatenate([before, [sentinel], after, [tokenizer.eos_id]]))
        targets.append(np.concatenate([[tokenizer.pad_id, sentinel], answer[:-1]]))
    ids, mask = _padded(rows, tokenizer.pad_id)
    batch = {"input_ids": ids, "attention_mask": mask}
    # What is padded behind a target is seen by nothing before it.
    return batch | {"decoder_input_ids": _padded(targets, tokenizer.pad_id)[0]}, [(1, a) for _, a in chunk]


def _context(case: Cloze, room: int) -> tuple[np.ndarray, np.ndarray]:
    """As much of both sides as there is room for, halves when both are long."""
    left = min(len(case.before), max(room // 2, room - len(case.after)))
    return case.before[len(case.before) - left :], case.after[: room - left]


def _padded(rows: Sequence[np.ndarray], pad: int) -> tuple[Tensor, Tensor]:
    """Ids int64 (N, longest) and a mask of what is no padding."""
    length = max(map(len, rows))
    ids = np.stack(
        [np.pad(row.astype(np.int64), (0, length - len(row)), constant_values=pad) for row in rows]
    )
    lengths = np.array([len(row) for row in rows])
    return torch.from_numpy(ids), torch.from_numpy(np.arange(length)[None] < lengths[:, None])
