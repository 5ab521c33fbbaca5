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


def useful_groups(rewards_PG, valid_PG, correct_PG=None, long2short: float = 0.0) -> np.ndarray:
  """Bool [P]: groups whose rewards differ, or can; the others have zero advantages and teach nothing.

  Args:
    rewards_PG: float. valid_PG: bool, those that have a verdict; the others do not count.
    correct_PG: bool; by default those of reward 1. With a brevity bonus (long2short > 0) they get different rewards.
  """
  rewards, valid = np.asarray(rewards_PG, np.float32), np.asarray(valid_PG, bool)  # float32: as the advantages
  differ = np.where(valid, rewards, -np.inf).max(axis=1) > np.where(valid, rewards, np.inf).min(axis=1)
  correct = (rewards == 1 if correct_PG is None else np.asarray(correct_PG, bool)) & valid
  return differ | (correct.any(axis=1) & (long2short > 0))
