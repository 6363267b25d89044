"""Text to token shards: read, tokenizer, Megatron .bin/.idx, manifest, build. Nothing here imports torch."""
