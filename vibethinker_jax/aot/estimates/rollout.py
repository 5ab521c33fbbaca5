"""How long a batch of rollouts takes: every response's length in, the sampler's own schedule in steps of some
tokens."""

from collections.abc import Callable
import math
from typing import NamedTuple

import numpy as np

PROMPT = 200  # tokens before a response; short beside thousands


class Lengths(NamedTuple):
  """Lognormal, cut off at `limit`. sigma: a 95% quantile 3.6 times the median, as of published long-reasoning runs."""

  median: float
  limit: int
  sigma: float = math.log(3.6) / 1.645

  def sample(self, count: int) -> np.ndarray:
    """`count` lengths: the quantiles in the middle of equal shares, in an order as if drawn."""
    z = np.sqrt(2) * _inverse_erf(2 * (np.arange(count) + 0.5) / count - 1)
    lengths = np.minimum(self.median * np.exp(self.sigma * z), self.limit)
    return np.random.default_rng(0).permutation(np.maximum(lengths, 1.0))


def _inverse_erf(y: np.ndarray) -> np.ndarray:
  """By Newton's method from Winitzki's approximation."""
  a = 0.147
  log = np.log1p(-y * y)
  b = 2 / (math.pi * a) + log / 2
  x = np.sign(y) * np.sqrt(np.sqrt(b * b - log / a) - b)
  for _ in range(3):
    x -= (np.vectorize(math.erf)(x) - y) / (2 / math.sqrt(math.pi) * np.exp(-x * x))
  return x


def seconds(
  lengths: np.ndarray, slots: int, tokens: int, step: Callable[[int, float], float], chunk: int = 64
) -> float:
  """Of one device until its last response ends.

  Args:
    lengths: of the responses in the order in which they start. slots: at most so many at once. tokens: that the cache
      holds; a response starts while there is room for as many tokens as it and the others have by then, and a few
      pages.
    step: (live slots, tokens in the cache) -> seconds of a decode step.
    chunk: steps that are taken as one.
  """
  waiting, total = list(lengths[::-1]), 0.0
  left, made = np.zeros(0), np.zeros(0)
  while waiting or left.size:
    while waiting and left.size < slots and made.sum() + PROMPT * (left.size + 1) + chunk * left.size < 0.95 * tokens:
      left, made = np.append(left, waiting.pop()), np.append(made, 0.0)
    n = min(chunk, float(left.min())) if left.size else chunk
    total += n * step(left.size, float(made.sum() + PROMPT * left.size))
    left, made = left - n, made + n
    going = left > 1e-9
    left, made = left[going], made[going]
    while made.sum() + PROMPT * left.size > tokens and left.size > 1:  # the youngest gives way and starts again
      youngest = int(np.argmin(made))
      waiting.append(left[youngest] + made[youngest])
      left, made = np.delete(left, youngest), np.delete(made, youngest)
  return total
