"""Configuration: the schema of a run, how a file becomes one, and what must hold between its fields. No torch."""
