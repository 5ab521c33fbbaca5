"""Several rewards of one response, summed with weights: builtin ones by name, functions of your own as module:function.

with Rewards((('answer', 1.0), ('format', 0.2), ('mine:judge', 0.5)), workers=4) as rewards:
  rewards.submit(response, row).result()   # Verdict('correct', 'equal', 1.2, {'answer': 1.0, 'format': 1.0, ...})
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
import contextlib
import importlib.util
import os
import threading

import numpy as np

from vibethinker_jax import config
from vibethinker_jax.data import ngrams
from vibethinker_jax.verify import default, returned
from vibethinker_jax.verify.parts import parse
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.tasks import Hastened
from vibethinker_jax.verify.verdict import FAULT, Verdict

TOKENS, LIMIT = 'response_tokens', 'max_tokens'  # fields of the row that is judged, beside its own
CACHE = 0.2  # of the limit: DAPO's 4 096 of 20 480 tokens, over which the punishment grows (arXiv 2503.14476, eq. 13)


def answer_format(response: str, row: dict) -> float:
  """1 for exactly one thought (its '<think>' may stand in the prompt) and one box, which follows it; else 0."""
  opens, closes = response.count('<think>'), response.count('</think>')
  begun = opens <= 1 and (not opens or response.lstrip().startswith('<think>'))
  return float(begun and closes == 1 and len(parse(response).boxes) == 1)


def overlong(response: str, row: dict) -> float:
  """DAPO's soft punishment: 0 up to (1 - CACHE) of the limit, then down to -1 at the limit; 0 where none is known."""
  tokens, limit = row.get(TOKENS), row.get(LIMIT)
  if not tokens or not limit:
    return 0.0
  return -min(1.0, max(0.0, (tokens - (1 - CACHE) * limit) / (CACHE * limit)))


def repetition(response: str, row: dict) -> float:
  """Minus the share of n-grams of words that stood before, see data.ngrams.repetition: 0 to -1."""
  return -ngrams.repetition(response)


TEXT = {'format': answer_format, 'overlong': overlong, 'repetition': repetition}  # these need no process
BUILTIN = ('answer', *TEXT)


def mistakes(rewards: tuple[tuple[str, float], ...]) -> Iterator[str]:
  """What is wrong with names and weights, in words."""
  names = [name for name, _ in rewards]
  for name, weight in rewards:
    if name not in BUILTIN and not all(name.partition(':')[::2]):
      yield f"{name!r} must be one of {', '.join(BUILTIN)}, or 'module:function'{config.nearest(name, BUILTIN)}"
    elif name in BUILTIN and weight < 0:
      yield f'the weight {weight:g} of {name!r} must not be negative: it is already less for what is worse'
  if twice := sorted({name for name in names if names.count(name) > 1}):
    yield f'{rewards} must name none twice, as {", ".join(twice)}'
  if names and not any(weight for _, weight in rewards):
    yield f'{rewards} must have a weight that is not 0: else all rewards are equal'


def measured(pool, row: dict, tokens: int | None, limit: int | None) -> dict:
  """The row with what `overlong` needs, for Rewards; as it is for a Pool."""
  return row | {TOKENS: tokens, LIMIT: limit} if isinstance(pool, Rewards) else row


def no_module(name: str) -> str:
  """What is wrong with a 'module:function' whose module is not there; '' where it is."""
  module, _, function = name.partition(':')
  try:
    found = function and importlib.util.find_spec(module)
  except (ModuleNotFoundError, ValueError):
    found = None
  if found:
    return ''
  return (
    f'there is no module {module!r} with a function {function!r} to import; it is '
    "'module:function', and the module must be on PYTHONPATH or in this folder"
  )


def graded(recipe: config.Recipe) -> bool:
  """Whether rewards may be anything but 1 for correct and 0 for wrong."""
  return bool(recipe.rewards) or recipe.verifier != default.NAME


def spread(rewards: Iterable[float], parts: Iterable[dict[str, float]]) -> dict[str, tuple[float, float]]:
  """{name: (mean, standard deviation)} of rewards under the name '', and of their parts."""
  values = {'': list(rewards)}
  for named in parts:
    for name, value in named.items():
      values.setdefault(name, []).append(value)
  deviation = lambda x: float(np.std(x)) if max(x) > min(x) else 0.0  # of equal ones it is off by rounding
  return {name: (float(np.mean(x)), deviation(x)) for name, x in values.items() if x}


def of_pool(verify: config.Verify) -> dict:
  """Options of Pool, and of Rewards."""
  return {
    'workers': verify.workers or os.cpu_count() or 2,
    'timeout': verify.timeout,
    'memory': verify.memory,
    'batch': verify.batch,
    'environment': verify.environment,
  }


class Rewards:
  """Like a Pool of one verifier.

  Args:
    rewards: (name, weight) each: one of BUILTIN ('answer' is the default verifier's verdict) or 'module:function'.
    correct_at, options: as of Pool, which every verifier has one of.

  The reward is the weighted sum; `parts` has each reward without its weight. Correct is what the first verifier says
  that gives a verdict (a Verdict or a bool; its weight may be 0); where all give numbers, a sum of at least correct_at.
  A response that one of them cannot judge is invalid.
  """

  def __init__(self, rewards: tuple[tuple[str, float], ...], correct_at: float = 1.0, **options):
    self._rewards, self._correct_at, self._too_large = rewards, correct_at, ''
    self._pools = {
      name: Pool(verifier=default.NAME if name == 'answer' else name, correct_at=correct_at, **options)
      for name, _ in rewards
      if name not in TEXT
    }

  @property
  def first_fault(self) -> str:
    """Of the first verifier that has one."""
    return next((pool.first_fault for pool in self._pools.values() if pool.first_fault), self._too_large)

  def check(self) -> None:
    """As of Pool."""
    for pool in self._pools.values():
      pool.check()

  def submit(self, response: str, row: dict) -> Future:
    """As of Pool; row may say response_tokens and max_tokens."""
    own = {name: value for name, value in row.items() if name not in (TOKENS, LIMIT)}
    futures = {name: pool.submit(response, own) for name, pool in self._pools.items()}
    waiting = [future.hasten for future in futures.values() if isinstance(future, Hastened)]
    found = Hastened(lambda: [hasten() for hasten in waiting])
    lock, left = threading.Lock(), [len(futures)]

    def done(_) -> None:
      with lock:
        left[0] -= 1
      if left[0] <= 0 and not found.done():
        try:
          verdicts = {name: future.result() for name, future in futures.items()}
          found.set_result(self._sum(response, row, verdicts))
        except Exception as e:  # of a verifier's future: it is the caller's. pylint: disable=broad-except
          found.set_exception(e)

    for future in futures.values():
      future.add_done_callback(done)
    if not futures:
      done(None)
    return found

  def _sum(self, response: str, row: dict, verdicts: dict[str, Verdict]) -> Verdict:
    broken = next((v for v in verdicts.values() if v.status == 'invalid'), None)
    if broken:
      return Verdict('invalid', broken.reason)
    parts, total = {}, 0.0
    for name, weight in self._rewards:
      parts[name] = TEXT[name](response, row) if name in TEXT else verdicts[name].value()
      total += weight * parts[name]
      named = verdicts[name].parts if name in verdicts else None
      parts |= {f'{name}/{part}': value for part, value in (named or {}).items()}
    if not -returned.LARGEST < total < returned.LARGEST:
      self._too_large = self._too_large or f'the weighted sum {total:g} of {parts} is not finite in float32'
      return FAULT
    said = next((v for v in verdicts.values() if v.reason != 'graded'), None)
    status = said.status if said else 'correct' if total >= self._correct_at else 'wrong'
    return Verdict(status, said.reason if said else 'graded', total, parts)

  def close(self) -> None:
    """Of all pools."""
    with contextlib.ExitStack() as stack:
      for pool in self._pools.values():
        stack.callback(pool.close)

  def __enter__(self) -> Rewards:
    return self

  def __exit__(self, *_) -> None:
    self.close()
