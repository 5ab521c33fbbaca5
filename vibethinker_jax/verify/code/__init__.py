"""Judges programs by their tests: `code.verify(source, tests, limits)`, see programs.py."""

from vibethinker_jax.verify.code.programs import Limits, verify

__all__ = ('Limits', 'verify')
