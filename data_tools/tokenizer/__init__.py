"""Vocabularies: trained, loaded, and changed with the weights that belong to them.

store.py trains and loads folders; base.py says what every tokenizer offers. change.py gives a Hugging Face folder
another vocabulary: more words (new rows of the embeddings are means of the rows that spelled the word before), or only
those that a text uses.
"""
