"""The loops of masking in plain Python: their specification, and what works where nothing was compiled."""
