"""Packing responses into rows: nothing lost, every array says what its docstring says."""

import numpy as np
import pytest

from vibethinker_jax.rl.batch import Groups, pack, plan, plan_shared, rl_batches, row_lengths

P, G, T, ROW, MICRO, STEM = 5, 4, 10, 24, 3, 8
LAYOUTS = {
  'plain': dict(row_lengths=(ROW,)),
  'kinds': dict(row_lengths=(6, 12, ROW)),
  'shared': dict(row_lengths=(ROW,), stem=STEM),
}


@pytest.fixture(scope='module')
def groups():
  rng = np.random.default_rng(0)
  prompts = [rng.integers(1, 50, n).tolist() for n in (3, 1, 8, 5, 2)]
  lengths = rng.integers(1, T + 1, (P, G))
  lengths[0, 0], lengths[2, 1] = 1, T
  inside = np.arange(T) < lengths[..., None]
  return (
    prompts,
    np.where(inside, rng.integers(1, 50, (P, G, T)), 0),
    np.where(inside, -rng.random((P, G, T)), 0).astype(np.float32),
    lengths,
    rng.random((P, G)) < 0.8,
  )


@pytest.fixture(scope='module', params=LAYOUTS)
def layout(request):
  return request.param


@pytest.fixture(scope='module')
def batches(groups, layout):
  return rl_batches(Groups(*groups), micro_batch=MICRO, **LAYOUTS[layout])


def total(batches, name):
  return sum(arrays[name].sum() for arrays, _ in batches)


def documents(batches):
  """(micro-batch as dict of [rows, L], row, slice) of every segment."""
  for arrays, count in batches:
    for i in range(count):
      micro = {name: x[i] for name, x in arrays.items()}
      for r, row in enumerate(micro['segment_ids']):
        for s in np.unique(row[row > 0]):
          at = np.flatnonzero(row == s)
          assert (np.diff(at) == 1).all()  # contiguous
          yield micro, r, slice(at[0], at[-1] + 1)


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


def test_row_lengths():
  assert row_lengths(32768, 1024) == (8192, 16384, 32768)
  assert row_lengths(32768, 10_000) == (16384, 32768)
  assert row_lengths(160, 1024) == (160,) and row_lengths(162, 1) == (81, 162)


def test_plan_puts_short_documents_into_short_rows():
  lengths = np.random.default_rng(2).integers(1, 65, 400)
  kinds = plan(lengths, (16, 32, 64), 4)
  assert [length for length, _ in kinds] == [16, 32, 64]
  found, shorter = [], 0
  for length, micros in kinds:
    rows = [row for micro in micros for row in micro]
    assert all(lengths[row].sum() <= length for row in rows)
    if length < 64:  # whole micro-batches of as many positions; the documents left over are few
      assert all(len(micro) == 4 * 64 // length for micro in micros)
    else:
      assert all(len(micro) == 4 for micro in micros[:-1]) and 1 <= len(micros[-1]) <= 4
    members = np.concatenate(rows)
    moved_up = (lengths[members] <= shorter).sum()
    assert moved_up <= 16 * 4
    found, shorter = found + members.tolist(), length
  assert sorted(found) == list(range(400))


def test_plan_of_few_documents_uses_one_kind():
  assert plan([3, 5, 60], (16, 32, 64), 4) == [(64, [[[2, 0], [1]]])]
  assert plan([], (16, 32, 64), 4) == []


def test_plan_shared_keeps_to_one_prompt_a_row_and_the_size_of_a_micro_batch():
  rng = np.random.default_rng(3)
  lengths, owners = rng.integers(1, 65, 200), rng.integers(0, 30, 200)
  micros = plan_shared(lengths, owners, 64, 5, stems_per_row=2)
  assert sorted(d for _, rows in micros for row in rows for d in row) == list(range(200))
  for stems, rows in micros:
    assert -(-len(stems) // 2) + len(rows) <= 5
    assert {owners[d] for row in rows for d in row} == set(stems) and len(stems) == len(set(stems))
    assert all(len({owners[d] for d in row}) == 1 and lengths[row].sum() <= 64 for row in rows)
  assert sum(len(stems) for stems, _ in micros) < 1.8 * 30  # prompts are rarely computed twice


def test_plan_shared_needs_room():
  with pytest.raises(ValueError, match='micro_batch=1'):
    plan_shared([3], [0], 64, 1, 2)


def test_every_used_response_is_there_once_and_whole(groups, batches, layout):
  prompts, tokens, logps, lengths, use = groups
  seen = []
  for micro, r, span in documents(batches):
    mask = micro['mask'][r, span] == 1
    if not mask.any():
      assert layout == 'shared'
      continue
    p, g = divmod(int(micro['responses'][r, span][0]), G)
    n, m = lengths[p, g], len(prompts[p])
    first = m - 1 if layout == 'shared' else 0
    whole = (prompts[p] + tokens[p, g, :n].tolist())[first:]
    assert (micro['responses'][r, span] == p * G + g).all()
    assert micro['tokens'][r, span].tolist() == whole[:-1] and micro['targets'][r, span].tolist() == whole[1:]
    assert micro['positions'][r, span].tolist() == list(range(first, n + m - 1))
    assert mask.tolist() == [False] * (len(whole) - 1 - n) + [True] * n
    assert micro['targets'][r, span][mask].tolist() == tokens[p, g, :n].tolist()
    np.testing.assert_array_equal(micro['behaviour_logps'][r, span][mask], logps[p, g, :n])
    np.testing.assert_allclose(micro['token_weights'][r, span][mask].sum(), 1, rtol=1e-6)
    seen.append((p, g))
    if layout == 'shared':  # the prefix is the prompt without its last token, at its own positions, in one slot
      at = micro['prefix'][r]
      at = at[at >= 0]
      assert len(at) == m - 1 and not (len(at) and at[0] % STEM) and (np.diff(at) == 1).all()
      assert micro['tokens'].reshape(-1)[at].tolist() == prompts[p][:-1]
      assert micro['positions'].reshape(-1)[at].tolist() == list(range(m - 1))
      assert len(set(micro['segment_ids'].reshape(-1)[at])) <= 1
  assert sorted(seen) == [tuple(x) for x in np.argwhere(use).tolist()]


def test_zero_off_the_responses_and_on_padding(batches):
  for arrays, count in batches:
    padding, off = arrays['segment_ids'] == 0, arrays['mask'] == 0
    assert all((x[padding] == 0).all() for name, x in arrays.items() if name != 'prefix')
    assert all((arrays[name][off] == 0).all() for name in ('behaviour_logps', 'token_weights'))
    assert not arrays['segment_ids'][count:].any() and (arrays.get('prefix', np.array([-1]))[count:] == -1).all()


def test_weights_sum_to_the_number_of_responses(groups, batches):
  np.testing.assert_allclose(total(batches, 'token_weights'), groups[4].sum(), rtol=1e-6)
  assert total(batches, 'mask') == groups[3][groups[4]].sum()


def test_shapes_and_types(batches, layout):
  for arrays, count in batches:
    n, rows, length = arrays['tokens'].shape
    assert n in (1, 2, 4, 8, 16) and n / 2 < count <= n and rows * length == MICRO * ROW
    assert all(x.shape == (n, rows, STEM if name == 'prefix' else length) for name, x in arrays.items())
    floats = {name for name, x in arrays.items() if x.dtype == np.float32}
    assert floats == {'behaviour_logps', 'token_weights'}
    assert all(x.dtype == np.int32 for name, x in arrays.items() if name not in floats)
  assert (len(batches) > 1) == (layout == 'kinds')


def test_shared_prompts_take_fewer_positions(groups):
  prompts = [list(range(1, 9))] * P  # the responses are hardly longer
  count = {
    name: sum(
      (arrays['segment_ids'] > 0).sum()
      for arrays, _ in rl_batches(Groups(prompts, *groups[1:]), micro_batch=MICRO, **LAYOUTS[name])
    )
    for name in ('plain', 'shared')
  }
  assert count['shared'] < 0.75 * count['plain']


def test_nothing_to_train_on(groups, layout):
  assert rl_batches(Groups(*groups[:4], np.zeros((P, G), bool)), micro_batch=MICRO, **LAYOUTS[layout]) == []


def test_too_long(groups):
  with pytest.raises(ValueError, match='row_length'):
    rl_batches(Groups(*groups), row_lengths=(12,), micro_batch=1)
  with pytest.raises(ValueError, match='hold the 7 of the longest'):
    rl_batches(Groups(*groups), row_lengths=(24,), micro_batch=4, stem=6)
  with pytest.raises(ValueError, match='divide the row length 24'):
    rl_batches(Groups(*groups), row_lengths=(24,), micro_batch=4, stem=9)
