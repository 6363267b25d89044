"""What a batch of a T5 may hold. No torch here.

Letters: B batch, S source length, T target length, P predicates of a sentence.
"""

INPUTS = {
    "input_ids": "(B, S) int64",
    "decoder_input_ids": "(B, T) int64",
    "attention_mask": "(B, S) bool, False: padding",
    "segments": "(B, S): a position attends to those of the same number only (packed samples)",
    "decoder_segments": "(B, T) the same of targets, in their own and in cross-attention",
    "pos_ids": "(B, S) part of speech, 0: none; used where config.features has them, as the next three",
    "role_ids": "(B, S, P) semantic roles, 0: none",
    "word_groups": "(B, S) number of the word that holds the position, 0: none",
    "clause_groups": "(B, S) number of the clause",
}
"""Key -> shape and meaning. input_ids and decoder_input_ids are always there."""

LABELS = {"labels": "(B, T) tokens to predict"}
"""Key -> shape and meaning; int64, -100 where nothing is predicted."""
