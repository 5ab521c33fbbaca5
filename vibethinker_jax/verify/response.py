"""The default verifier: code problems by their tests, all others by their answer."""
from __future__ import annotations

from vibethinker_jax.verify import code, extract, math
from vibethinker_jax.verify.verdict import Verdict


def verify(response: str, row: dict) -> Verdict:
  """Judges a response to one row of a data set.

  Args:
    response: the model's whole text.
    row: with `tests` (not None; see code.verify) or else `answer` (see math.verify).
  Returns:
    A Verdict; a response without a code block is ('wrong', 'no_answer').
  Raises:
    ValueError: the row has neither tests nor answer.
    SandboxUnavailable: this machine cannot run programs safely.
  """
  tests = row.get('tests')
  if tests is None:
    if row.get('answer') is None:
      raise ValueError(f'a row needs "tests" or "answer" to be verified; it has {sorted(row)}')
    return math.verify(response, str(row['answer']))
  source = extract.code_text(response)
  if source is None:
    return math.NO_ANSWER
  return code.verify(source, tests)
