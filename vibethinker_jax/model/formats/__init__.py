"""Checkpoints of others: Hugging Face directories, both ways, and GGUF files."""
