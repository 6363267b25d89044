"""Flash attention with T5's position bias in Triton. Imported by the first call that needs it."""
