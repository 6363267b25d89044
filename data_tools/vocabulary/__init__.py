"""Another vocabulary for a Hugging Face folder: more words, or only those that are used; its weights follow.

    extend   adds domain words; the new rows of the embeddings are means of the rows that spelled the word before
    trim     drops pieces that a text does not use; the rows that stay are copied bit by bit

Both take a T5 folder with spiece.model or a BERT folder with vocab.txt, with or without weights (model.safetensors,
whole or in parts), and write a new folder; nothing else in the folder changes but config.json's vocab_size.
"""

from .change import extend, trim
from .pieces import Change

__all__ = ["Change", "extend", "trim"]
