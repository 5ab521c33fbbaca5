r"""cons@n: the answer that most of a problem's responses give, where equal means equal to the verifier.

groups(['1/2', '\\frac{1}{2}', '3'], same) == [[0, 1], [2]]
"""

import collections
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from vibethinker_jax.verify.maths import choice, extract
from vibethinker_jax.verify.maths.normal import normalise
from vibethinker_jax.verify.parts import parse
from vibethinker_jax.verify.pool import Pool

THREADS = 8  # problems at a time; each waits for one comparison after the other


def answer(response: str, row: dict) -> str | None:
  """What a response votes for: the content of its box, of a multiple choice the letter; None abstains."""
  found = extract.answer_of(parse(response))
  if found is not None and row.get('choices'):
    return choice.letter_of(found, row['choices'])
  return found


def groups(answers: list[str], same: Callable[[str, str], bool]) -> list[list[int]]:
  """Indices of equal answers, a list each, in the order of the first of them."""
  kinds, by_text = [], {}
  for i, text in enumerate(answers):
    spelling = normalise(text)
    if spelling not in by_text:
      known = next((kind for kind in kinds if same(text, answers[kind[0]])), None)
      if known is None:
        kinds.append(known := [])
      by_text[spelling] = known
    by_text[spelling].append(i)
  return kinds


def cons(votes: list[tuple[str | None, bool]], same: Callable[[str, str], bool]) -> float:
  """1 if the majority is right, 0 if not; where several answers lead, the share of the leaders that is right.

  Args:
    votes: (answer, or None to abstain; whether the verifier called the response correct). The correct ones are one
      answer: each equals the gold one.
    same: the verifier's equality of two answers.
  """
  right = sum(correct for _, correct in votes)
  wrong = [text for text, correct in votes if not correct and text is not None]
  counts = collections.Counter({i: len(kind) for i, kind in enumerate(groups(wrong, same))})
  lead = max([right, *counts.values()])
  leaders = sum(count == lead for count in counts.values()) + (right == lead)
  return (right == lead) / leaders if lead else 0.0


def same_by(pool: Pool, row: dict) -> Callable[[str, str], bool]:
  """The verifier's equality of answers to a row, in either direction: one as response, the other as gold."""
  if row.get('choices'):
    return lambda a, b: a == b
  boxed = lambda a, b: pool.submit(f'\\boxed{{{a}}}', {'answer': b})
  return lambda a, b: any(f.result().status == 'correct' for f in (boxed(a, b), boxed(b, a)))


def cons_of(votes_P: list[list[tuple]], rows: list[dict], pool: Pool) -> list[float]:
  """`cons` of each problem."""
  with ThreadPoolExecutor(THREADS) as threads:
    return list(threads.map(lambda votes, row: cons(votes, same_by(pool, row)), votes_P, rows))
