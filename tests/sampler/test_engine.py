"""Rollouts: equal to the full forward pass, and a function of (key, prompt, response, position) alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.sampler.setting import GROUP, LENGTHS, T, check_ends, same
from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.sampler import decode, engine, ring, sampling


@pytest.fixture(scope='module')
def full_logps(tiny, params, vocab_size):
  """(prompts, responses) -> log-probabilities of the response tokens by whole forward passes: no cache."""

  @jax.jit
  def forward(tokens):
    logits = transformer.logits(tiny, params, tokens)
    logits = jnp.where(jnp.arange(logits.shape[-1]) < vocab_size, logits, -jnp.inf)
    return jax.nn.log_softmax(logits, -1)

  def run(prompts, responses):
    out = np.zeros(responses.tokens_PGL.shape)
    rows = np.zeros((out.shape[0] * out.shape[1], 32), np.int32)
    at = [(p, g, len(prompts[p]), int(responses.lengths_PG[p, g])) for p, g in np.ndindex(out.shape[:2])]
    for row, (p, g, m, n) in zip(rows, at):
      row[:m], row[m : m + n] = prompts[p], responses.tokens_PGL[p, g, :n]
    logp = np.asarray(forward(rows))
    for i, (p, g, m, n) in enumerate(at):
      out[p, g, :n] = logp[i, np.arange(m - 1, m + n - 1), rows[i, m : m + n]]
    return out

  return run


def test_cached_decoding_equals_the_full_forward(prompts, base, full_logps):
  """All sampled tokens: prompts of different lengths, one of a single token."""
  assert base.logps_PGL.min() < -1  # not a degenerate distribution
  np.testing.assert_allclose(base.logps_PGL, full_logps(prompts, base), atol=1e-5)


def test_no_draw_is_near_a_border(tiny, params, prompts, base, vocab_size):
  """A draw is the id whose part of the cumulative distribution a uniform number falls into. Rounding moves the borders
  of the 44 parts by a few 1e-7; every number of `base` is 10 times as far from them, so that any program and processor
  draws the same ids."""
  forward = jax.jit(lambda ids: jax.nn.softmax(transformer.logits(tiny, params, ids)[0, :, :vocab_size], -1))
  response = jax.vmap(sampling.response_keys, (None, None, 0))(
    jax.random.key(0), jnp.arange(len(prompts)), jnp.arange(GROUP)[:, None] + 0 * jnp.arange(len(prompts))
  )
  for p, g in np.ndindex(base.lengths_PG.shape):
    m, n = len(prompts[p]), int(base.lengths_PG[p, g])
    ids = prompts[p] + base.tokens_PGL[p, g, :n].tolist()
    mass = np.cumsum(np.asarray(forward(np.pad(ids, (0, 32 - m - n))[None]), np.float64), -1)[m - 1 : m + n - 1]
    keys = sampling.token_keys(jnp.broadcast_to(response[g, p], n), jnp.arange(n))
    uniform = np.asarray(jax.vmap(jax.random.uniform)(keys), np.float64)[:, None] * mass[:, -1:]
    assert ((mass <= uniform).sum(-1) == base.tokens_PGL[p, g, :n]).all()
    assert np.abs(mass - uniform).min() > 5e-6, (p, g, np.abs(mass - uniform).min())


def test_ends(base):
  check_ends(base, T)
  assert base.stopped_PG.any() and not base.stopped_PG.all()  # both reasons occur
  assert base.tokens_PGL.max() < 44  # the padded vocabulary
  assert base.row_steps % (4 * 4) == 0 and base.row_steps >= base.lengths_PG.sum()


def test_the_stop_token_may_be_the_last_allowed(generate, base):
  """A response that stops exactly at the limit counts as stopped."""
  p, g = next((p, g) for p, g in np.argwhere(base.stopped_PG) if base.lengths_PG[p, g] > 1)
  n = int(base.lengths_PG[p, g])
  cut = generate(max_tokens=n)
  check_ends(cut, n)
  assert cut.stopped_PG[p, g] and cut.lengths_PG[p, g] == n
  inside = np.arange(n) < base.lengths_PG[..., None]
  assert (cut.tokens_PGL == np.where(inside, base.tokens_PGL[..., :n], 0)).all()


def test_permuted_prompts(generate, prompts, base):
  order = np.array([3, 0, 4, 1, 2])
  found = generate([prompts[i] for i in order], prompt_ids=order)
  same(found, base._replace(**{f: getattr(base, f)[order] for f in base._fields[:5]}))
  other = generate([prompts[i] for i in order])  # other names, other draws
  assert (other.tokens_PGL != found.tokens_PGL).any()


@pytest.mark.parametrize(
  'options',
  [
    dict(slots=2),
    dict(slots=5, steps_per_call=3),
    dict(steps_per_call=1),
    dict(steps_per_call=16),
    dict(columns=40, prompt_columns=12),
  ],
  ids=str,
)
def test_slots_steps_and_columns_do_not_matter(generate, base, options):
  same(generate(**options), base)


def test_ring_wraps_around_with_just_enough_columns(generate, base):
  """21 columns hold the longest prompt with its response; two slots go round the ring several times."""
  found = generate(slots=2, columns=max(LENGTHS) + T, prompt_columns=max(LENGTHS))
  assert found.row_steps / 2 > 3 * (max(LENGTHS) + T)
  same(found, base)


@pytest.mark.parametrize('slots', [2, 6])
def test_a_large_ring_starts_short_and_grows(generate, base, monkeypatch, slots):
  monkeypatch.setattr(ring, 'LARGE', 0)
  seen, move = [], engine._move
  monkeypatch.setattr(
    engine,
    '_move',
    lambda slots, alive, small, columns, mesh: (
      seen.append((slots.cache.layers[0][0].shape[3], columns)),
      move(slots, alive, small, columns, mesh),
    )[1],
  )
  same(generate(slots=slots, steps_per_call=3, columns=40, prompt_columns=max(LENGTHS)), base)
  assert (16, 32) in seen


def test_just_enough_columns_with_default_prompt_columns(generate, base):
  same(generate(slots=2, columns=max(LENGTHS) + T), base)


@pytest.mark.slow
def test_more_samples_are_added_to_earlier_ones(generate, base):
  first = generate(group=1)
  room = lambda x: np.zeros((len(x), GROUP - 1, *x.shape[2:]), x.dtype)
  same(generate(earlier=engine.Responses(*(np.concatenate([x, room(x)], axis=1) for x in first[:5]), 0)), base)


@pytest.mark.parametrize('sizes', [(1, 8, 1, 1), (2, 2, 2, 1)], ids=str)
def test_eight_devices_equal_one(tiny, params, generate, base, mesh_of, sizes):
  mesh = mesh_of(*sizes)
  sharded = jax.device_put(params, sharding.tree_shardings(mesh, transformer.shapes(tiny)))
  with jax.set_mesh(mesh):
    same(generate(mesh=mesh, params=sharded, slots=16), base)


def test_another_key_gives_other_tokens(generate, base):
  assert (generate(key=1).tokens_PGL != base.tokens_PGL).any()


def test_responses_of_a_group_differ(base):
  assert all(len({tuple(t) for t in group.tolist()}) > 1 for group in base.tokens_PGL)


def test_on_finished_once_per_response_with_its_tokens(generate, base):
  calls = []
  generate(slots=5, steps_per_call=3, on_finished=lambda p, g, tokens: calls.append((p, g, tokens.tolist())))
  assert len(calls) == len({call[:2] for call in calls}) == len(LENGTHS) * GROUP
  for p, g, tokens in calls:
    assert tokens == base.tokens_PGL[p, g, : base.lengths_PG[p, g]].tolist()


def test_greedy_and_nucleus(generate, prompts):
  greedy = generate(temperature=0.0)
  assert (greedy.tokens_PGL == greedy.tokens_PGL[:, :1]).all()
  narrow = generate(top_p=1e-4)  # a nucleus of one id
  assert (narrow.tokens_PGL == greedy.tokens_PGL).all() and np.abs(narrow.logps_PGL).max() < 1e-6


@pytest.mark.parametrize('cache', ['ring', 'pages'])
def test_top_k_and_min_p(generate, cache):
  greedy = generate(temperature=0.0, cache=cache)
  for narrow in (generate(top_k=1, cache=cache), generate(min_p=1.0, cache=cache)):
    assert (narrow.tokens_PGL == greedy.tokens_PGL).all() and np.abs(narrow.logps_PGL).max() < 1e-6
  some = generate(top_k=3, cache=cache)
  assert (some.tokens_PGL != greedy.tokens_PGL).any()


def test_no_stop_ids(generate):
  found = generate(stop_ids=(), max_tokens=6)
  assert (found.lengths_PG == 6).all() and not found.stopped_PG.any()


def test_one_token_each(generate, base):
  found = generate(max_tokens=1)
  assert (found.lengths_PG == 1).all() and (found.tokens_PGL[..., 0] == base.tokens_PGL[..., 0]).all()


@pytest.mark.parametrize(
  'bad, options, message',
  [
    ([], {}, 'at least one'),
    ([[1], []], {}, 'no empty'),
    ([[1] * 9], dict(columns=20), 'columns=20'),
    ([[1] * 9], dict(prompt_columns=8), 'prompt_columns=8'),
  ],
)
def test_errors(generate, bad, options, message):
  with pytest.raises(ValueError, match=message):
    generate(bad, **options)


@pytest.fixture(scope='module')
def long_tail(tiny, mesh1, vocab_size):
  """8 groups of 16 whose lengths are geometric with mean 44: the longest is over 20 times as long as the shortest
  fifth."""
  zeros = jax.tree.map(jnp.zeros_like, transformer.shapes(tiny))
  run = lambda key, **options: engine.generate(
    tiny,
    zeros,
    engine.Request([[1, 2, 3]] * 8, 16),
    engine.Options(300, slots=8, steps_per_call=32, **options),
    mesh=mesh1,
    key=jax.random.key(key),
    vocabulary=engine.Vocabulary(vocab_size, (1,)),
  )
  return run, run(0)


def test_slots_are_used(long_tail):
  _, found = long_tail
  lengths = np.sort(found.lengths_PG, axis=None)
  assert lengths[-1] > 20 * lengths[len(lengths) // 5]
  assert found.lengths_PG.sum() / found.row_steps >= 0.95


def test_nothing_is_compiled_after_the_first_call(long_tail):
  run, first = long_tail
  before = [f._cache_size() for f in (decode.decode, decode.prefill, decode.smaller, decode.empty_slots)]
  assert before[0] >= 4  # 8, 4, 2 and 1 slots
  second = run(7)
  assert (second.tokens_PGL != first.tokens_PGL).any()
  assert [f._cache_size() for f in (decode.decode, decode.prefill, decode.smaller, decode.empty_slots)] == before
