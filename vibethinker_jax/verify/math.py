r"""Judges responses to maths problems; `python -m vibethinker_jax.verify.math` does it for files of pairs.

verify('<think>6*7</think>\\boxed{\\frac{84}{2}}', '42') == Verdict('correct', 'equal')
"""

from __future__ import annotations

import sys

from vibethinker_jax.verify import response as response_lib
from vibethinker_jax.verify.maths import corpus
from vibethinker_jax.verify.verdict import Verdict


def verify(response: str, gold: str) -> Verdict:
  """Judges a response to a maths problem.

  Args:
    response: the model's whole text.
    gold: the right answer, LaTeX or plain.
  Returns:
    Verdict('correct', 'equal') or Verdict('wrong', reason); reason 'timeout' when math-verify had to be
    killed; Verdict('invalid', 'no_gold') for a gold that is no answer, and 'fault' when its worker died
    twice. Source: reliability.md, Maths verification.
  """
  return response_lib.verify(response, {'answer': gold})


if __name__ == '__main__':
  sys.exit(corpus.main())
