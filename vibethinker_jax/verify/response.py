"""The default verifier: constraints first, then code problems by their tests, all others by their answer."""
from __future__ import annotations

from vibethinker_jax.verify import choice, code, constraints, extract, math
from vibethinker_jax.verify.verdict import Verdict


def check(row: dict) -> None:
  """Raises ValueError for a row that verify cannot judge."""
  if row.get('constraints') is not None:
    constraints.check(row['constraints'])
  elif row.get('tests') is None and row.get('answer') is None:
    raise ValueError(f'a row needs "tests", "answer" or "constraints" to be verified; it has {sorted(row)}')


def without_program(response: str, row: dict) -> Verdict | None:
  """What can be said at once, by text alone; None for what needs a worker. Takes microseconds, evaluates nothing."""
  if row.get('constraints') is not None:
    return None
  if row.get('tests') is not None:
    return math.NO_ANSWER if extract.code_text(response) is None else None
  if row.get('choices') and isinstance(row['choices'], (list, tuple)):  # sets that mix kinds have '' or [] in other rows
    return choice.verify(response, str(row['answer']), row['choices'])
  verdict = math.fast_verdict(response, str(row['answer']))
  return None if row.get('accepted_answers') and verdict != math.EQUAL and verdict != math.NO_ANSWER else verdict


def verify(response: str, row: dict) -> Verdict:
  """Judges a response to one row of a data set.

  Args:
    response: the model's whole text.
    row: with `tests` (not None; see code.verify) or else `answer` (see math.verify; with `choices` see
      choice.verify; `accepted_answers` are further answers, each right too), with `constraints` (see constraints.verify), or
      with both: then both must hold.
  Returns:
    A Verdict; a response without a code block is ('wrong', 'no_answer').
  Raises:
    ValueError: the row has none of them, or one is malformed.
    SandboxUnavailable: this machine cannot run programs safely.
  """
  check(row)
  if row.get('constraints') is not None:
    verdict = constraints.verify(response, row['constraints'])
    judging = ('tests', 'answer', 'accepted_answers', 'choices')
    rest = {name: row[name] for name in judging if row.get(name) not in (None, '')}
    return verdict if verdict.status != 'correct' or not rest else verify(response, rest)
  verdict = without_program(response, row)
  if verdict is not None:
    return verdict
  if row.get('tests') is not None:
    return code.verify(extract.code_text(response), row['tests'])
  verdict = math.verify(response, str(row['answer']), row.get('quick', False))
  for answer in row.get('accepted_answers') or ():
    if verdict.status == 'correct':
      break
    other = math.verify(response, str(answer), row.get('quick', False))
    verdict = other if other.status == 'correct' or other.reason == 'timeout' else verdict
  return verdict
