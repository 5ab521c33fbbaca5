"""Draws: their distribution, the nucleus, greedy, padding, and what a draw depends on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import torch
from transformers.generation import logits_process

from vibethinker_jax.sampler import sampling

N = 20_000


@functools.partial(jax.jit, static_argnames=sampling.Distribution._fields)
def sample(logits, keys, **options):
  return sampling.sample(logits, keys, sampling.Distribution(**options))


def keys_of(rows, seed=0):
  return jax.random.split(jax.random.key(seed), rows)


@pytest.fixture(scope='module')
def logits():
  return np.random.default_rng(0).normal(size=20).astype(np.float32) * 1.5


def softmax(x):
  e = np.exp(x.astype(np.float64) - x.max())
  return e / e.sum()


def nucleus(p, top_p):
  """The definition: the fewest most likely ids whose mass reaches top_p."""
  order = np.argsort(-p, kind='stable')
  count = np.searchsorted(np.cumsum(p[order]), top_p) + 1
  return np.sort(order[:count])


def draw_many(logits, **options):
  return jax.device_get(sample(jnp.broadcast_to(logits, (N, len(logits))), keys_of(N), **options))


@pytest.mark.parametrize('temperature, top_p', [(1.0, 1.0), (0.6, 1.0), (1.0, 0.8), (1.7, 0.9)])
def test_distribution_and_logp(logits, temperature, top_p):
  p = softmax(logits / temperature)
  keep = nucleus(p, top_p)
  p = np.where(np.isin(np.arange(20), keep), p, 0) / p[keep].sum()
  tokens, logp = draw_many(logits, temperature=temperature, top_p=top_p)
  counts = np.bincount(tokens, minlength=20)
  assert (counts[p == 0] == 0).all()
  assert scipy.stats.chisquare(counts[keep], N * p[keep]).pvalue > 1e-3
  # the test has power: a temperature 10% off would be seen
  other = softmax(logits / (1.1 * temperature))[keep]
  assert scipy.stats.chisquare(counts[keep], N * other / other.sum()).pvalue < 1e-6
  np.testing.assert_allclose(logp, np.log(p[tokens]), atol=1e-5)


def test_nucleus_equals_the_sorted_definition():
  rng = np.random.default_rng(1)
  for top_p in (0.1, 0.5, 0.95, 0.999):
    scales = rng.uniform(0.1, 6, 60)
    p = np.stack([softmax(rng.normal(size=300).astype(np.float32) * scale) for scale in scales])
    p = p.astype(np.float32)
    threshold = jax.jit(sampling.top_p_threshold)(p, top_p)
    assert threshold.shape == (60, 1)
    for row, kept in zip(p, np.asarray(p > threshold)):
      # Rounding of the sum may move the border where the mass is top_p to 1e-6.
      smaller, larger = (set(nucleus(row.astype(np.float64), top_p + e).tolist()) for e in (-1e-6, 1e-6))
      assert smaller <= set(np.flatnonzero(kept).tolist()) <= larger


@pytest.mark.parametrize(
  'p, top_p, kept',
  [
    ([0.5, 0.3, 0.2], 0.4, [0]),
    ([0.5, 0.3, 0.2], 0.6, [0, 1]),
    ([0.5, 0.25, 0.25], 0.7, [0, 1, 2]),
    ([0.0, 1.0, 0.0], 0.5, [1]),
    ([0.25] * 4, 0.1, [0, 1, 2, 3]),
    ([1e-6, 1.0 - 1e-6], 0.9999, [1]),
  ],
)
def test_nucleus_by_hand(p, top_p, kept):
  """Ids of equal probability stay together: the cut is a threshold."""
  p = np.array([p], np.float32)
  assert np.flatnonzero(p > np.asarray(sampling.top_p_threshold(p, top_p))).tolist() == kept


FILTERS = [
  dict(top_k=5),
  dict(min_p=0.1),
  dict(top_k=7, top_p=0.8),
  dict(top_k=30, temperature=0.7, min_p=0.02),
  dict(top_p=0.8, min_p=0.2),
  dict(top_k=12, top_p=0.9, min_p=0.05, temperature=1.7),
  dict(top_k=1000, min_p=0.3),
]


def by_transformers(logits_BV, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0):
  """Log-probabilities, -inf of what is left out, in the order of GenerationMixin._get_logits_processor."""
  scores = logits_process.TemperatureLogitsWarper(float(temperature))(None, torch.tensor(logits_BV))
  for wanted, warper in (
    (top_k, logits_process.TopKLogitsWarper),
    (top_p if top_p < 1 else 0, logits_process.TopPLogitsWarper),
    (min_p, logits_process.MinPLogitsWarper),
  ):
    scores = warper(wanted)(None, scores) if wanted else scores
  return scores.log_softmax(-1).numpy()


@pytest.mark.parametrize('filters', FILTERS, ids=str)
def test_filters_are_those_of_transformers(filters):
  """The same ids and log-probabilities: of what is drawn, and of what could be (2000 draws of 40 ids)."""
  logits = np.random.default_rng(5).normal(size=(3, 40)).astype(np.float32) * 2
  expected = by_transformers(logits, **filters)
  tokens, logp = jax.device_get(sample(np.repeat(logits, 2000, 0), keys_of(6000), **filters))
  for row, drawn, found in zip(expected, tokens.reshape(3, -1), logp.reshape(3, -1)):
    assert set(drawn) <= set(np.flatnonzero(np.isfinite(row)))
    assert set(drawn) >= set(np.flatnonzero(row > np.log(0.01)))  # all that 2000 draws cannot miss
    np.testing.assert_allclose(found, row[drawn], atol=1e-5)
  assert np.isinf(expected).any() and (np.isfinite(expected).sum(-1) > 1).any()


def test_top_k_threshold_is_the_exact_kth_value():
  rng = np.random.default_rng(6)
  x = (rng.normal(size=(50, 70)) * 10.0 ** rng.integers(-30, 30, (50, 1))).astype(np.float32)
  x[0], x[1, :60], x[2, 3], x[3] = 1.5, -2.0, sampling.MASKED, np.where(rng.random(70) < 0.5, 0.0, -0.0)
  for k in (1, 2, 33, 70):
    found = np.asarray(jax.jit(sampling.top_k_threshold, static_argnums=1)(x, k))[:, 0]
    assert (found == np.sort(x, -1)[:, -k]).all()
  assert (np.asarray(sampling.top_k_threshold(x, 99))[:, 0] == x.min(-1)).all()


def test_equals_of_the_kth_stay():
  drawn = sample(np.tile(np.float32([2, 1, 1, 1, 0]), (500, 1)), keys_of(500), top_k=2)[0]
  assert set(drawn.tolist()) == {0, 1, 2, 3}  # as in transformers: what equals the k-th is kept


def test_filters_that_are_off_are_in_no_program(monkeypatch, logits):
  """A program without top_k and min_p is the one from before there were any: not an operation more."""
  text = lambda **options: (
    jax.jit(lambda x, keys: sampling.sample(x, keys, sampling.Distribution(0.6, 0.9, 18, **options)))
    .lower(logits[None], keys_of(1))
    .as_text()
  )
  off, lone = text(), text(top_k=0, min_p=0.0)
  assert off == lone and len({off, text(top_k=3), text(min_p=0.1)}) == 3
  monkeypatch.delattr(sampling, 'top_k_threshold')
  assert text() == off


def test_temperature_zero_is_argmax():
  x = np.random.default_rng(2).normal(size=(50, 30)).astype(np.float32)
  tokens, logp = sample(x, keys_of(50), temperature=0.0)
  assert (tokens == x.argmax(-1)).all() and tokens.dtype == jnp.int32
  np.testing.assert_allclose(logp, np.log([softmax(r).max() for r in x]), atol=1e-5)
  assert (sample(x, keys_of(50, seed=9), temperature=0.0)[0] == tokens).all()


@pytest.mark.parametrize('temperature, top_p', [(1.0, 1.0), (0.0, 1.0), (1.0, 0.9)])
@pytest.mark.parametrize('rest', [{}, dict(top_k=3, min_p=0.01), dict(top_k=23)], ids=str)
def test_padded_vocabulary_is_never_drawn(logits, temperature, top_p, rest):
  padded = np.concatenate([logits, np.full(5, 30.0, np.float32)])  # the padding would win
  tokens, logp = draw_many(padded, temperature=temperature, top_p=top_p, vocab_size=20, **rest)
  alone, alone_logp = draw_many(logits, temperature=temperature, top_p=top_p, **rest)
  assert tokens.max() < 20
  # another width is another program: a draw within rounding of a border of the distribution may be its neighbour's
  assert (tokens != alone).mean() < 1e-3
  same = tokens == alone
  np.testing.assert_allclose(logp[same], alone_logp[same], atol=1e-6)


def test_a_draw_depends_on_its_key_and_not_on_its_row():
  x = np.random.default_rng(3).normal(size=(40, 30)).astype(np.float32)
  keys, order = keys_of(40), np.random.default_rng(4).permutation(40)
  tokens, logp = sample(x, keys)
  moved, moved_logp = sample(x[order], keys[order])
  assert (moved == tokens[order]).all() and (moved_logp == logp[order]).all()
  assert (sample(x, keys_of(40, seed=1))[0] != tokens).mean() > 0.5


def test_keys_differ_by_prompt_response_and_position():
  key = jax.random.key(0)
  prompts, responses = (a.reshape(-1) for a in np.meshgrid(np.arange(10), np.arange(10)))
  keys = sampling.response_keys(key, jnp.asarray(prompts, jnp.uint32), jnp.asarray(responses, jnp.uint32))
  at = [sampling.token_keys(keys, jnp.full(100, t)) for t in (0, 1, 2)]
  data = np.concatenate([jax.random.key_data(k) for k in at])
  assert len({tuple(row) for row in data.tolist()}) == 300
  again = sampling.response_keys(key, jnp.asarray(prompts[::-1], jnp.uint32), jnp.asarray(responses[::-1], jnp.uint32))
  assert (jax.random.key_data(again)[::-1] == jax.random.key_data(keys)).all()
