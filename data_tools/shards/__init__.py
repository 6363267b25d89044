"""A corpus on disk: Megatron's .bin/.idx pairs, annotation beside them, manifests, and the corpus opened again."""
