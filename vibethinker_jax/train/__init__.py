"""Supervised training: state, optimizer, loss, step."""
