"""The default verifier: constraints first, then code problems by their tests, all others by their answer.

A response is taken apart once (`needed`); what is judged of it is then one text: its answer, its program or its final
part.
"""

from __future__ import annotations

from vibethinker_jax.verify import constraints
from vibethinker_jax.verify.code import programs
from vibethinker_jax.verify.maths import answers, choice, extract
from vibethinker_jax.verify.parts import parse
from vibethinker_jax.verify.verdict import EQUAL, NO_ANSWER, Verdict

NAME = 'vibethinker_jax.verify.response:verify'  # of this verifier in a config
JUDGING = ('constraints', 'tests', 'answer', 'accepted_answers', 'choices')  # the fields of a row that judge


def check(row: dict) -> None:
  """Raises ValueError for a row that nothing here can judge."""
  if row.get('constraints') is not None:
    constraints.check(row['constraints'])
  elif row.get('tests') is None and row.get('answer') is None:
    raise ValueError(f'a row needs "tests", "answer" or "constraints" to be verified; it has {sorted(row)}')


def needed(response: str, row: dict) -> tuple[str | None, dict]:
  """What of a response a row judges, and what of the row judges it.

  Args:
    response: the model's whole text.
    row: see response.verify.
  Returns:
    (final part for constraints, program for tests, else the boxed answer; None where there is none, the fields that
    judge).
  """
  parts = parse(response)
  if row.get('constraints') is not None:
    return parts.final, {name: row[name] for name in JUDGING if row.get(name) not in (None, '')}
  if row.get('tests') is not None:
    return parts.program, {'tests': row['tests']}
  # sets that mix kinds have '' or [] as choices in other rows
  answer = {
    name: row[name] for name in ('accepted_answers', 'choices') if row.get(name) and not isinstance(row[name], str)
  }
  return extract.answer_of(parts), {'answer': str(row['answer'])} | answer


def at_once(part: str | None, row: dict) -> Verdict | None:
  """What can be said by text alone; None for what needs a worker. Takes microseconds, evaluates nothing.

  Args:
    part, row: of `needed`, here and below.
  """
  if 'constraints' in row:
    return NO_ANSWER if part is None or not part.strip() else None
  if 'tests' in row:
    return NO_ANSWER if part is None else None
  if 'choices' in row:
    return choice.judge(part, row['answer'], row['choices'])
  verdict = answers.at_once(part, row['answer'])
  return None if row.get('accepted_answers') and verdict not in (EQUAL, NO_ANSWER) else verdict


def judge(part: str, row: dict, seconds: float = answers.SLOW) -> Verdict:
  """What at_once left open. To be called in the main thread of a process that may be killed, unless `row` has tests
  alone.

  Args:
    seconds: of CPU for a symbolic comparison.
  Raises:
    ValueError: tests are malformed.
    SandboxUnavailable: this machine cannot run programs safely.
  """
  if 'constraints' in row:
    verdict = constraints.judge(part, row['constraints'])
    rest = {name: value for name, value in row.items() if name != 'constraints'}
    if verdict.status != 'correct' or not rest:
      return verdict
    part, row = needed(part, rest)
    return at_once(part, row) or judge(part, row, seconds)
  if 'tests' in row:
    return programs.verify(part, row['tests'])
  if not row.get('accepted_answers'):
    return answers.compared(part, row['answer'], seconds)
  verdict = answers.at_once(part, row['answer']) or answers.compared(part, row['answer'], seconds)
  for answer in map(str, row.get('accepted_answers') or ()):
    if verdict.status == 'correct':
      break
    other = answers.at_once(part, answer) or answers.compared(part, answer, seconds)
    verdict = other if other.status == 'correct' or other.reason == 'timeout' else verdict
  return verdict
