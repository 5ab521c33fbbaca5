"""Runs model-written programs under seccomp and resource limits."""
