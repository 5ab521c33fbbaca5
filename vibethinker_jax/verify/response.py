"""Judges whole responses, from any process: the name of the default verifier in a config."""

from __future__ import annotations

import atexit
import functools
import os
import threading

from vibethinker_jax.verify import default, frames
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.verdict import Verdict

SECONDS = 5.0  # for an answer, when a program calls verify directly


def verify(response: str, row: dict) -> Verdict:
  """Judges a response to one row of a data set.

  Args:
    response: the model's whole text.
    row: with `tests` (not None; see code.verify) or else `answer` (see math.verify; with `choices` the letter of one,
      see maths/choice.py; `accepted_answers` are further answers, each right too), with `constraints` (see
      constraints.verify), or with both: then both must hold.
  Returns:
    A Verdict; a response without an answer, or without a code block, is ('wrong', 'no_answer').
  Raises:
    ValueError: the row has none of them, or one is malformed.
    SandboxUnavailable: this machine cannot run programs safely.
  """
  default.check(row)
  part, judging = default.needed(response, row)
  verdict = default.at_once(part, judging)
  if verdict is not None:
    return verdict
  if 'answer' not in judging or os.environ.get(frames.IN_WORKER):
    return default.judge(part, judging)
  return _own_pool().verify([(response, row)])[0]


_lock = threading.Lock()


def _own_pool() -> Pool:
  with _lock:
    return _start_own()


@functools.cache
def _start_own() -> Pool:
  """The one killable worker of this process, started by the first answer that needs it."""
  pool = Pool(workers=1, timeout=SECONDS)
  atexit.register(pool.close)
  return pool
