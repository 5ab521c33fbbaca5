"""Attention chunked over queries: the same numbers and gradients, in memory that grows linearly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.model.attention import Prefix, attention

B, L, H, K, h = 2, 50, 4, 2, 8


def reference(q, k, v, segments):
  """One query at a time, in float64 numpy."""
  out = np.zeros(q.shape)
  for b in range(q.shape[0]):
    for i in range(q.shape[1]):
      seen = [j for j in range(i + 1) if segments[b, j] == segments[b, i]]
      for n in range(H):
        scores = k[b, seen, n // (H // K)].astype(np.float64) @ q[b, i, n] / h**0.5
        p = np.exp(scores - scores.max())
        out[b, i, n] = (p / p.sum()) @ v[b, seen, n // (H // K)]
  return out


@pytest.fixture(scope='module')
def inputs():
  rng = np.random.default_rng(0)
  normal = lambda heads: rng.normal(size=(B, L, heads, h)).astype(np.float32)
  segments = np.ones((B, L), np.int32)
  segments[0, 13:], segments[0, 29:], segments[0, 45:] = 2, 3, 0  # a row with padding
  return normal(H), normal(K), normal(K), segments, normal(H)


def with_gradients(chunk):
  def all_of(q, k, v, segments, d):
    out, pull = jax.vjp(lambda q, k, v: attention(q, k, v, segments, query_chunk=chunk), q, k, v)
    return out, *pull(d)

  return jax.jit(all_of)


def test_equals_the_definition(inputs):
  q, k, v, segments, d = inputs
  np.testing.assert_allclose(with_gradients(512)(*inputs)[0], reference(q, k, v, segments), atol=1e-5)


@pytest.mark.parametrize('chunk', [1, 16, 25, 49])
def test_chunked_equals_whole(inputs, chunk):
  for a, b in zip(with_gradients(chunk)(*inputs), with_gradients(512)(*inputs), strict=True):
    assert np.abs(b).max() > 0.1
    np.testing.assert_allclose(a, b, atol=1e-5)


def temporary(length, chunk):
  shape = lambda heads: jax.ShapeDtypeStruct((1, length, heads, h), jnp.float32)
  segments = jax.ShapeDtypeStruct((1, length), jnp.int32)
  compiled = with_gradients(chunk).lower(shape(H), shape(K), shape(K), segments, shape(H)).compile()
  return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_memory_grows_linearly():
  assert temporary(2048, 64) < 2.4 * temporary(1024, 64)
  assert temporary(2048, 4096) > 3.5 * temporary(1024, 4096)  # what the measure says of quadratic growth
  assert temporary(2048, 64) < temporary(2048, 4096) / 8


def test_gradients_through_padding_are_finite(inputs):
  q, k, v, segments, d = inputs
  found = with_gradients(16)(q, k, v, np.zeros_like(segments), d)
  assert all(np.isfinite(x).all() for x in found)


X = 7


@pytest.fixture(scope='module')
def prefix():
  rng = np.random.default_rng(1)
  normal = lambda: rng.normal(size=(B, X, K, h)).astype(np.float32)
  return normal(), normal(), np.arange(X) < np.array([[5], [0]])


def with_prefix(function):
  """(output, gradients of q, k, v and the prefix's keys and values)."""

  def all_of(q, k, v, segments, d, k_X, v_X, valid):
    out, pull = jax.vjp(
      lambda q, k, v, k_X, v_X: function(q, k, v, segments, Prefix(k_X, v_X, valid)), q, k, v, k_X, v_X
    )
    return out, *pull(d)

  return jax.jit(all_of)


def plain_with_prefix(q, k, v, segments, prefix):
  """One softmax over the prefix and the row."""
  repeat = lambda a, b: jnp.repeat(jnp.concatenate([a, b], axis=1), H // K, axis=2)
  k, v = repeat(prefix.k_BXKh, k), repeat(prefix.v_BXKh, v)
  causal = np.tri(L, dtype=bool) & (segments[:, :, None] == segments[:, None, :])
  seen = jnp.concatenate([jnp.broadcast_to(prefix.valid_BX[:, None], (B, L, X)), causal], axis=2)
  scores = jnp.einsum('BLHh,BSHh->BHLS', q, k) / h**0.5
  return jnp.einsum('BHLS,BSHh->BLHh', jax.nn.softmax(jnp.where(seen[:, None], scores, -jnp.inf), axis=-1), v)


@pytest.mark.parametrize('chunk', [16, 512])
def test_every_position_sees_the_prefix(inputs, prefix, chunk):
  found = with_prefix(lambda q, k, v, s, p: attention(q, k, v, s, query_chunk=chunk, prefix=p))(*inputs, *prefix)
  for a, b in zip(found, with_prefix(plain_with_prefix)(*inputs, *prefix), strict=True):
    assert np.abs(b).max() > 0.1
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_other_implementations_refuse_a_prefix(inputs, prefix):
  with pytest.raises(ValueError, match="'splash' has no keys before a row"):
    attention(*inputs[:4], implementation='splash', prefix=Prefix(*prefix))
