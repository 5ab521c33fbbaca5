"""Rollouts from paged memory, responses that go on, and responses that are given up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.sampler.setting import GROUP, LENGTHS, T, check_ends, same
from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.sampler import decode, engine, pages

PAGED = dict(cache='pages', page=4)


@pytest.mark.parametrize(
  'options', [dict(slots=5, steps_per_call=3), dict(page=32, columns=40, prompt_columns=12)], ids=str
)
def test_pages_equal_the_ring(generate, base, options):
  same(generate(**PAGED | options), base)


@pytest.mark.parametrize(
  'slots, tokens', [(15, 24), pytest.param(15, 48, marks=pytest.mark.slow), pytest.param(4, 24, marks=pytest.mark.slow)]
)
def test_a_full_cache_puts_responses_back(generate, base, slots, tokens):
  """Memory for 48 or 24 tokens, where 15 slots may need 315: the youngest give way and come out the same."""
  found = generate(**PAGED, slots=slots, columns=24, cache_tokens=tokens)
  same(found, base)
  assert found.row_steps > generate(**PAGED, slots=slots).row_steps


def test_put_back_responses_are_reported_once(generate, base, monkeypatch):
  ends, calls = [], []
  collect = engine._collect
  monkeypatch.setattr(
    engine, '_collect', lambda out, steps, *rest: ends.append(steps.end_BT) or collect(out, steps, *rest)
  )
  generate(**PAGED, slots=15, columns=24, cache_tokens=24, on_finished=lambda p, g, tokens: calls.append((p, g)))
  assert (np.concatenate(ends) == decode.PUT_BACK).any()
  assert sorted(calls) == [(p, g) for p in range(len(LENGTHS)) for g in range(GROUP)]


@pytest.mark.parametrize('sizes', [(1, 8, 1, 1), pytest.param((2, 2, 2, 1), marks=pytest.mark.slow)], ids=str)
def test_eight_devices(tiny, params, generate, base, mesh_of, sizes):
  mesh = mesh_of(*sizes)
  sharded = jax.device_put(params, sharding.tree_shardings(mesh, transformer.shapes(tiny)))
  with jax.set_mesh(mesh):
    same(generate(mesh=mesh, params=sharded, slots=16, **PAGED), base)
    same(generate(mesh=mesh, params=sharded, slots=16, columns=24, cache_tokens=24, **PAGED), base)


def test_int8_is_close(generate, base):
  """Of the same tokens, log-probabilities within a few hundredths; not the same numbers."""
  found = generate(**PAGED, cache_dtype='int8')
  agree = (found.tokens_PGL == base.tokens_PGL).all(-1)
  assert agree.mean() > 0.7
  gap = np.abs(found.logps_PGL - base.logps_PGL)[agree]
  assert 1e-6 < gap.max() < 0.05


def test_every_page_comes_back():
  """A random life of slots: pages are never shared, never lost, and page 0 is never given away."""
  config = type('Config', (), dict(num_key_value_heads=1, head_dim=2, num_hidden_layers=1))
  rng, B, page, columns = np.random.default_rng(0), 5, 4, 20
  cache = pages.empty(config, 1, B, columns, 48, page, jnp.float32)
  total = int(cache.count_D[0])
  assert total == 12 and 0 not in np.asarray(cache.free_F)[:total]
  prompts_ = (tuple(jnp.zeros((1, 2, 1, page, 2)) for _ in range(2)),)
  insert, reserve, release = jax.jit(pages.insert), jax.jit(pages.reserve), jax.jit(pages.release)
  lengths, made, alive = np.ones(B, np.int32), np.zeros(B, np.int32), np.zeros(B, bool)
  gave_way = 0
  for _ in range(300):
    for slot in np.flatnonzero(~alive):
      n = int(rng.integers(1, 8))
      if bool(pages.fits(cache, n, alive)):
        cache = insert(cache, prompts_, 0, slot, n)
        lengths[slot], made[slot], alive[slot] = n, 0, True
    cache, now = reserve(cache, lengths, alive, made)
    gave_way += int((alive & ~np.asarray(now)).sum())
    alive = np.array(now)
    held = [np.asarray(cache.table_BM)[b, : -(-lengths[b] // page)].tolist() for b in np.flatnonzero(alive)]
    free = np.asarray(cache.free_F)[: int(cache.count_D[0])].tolist()
    assert sorted(sum(held, free)) == list(range(1, total + 1))
    ended = alive & ((rng.random(B) < 0.1) | (lengths >= columns))
    cache = release(cache, ended, lengths)
    alive &= ~ended
    lengths, made = lengths + alive, made + alive
  assert gave_way > 0


@pytest.mark.slow
@pytest.mark.parametrize('layout', [{}, PAGED], ids=['ring', 'pages'])
def test_responses_go_on(generate, base, layout):
  """Cut off anywhere and given back, all come out as if nothing had happened."""
  cut = np.random.default_rng(1).integers(0, T + 1, base.lengths_PG.shape)
  lengths = np.minimum(base.lengths_PG, cut)
  on = np.arange(T) < lengths[..., None]
  ended = lengths == base.lengths_PG
  assert ended.any() and (~ended & (lengths > 0)).any() and (lengths == 0).any()
  earlier = engine.Responses(
    np.where(on, base.tokens_PGL, 0), np.where(on, base.logps_PGL, 0), lengths, base.stopped_PG & ended, ended, 0
  )
  calls = []
  found = generate(**layout, earlier=earlier, on_finished=lambda p, g, tokens: calls.append((p, g)))
  same(found, base)
  assert found.ended_PG.all()
  assert sorted(calls) == [tuple(pg) for pg in np.argwhere(~ended)]
  same(generate(**layout, earlier=earlier, slots=2), base)  # most find no slot: they start again
  if layout:
    same(generate(**layout, earlier=earlier, columns=24, cache_tokens=24), base)


def test_responses_go_on_under_another_policy(tiny, generate, base, params):
  """Tokens that were there keep their log-probabilities, new ones are the new policy's."""
  other = jax.tree.map(lambda x: x * 1.1, params)
  lengths = np.minimum(base.lengths_PG, 3)
  on = np.arange(T) < lengths[..., None]
  ended = lengths == base.lengths_PG
  earlier = engine.Responses(
    np.where(on, base.tokens_PGL, 0), np.where(on, base.logps_PGL, 0), lengths, base.stopped_PG & ended, ended, 0
  )
  found = generate(params=other, earlier=earlier)
  assert (found.tokens_PGL[on] == base.tokens_PGL[on]).all() and (found.logps_PGL[on] == base.logps_PGL[on]).all()
  assert (found.tokens_PGL != base.tokens_PGL).any()
  check_ends(found, T)


@pytest.mark.parametrize(
  'layout', [{}, pytest.param(PAGED, marks=pytest.mark.slow), PAGED | dict(columns=24, cache_tokens=48)], ids=str
)
def test_unwanted_prompts_are_given_up(generate, base, layout):
  """After the first response to prompt 1, only prompts 0 and 3 are wanted."""
  done = []
  wanted = lambda: np.array([True, (1, 0) not in done, (1, 0) not in done, True, (1, 0) not in done])
  found = generate(slots=6, steps_per_call=2, **layout, wanted=wanted, on_finished=lambda p, g, _: done.append((p, g)))
  for p in (0, 3):
    assert found.ended_PG[p].all() and (found.tokens_PGL[p] == base.tokens_PGL[p]).all()
  assert not found.ended_PG.all() and not found.stopped_PG[~found.ended_PG].any()
  for p, g in np.argwhere(~found.ended_PG):  # what was sampled is the beginning of the whole response
    n = found.lengths_PG[p, g]
    assert n < base.lengths_PG[p, g] and (found.tokens_PGL[p, g, :n] == base.tokens_PGL[p, g, :n]).all()
  assert (~found.ended_PG & (found.lengths_PG > 0)).any() or layout.get('cache_tokens')
  same(generate(earlier=found), base)
  assert not generate(wanted=lambda: np.zeros(5, bool)).lengths_PG.any()


def test_nothing_is_compiled_again(generate):
  run = lambda key: generate(**PAGED, columns=24, cache_tokens=24, key=key)
  functions = (decode.decode, decode.prefill, decode.smaller, decode.empty_slots, decode.fill, decode.drop)
  run(1)
  before = [f._cache_size() for f in functions]
  run(2)
  assert [f._cache_size() for f in functions] == before


@pytest.mark.parametrize(
  'options, message',
  [
    (dict(cache='paged'), "cache='paged' must be"),
    (dict(cache='pages', cache_dtype='int4'), "cache_dtype='int4'"),
    (dict(cache='ring', page=4), "are of cache='pages'"),
    (dict(cache='ring', cache_dtype='int8'), "are of cache='pages'"),
    (dict(cache='pages', columns=40, cache_tokens=39), 'cannot hold one response of 40'),
  ],
  ids=str,
)
def test_errors(generate, options, message):
  with pytest.raises(ValueError, match=message):
    generate(**options)


def test_earlier_responses_must_fit(generate, base):
  with pytest.raises(ValueError, match='do not fit 5 prompts x 3'):
    generate(earlier=base._replace(lengths_PG=base.lengths_PG[:, :2]))
