"""Which prompts, and in which order."""

import numpy as np

from vibethinker_jax.rl import curriculum


def test_keep_uncertain():
  assert curriculum.keep_uncertain([0.0, 0.125, 1.0, 0.875, 0.5, 1.0]).tolist() == [1, 3, 4]
  assert curriculum.keep_uncertain([0.0, 1.0]).size == 0


def test_useful_groups():
  rewards, valid = [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]], np.ones((4, 3), bool)
  valid[3, 2] = False
  assert curriculum.useful_groups(rewards, valid).tolist() == [False, True, False, False]
  assert curriculum.useful_groups(rewards, valid, long2short=0.2).tolist() == [False, True, True, False]
  assert curriculum.useful_groups(rewards, ~valid).tolist() == [False] * 4


def test_groups_of_graded_rewards_are_useful_where_they_differ():
  """Whether any is correct or all are; what float32 cannot tell apart is equal."""
  rewards, valid = [[0.2, 0.3], [0.3, 0.1 + 0.2], [-5.0, -5.0], [7.0, 3.0]], np.ones((4, 2), bool)
  correct = [[False, False], [False, False], [True, True], [True, True]]
  assert curriculum.useful_groups(rewards, valid, correct).tolist() == [True, False, False, True]
  assert curriculum.useful_groups(rewards, valid, correct, long2short=0.2).tolist() == [True, False, True, True]


def test_every_epoch_is_a_new_permutation():
  epochs = [[curriculum.prompt_at(e * 20 + i, 20, seed=3) for i in range(20)] for e in range(4)]
  assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
  assert len({tuple(epoch) for epoch in epochs}) == 4


def test_order_depends_on_the_seed_and_on_nothing_else():
  order = lambda seed: [curriculum.prompt_at(i, 20, seed) for i in range(40)]
  assert order(0) == order(0) and order(0) != order(1)
  assert curriculum.prompt_at(27, 20, 0) == order(0)[27]  # no state: any position can be asked for alone
  assert all(isinstance(i, int) for i in order(0))
  assert [curriculum.prompt_at(i, 1, 0) for i in range(3)] == [0, 0, 0]
  assert np.ptp(order(0)) == 19
