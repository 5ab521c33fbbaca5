"""Advantages, group accuracy and Long2Short against numpy and hand-made groups."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.rl.advantage import group_accuracy, group_advantages, long2short


@pytest.fixture
def rewards():
  return np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)


def test_against_numpy(rewards):
  centred = rewards - rewards.mean(1, keepdims=True)
  np.testing.assert_allclose(group_advantages(rewards), centred / rewards.std(1, keepdims=True), atol=1e-5)
  np.testing.assert_allclose(group_advantages(rewards, normalise='none'), centred, atol=1e-6)  # Dr.GRPO
  np.testing.assert_allclose(
    group_advantages(rewards, epsilon=1.0), centred / (rewards.std(1, keepdims=True) + 1), atol=1e-5
  )


def test_binary_group_by_hand():
  found = group_advantages([[1, 0, 0, 0]])
  np.testing.assert_allclose(found, [[3**0.5] + [-(3**-0.5)] * 3], rtol=1e-5)
  np.testing.assert_allclose(group_advantages([[1, 0, 0, 0]], normalise='none'), [[0.75, -0.25, -0.25, -0.25]])


@pytest.mark.parametrize('reward', [0.0, 1.0, -1.0, 0.5])
@pytest.mark.parametrize('normalise', ['std', 'none'])
def test_equal_rewards_give_exactly_zero(reward, normalise):
  for size in (2, 3, 7, 16):
    assert (group_advantages(np.full((3, size), reward), normalise=normalise) == 0).all()


def test_equal_odd_rewards_give_exactly_zero():
  """Rewards such as 0.1, whose mean is off by rounding: still exactly 0, as the docstring says."""
  for size in (3, 7, 11):
    assert (group_advantages(np.full((1, size), 0.1, np.float32)) == 0).all()


@pytest.mark.parametrize('normalise', ['std', 'none'])
def test_invalid_responses_take_no_part(rewards, normalise):
  valid = np.random.default_rng(1).random((6, 8)) < 0.6
  found = np.asarray(group_advantages(np.where(valid, rewards, 1e3), normalise=normalise, valid_PG=valid))
  for p in range(6):
    alone = group_advantages(rewards[p][valid[p]][None], normalise=normalise)[0]
    np.testing.assert_allclose(found[p][valid[p]], alone, atol=1e-5)
    assert (found[p][~valid[p]] == 0).all()
  none = group_advantages(rewards, valid_PG=np.zeros((6, 8), bool))
  assert (none == 0).all()


def test_group_accuracy():
  rewards = [[1, 1, 0, 0.5], [1.2, 1, 1, 0]]
  np.testing.assert_allclose(group_accuracy(rewards), [0.5, 0.5])  # exactly 1 counts, shaped values do not
  valid = np.array([[True, False, True, False], [False, True, True, False]])
  np.testing.assert_allclose(group_accuracy(rewards, valid), [0.5, 1.0])
  assert (group_accuracy(rewards, np.zeros((2, 4), bool)) == 0).all()


def test_unknown_normalise():
  with pytest.raises(ValueError, match='none'):
    group_advantages([[0.0, 1.0]], normalise='mean')


def test_long2short_by_hand():
  """Correct lengths 2, 4, 8: brevities 1/2, 1/4, 1/8, mean 7/24, largest deviation 5/24."""
  found = long2short([[1, 1, 0, 1]], [[True, True, False, True]], [[2, 4, 100, 8]], 0.2)
  np.testing.assert_allclose(found, [[1 + 0.2, 1 - 0.2 * 1 / 5, 0, 1 - 0.2 * 4 / 5]], atol=1e-6)


def test_long2short_is_zero_sum_and_orders_by_brevity():
  rng = np.random.default_rng(2)
  lengths, correct = rng.integers(1, 5000, (200, 8)), rng.random((200, 8)) < 0.6
  rewards = correct.astype(np.float32)
  found = np.asarray(jax.jit(long2short)(rewards, correct, lengths))
  np.testing.assert_allclose(found.sum(1), rewards.sum(1), atol=2e-6)
  assert (found[~correct] == 0).all() and np.abs(found - rewards).max() <= 0.2 + 1e-6
  for p in range(200):
    order = np.argsort(lengths[p][correct[p]], kind='stable')
    assert (np.diff(found[p][correct[p]][order]) <= 1e-6).all()


@pytest.mark.parametrize('lengths', [[7, 7, 7, 7], [3, 3, 3, 9], [40_000] * 4])
def test_long2short_unchanged_where_equal(lengths):
  correct = np.array([[True, True, True, False]])
  assert (long2short(correct.astype(np.float32), correct, [lengths]) == correct).all()
  assert (long2short([[0.0, 1.0]], [[False, True]], [[5, 9]]) == jnp.array([[0.0, 1.0]])).all()  # one correct
  assert (long2short([[0.0, 0.0]], [[False, False]], [[5, 9]]) == 0).all()  # none


def test_long2short_sees_one_token_at_40k():
  found = np.asarray(long2short([[1.0, 1.0]], [[True, True]], [[40_000, 40_001]]))
  np.testing.assert_allclose(found, [[1.2, 0.8]], atol=2e-3)


@pytest.mark.parametrize('size', [1e-3, 1.0, 1e18, 1e25, 3e37])
def test_rewards_of_any_size(size):
  """Their squares may be larger than float32 holds; up to there no bit changes."""
  rewards = np.array([[-1.0, 0.5, 2.0, 0.25], [3.0, 3.0, 3.0, 9.0]])
  valid = np.array([[True] * 4, [True, True, True, False]])
  found = np.asarray(group_advantages(rewards * size, valid_PG=valid))
  expected = (rewards[0] - rewards[0].mean()) / rewards[0].std()
  np.testing.assert_allclose(found[0], expected, rtol=2e-3 if size < 1 else 1e-5)
  assert (found[1] == 0).all()
  centred = np.asarray(group_advantages(rewards * size, valid_PG=valid, normalise='none'))
  np.testing.assert_allclose(centred[0], (rewards[0] - rewards[0].mean()) * size, rtol=1e-5)
