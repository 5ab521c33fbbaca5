"""The result of judging one response."""

from __future__ import annotations

from typing import NamedTuple

CODE_REASONS = ('accepted', 'wrong_answer', 'runtime_error', 'time_limit', 'memory_limit', 'output_limit', 'security')


class Verdict(NamedTuple):
  """What a verifier says about one response.

  status: 'correct' | 'wrong' | 'invalid'. `invalid` is a fault of the infrastructure: the sample is left out
    of its group, it is never rewarded 0.
  reason, for code: one of CODE_REASONS (`accepted` goes with 'correct', all others with 'wrong').
  reason, for maths: 'equal' (correct), 'different', 'refused' (power tower, exponent > 10^4, factorial >
    10^3: never evaluated), 'timeout'.
  reason, for both: 'no_answer' (no usable box or code block after the only </think>; wrong), 'fault'
    (invalid: the worker died twice or the verifier raised), 'timeout' of a function of your own (invalid: it says
    nothing of the response), 'no_tests', 'no_gold' (invalid: a problem without any test, or with an answer like 'see
    below', proves nothing).
  reason, for constraints: 'followed' (correct) or the kind of the first that is broken.
  reason, of a function of your own that returned True or False: 'judged'; a number or a dict: 'graded' (returned.py).
  reward: what RL trains on, any finite number; None: 1 for 'correct', 0 for 'wrong'.
  parts: named numbers that the reward is made of; they are reported, nothing else.
  """

  status: str
  reason: str
  reward: float | None = None
  parts: dict[str, float] | None = None

  def value(self) -> float:
    """The reward as a number."""
    return float(self.status == 'correct') if self.reward is None else self.reward


EQUAL = Verdict('correct', 'equal')
DIFFERENT = Verdict('wrong', 'different')
NO_ANSWER = Verdict('wrong', 'no_answer')
REFUSED = Verdict('wrong', 'refused')
TIMEOUT = Verdict('wrong', 'timeout')
NO_GOLD = Verdict('invalid', 'no_gold')
FAULT = Verdict('invalid', 'fault')
OVERDUE = Verdict('invalid', 'timeout')
