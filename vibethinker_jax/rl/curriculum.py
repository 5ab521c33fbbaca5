"""Which prompts a phase trains on, and in which order."""

import numpy as np


def keep_uncertain(accuracy_P) -> np.ndarray:
  """Indices of the prompts whose accuracy under the starting checkpoint is neither 0 nor 1 (VibeThinker-3B §2.2)."""
  accuracy = np.asarray(accuracy_P)
  return np.flatnonzero((accuracy > 0) & (accuracy < 1))


def prompt_at(cursor: int, count: int, seed: int) -> int:
  """The prompt at a position of the endless sequence: every epoch is a new permutation of all `count` prompts."""
  epoch, index = divmod(cursor, count)
  return int(np.random.default_rng((seed, epoch)).permutation(count)[index])


def useful_groups(accuracy_P, long2short: float = 0.0) -> np.ndarray:
  """Bool [P]: groups whose rewards can differ; the others have zero advantages and teach nothing.

  With a brevity bonus (long2short > 0) a group of correct responses teaches as well.
  """
  accuracy = np.asarray(accuracy_P)
  return (accuracy > 0) & ((accuracy < 1) | (long2short > 0))
