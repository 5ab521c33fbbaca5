"""The signal: advantages, the MGPO objective, selection of prompts and traces."""
