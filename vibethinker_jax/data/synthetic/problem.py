"""What a template of synthetic problems returns, and small exact helpers that the templates share."""

from fractions import Fraction
from typing import NamedTuple

MATHS = ('algebra', 'geometry', 'calculus', 'statistics')  # the subdomains of VibeThinker-1.5B §3.3
DOMAINS = MATHS + ('code',)
LEVELS = (1, 2, 3)  # of difficulty, of every template


class Draft(NamedTuple):
  """One drawn problem.

  Attributes:
    key: the numbers (and words that matter) that make the problem; two drafts of one template with equal
      keys are the same problem, whatever their wording. Splits are made by hashing (template, key).
    prompt: the question in plain text.
    answer: the exact answer as it stands in \\boxed{} ('' for code).
    solutions: style name -> worked reasoning, without the <think> tags and without the final answer line.
    final: style name -> what follows </think>: for code the fenced function; empty for maths, where the
      final line is always `\\boxed{answer}`.
    tests: for code, {'function': name, 'cases': [{'args': [...], 'expected': value}, ...]}; else None.
  """

  key: tuple
  prompt: str
  answer: str
  solutions: dict[str, str]
  final: dict[str, str] = {}
  tests: dict | None = None


def fraction(value: Fraction | int) -> str:
  """'7', '-3/4': how exact numbers are written in answers."""
  value = Fraction(value)
  return str(value.numerator) if value.denominator == 1 else f'{value.numerator}/{value.denominator}'
