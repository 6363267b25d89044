"""Inputs that nobody meant, for everything that reads files of others: `python -m tests.fuzz --seconds 600`."""
