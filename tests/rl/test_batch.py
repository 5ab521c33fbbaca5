"""Packing responses into rows: nothing lost, every array says what its docstring says."""

import numpy as np
import pytest

from vibethinker_jax.rl.batch import pack, rl_batch

P, G, T, ROW = 5, 4, 10, 24


@pytest.fixture(scope='module')
def groups():
  rng = np.random.default_rng(0)
  prompts = [rng.integers(1, 50, n).tolist() for n in (3, 1, 8, 5, 2)]
  lengths = rng.integers(1, T + 1, (P, G))
  lengths[0, 0], lengths[2, 1] = 1, T
  inside = np.arange(T) < lengths[..., None]
  return (prompts, np.where(inside, rng.integers(1, 50, (P, G, T)), 0),
          np.where(inside, -rng.random((P, G, T)), 0).astype(np.float32), lengths, rng.random((P, G)) < 0.8)


@pytest.fixture(scope='module')
def batch(groups):
  return rl_batch(*groups, row_length=ROW, rows_multiple=4)


def documents(batch):
  """(row, slice) of every segment."""
  for r, row in enumerate(batch['segment_ids']):
    for s in range(1, row.max() + 1):
      at = np.flatnonzero(row == s)
      assert (np.diff(at) == 1).all()  # contiguous
      yield r, slice(at[0], at[-1] + 1)


def test_pack_keeps_everything_within_the_rows():
  lengths = np.random.default_rng(1).integers(1, 65, 300)
  rows = pack(lengths, 64)
  assert sorted(i for row in rows for i in row) == list(range(300))
  assert max(lengths[row].sum() for row in rows) <= 64
  assert len(rows) <= 1.1 * lengths.sum() / 64 + 1  # first-fit decreasing wastes little
  assert pack([], 64) == [] and pack([64, 64], 64) == [[0], [1]] and pack([40, 30, 24], 64) == [[0, 2], [1]]


def test_pack_too_long():
  with pytest.raises(ValueError, match='65 tokens, rows hold 64'):
    pack([3, 65], 64)


def test_every_used_response_is_there_once_and_whole(groups, batch):
  prompts, tokens, logps, lengths, use = groups
  seen = []
  for r, span in documents(batch):
    p, g = divmod(int(batch['responses'][r, span][0]), G)
    n, m = lengths[p, g], len(prompts[p])
    whole = prompts[p] + tokens[p, g, :n].tolist()
    assert (batch['responses'][r, span] == p * G + g).all()
    assert batch['tokens'][r, span].tolist() == whole[:-1] and batch['targets'][r, span].tolist() == whole[1:]
    assert batch['positions'][r, span].tolist() == list(range(n + m - 1))
    mask = batch['mask'][r, span] == 1
    assert mask.tolist() == [False] * (m - 1) + [True] * n
    assert batch['targets'][r, span][mask].tolist() == tokens[p, g, :n].tolist()
    np.testing.assert_array_equal(batch['behaviour_logps'][r, span][mask], logps[p, g, :n])
    np.testing.assert_allclose(batch['token_weights'][r, span][mask].sum(), 1, rtol=1e-6)
    seen.append((p, g))
  assert sorted(seen) == [tuple(x) for x in np.argwhere(use).tolist()]


def test_zero_off_the_responses_and_on_padding(batch):
  padding, off = batch['segment_ids'] == 0, batch['mask'] == 0
  assert padding.any()
  assert all((batch[name][padding] == 0).all() for name in batch)
  assert all((batch[name][off] == 0).all() for name in ('behaviour_logps', 'token_weights'))


def test_weights_sum_to_the_number_of_responses(groups, batch):
  np.testing.assert_allclose(batch['token_weights'].sum(), groups[4].sum(), rtol=1e-6)
  assert batch['mask'].sum() == groups[3][groups[4]].sum()


def test_shapes_and_types(batch):
  rows = batch['tokens'].shape[0]
  assert rows % 4 == 0 and all(x.shape == (rows, ROW) for x in batch.values())
  floats = {name for name, x in batch.items() if x.dtype == np.float32}
  assert floats == {'behaviour_logps', 'token_weights'}
  assert all(x.dtype == np.int32 for name, x in batch.items() if name not in floats)


def test_nothing_to_train_on(groups):
  batch = rl_batch(*groups[:4], np.zeros((P, G), bool), row_length=ROW, rows_multiple=4)
  assert batch['tokens'].shape == (4, ROW) and not any(x.any() for x in batch.values())


def test_too_long(groups):
  with pytest.raises(ValueError, match='row_length'):
    rl_batch(*groups, row_length=12, rows_multiple=1)
