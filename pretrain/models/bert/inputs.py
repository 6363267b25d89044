"""What a batch of a BERT may hold. No torch here.

Letters: B batch, S sequence length, P most labels of a sample, R predicates of a sentence, K width of entity vectors,
W mentions, L answer tokens.
"""

INPUTS = {
    "input_ids": "(B, S) int64",
    "token_type_ids": "(B, S) int64, the segment",
    "attention_mask": "(B, S) bool, False: padding",
    "segments": "(B, S): a position attends to those of the same number only; positions count from 0 in each",
    "pos_ids": "(B, S) part of speech, 0: none; used where config.features has them, as the next three",
    "role_ids": "(B, S, R) semantic roles, 0: none",
    "word_groups": "(B, S) number of the word that holds the position, 0: none",
    "clause_groups": "(B, S) number of the clause",
    "mentions": "(B, S) number of the mention from 1, 0: outside of any; needs config.knowledge_width, as below",
    "knowledge": "(B, S, K) what stands in for the embeddings of mentions",
    "mention_relations": "(B, W, K) relation whose other entity is asked for",
    "label_positions": "(B, P) positions of all `labels`, -1 behind them: the LM head sees only these. None: all of S",
}
"""Key -> shape and meaning. input_ids and token_type_ids are always there."""

LABELS = {
    "labels": "(B, S) tokens to predict",
    "sop_labels": "(B,) 0 in order, 1 swapped",
    "pos_labels": "(B, S) part of speech",
    "ne_labels": "(B, S) entity type",
    "relation_labels": "(B,) relation of a removed connective",
    "answer_labels": "(B, W, L) tokens of the other entity",
}
"""Key -> shape and meaning; int64, -100 where nothing is predicted."""
