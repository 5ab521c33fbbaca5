r"""Validators of explicit constraints, for instruction RL (VibeThinker-3B §2.4; the checkable kinds of IFEval).

  verify('<think>x</think>one two three', [{'kind': 'words', 'at_most': 3}]) == Verdict('correct', 'followed')

A constraint is {'kind': name of a function of constraint_kinds.py, its arguments}. Several constraints of a prompt hold
together or not at all.
"""

from __future__ import annotations

import inspect

from vibethinker_jax.verify.constraint_kinds import KINDS, within
from vibethinker_jax.verify.parts import parse
from vibethinker_jax.verify.verdict import NO_ANSWER, Verdict


def check(constraints: list[dict]) -> None:
  """Raises ValueError for a constraint that is not one: an unknown kind, or arguments that it does not take."""
  if not constraints:
    raise ValueError('a row with "constraints" needs at least one: without, any text would follow them')
  for constraint in constraints:
    arguments = {name: value for name, value in constraint.items() if name != 'kind'}
    if constraint.get('kind') not in KINDS:
      raise ValueError(f'constraint {constraint}: "kind" is one of {", ".join(sorted(KINDS))}')
    try:
      bound = inspect.signature(KINDS[constraint['kind']]).bind('', **arguments)
      if 'bounds' in inspect.signature(KINDS[constraint['kind']]).parameters:
        inspect.signature(within).bind(0, **bound.kwargs)
        if not bound.kwargs:
          raise TypeError('give at_least, at_most or exactly')
    except TypeError as e:
      raise ValueError(f'constraint {constraint}: {e}') from e


def verify(response: str, constraints: list[dict]) -> Verdict:
  """Judges a response by all the constraints of its prompt.

  Args:
    response: the model's whole text; what follows the only '</think>' is judged.
    constraints: see the module.
  Returns:
    ('correct', 'followed'), or 'wrong' with the kind of the first broken one, or with 'no_answer' for an empty
    text or a thought that never ends.
  Raises:
    ValueError: see check.
  """
  check(constraints)
  return judge(parse(response).final, constraints)


def judge(text: str | None, constraints: list[dict]) -> Verdict:
  """`verify` of the part of a response that is judged; None where there is none."""
  if text is None or not text.strip():
    return NO_ANSWER
  for constraint in constraints:
    arguments = {name: value for name, value in constraint.items() if name != 'kind'}
    if not KINDS[constraint['kind']](text, **arguments):
      return Verdict('wrong', constraint['kind'])
  return Verdict('correct', 'followed')
