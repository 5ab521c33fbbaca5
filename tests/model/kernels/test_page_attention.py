"""Attention over pages: every kernel against a plain softmax over each slot's own tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.model.kernels import page_attention
from vibethinker_jax.sampler import pages

PAGE, M = 16, 4
LENGTHS = np.array([1, 16, 17, 64, 40], np.int32)
KERNELS = {
  'xla': page_attention.xla,
  'tpu': lambda *args: page_attention.tpu(*args, interpret=True),
  'gpu': lambda *args: page_attention.gpu(*args, interpret=True),
}


def case(H, K, h, dtype, int8=False):
  """(arguments of a kernel, expected output, expected pools): pages in random order, garbage where there are no
  tokens."""
  rng = np.random.default_rng(0)
  B, F = len(LENGTHS), 1 + len(LENGTHS) * M
  q = jnp.asarray(rng.normal(size=(B, H, h)), dtype)
  kv = [jnp.asarray(rng.normal(size=(B, M * PAGE, K, h)), dtype) for _ in range(2)]
  stored = pages.quantised(*kv) if int8 else kv
  table = rng.permutation(np.arange(1, F)).reshape(B, M).astype(np.int32)
  rows, at = np.arange(B), LENGTHS - 1  # the newest token is not in the pools yet
  place = (
    jnp.asarray(table[rows, at // PAGE]),
    jnp.asarray(at % PAGE),
    jnp.asarray(LENGTHS),
    page_attention.work_list(jnp.asarray(table), jnp.asarray(LENGTHS), PAGE),
  )

  def pool(x):
    blocks = x.reshape(B * M, PAGE, *x.shape[2:]).swapaxes(1, 2)
    return jnp.full((F, *blocks.shape[1:]), 77, x.dtype).at[table.reshape(-1)].set(blocks)

  after = [pool(x) for x in stored]
  before = tuple(pool(x.at[rows, at].set(77)) for x in stored)
  new = tuple(x[rows, at] for x in stored)
  if int8:
    kv = [x.astype(jnp.float32) * s[..., None] for x, s in zip(stored[:2], stored[2:])]
  expected = []
  for b, n in enumerate(LENGTHS):
    keys, values = (jnp.repeat(x[b, :n].astype(jnp.float32), H // K, axis=1) for x in kv)
    p = jax.nn.softmax(jnp.einsum('Hh,SHh->HS', q[b].astype(jnp.float32), keys) * h**-0.5, -1)
    expected.append(jnp.einsum('HS,SHh->Hh', p, values))
  return (q, new, before, jnp.asarray(table), place), np.stack(expected), after


def check(found, expected, after, atol):
  o, layer = found
  np.testing.assert_allclose(o.astype(jnp.float32), expected, atol=atol)
  for pool, wanted in zip(layer, after, strict=True):
    assert pool.dtype == wanted.dtype
    pool, wanted = np.asarray(pool, np.float32), np.asarray(wanted, np.float32)
    if len(layer) == 2:  # copied, not computed
      assert (pool == wanted).all()
    # the kernel rounds the new token to int8 itself: another program, where a value between two steps may go either way
    else:
      assert np.abs(pool - wanted).max() <= 1 and (np.abs(pool - wanted) > 1e-6 * np.abs(wanted)).mean() < 1e-3


@pytest.mark.parametrize('name', KERNELS)
@pytest.mark.parametrize('H, K, h', [(12, 2, 16), (4, 4, 32), (3, 1, 16)])
def test_float32(name, H, K, h):
  args, *wanted = case(H, K, h, jnp.float32)
  check(KERNELS[name](*args), *wanted, atol=2e-6)


@pytest.mark.parametrize('name', KERNELS)
def test_bfloat16(name):
  args, *wanted = case(12, 2, 32, jnp.bfloat16)
  found = KERNELS[name](*args)
  assert found[0].dtype == jnp.bfloat16
  check(found, *wanted, atol=0.03)


@pytest.mark.parametrize('name', KERNELS)
def test_int8(name):
  """The same as with keys and values rounded to int8 beforehand."""
  args, *wanted = case(12, 2, 16, jnp.float32, int8=True)
  check(KERNELS[name](*args), *wanted, atol=1e-5)


def test_work_list_names_live_pages_only():
  (*_, table, place), *_ = case(2, 1, 8, jnp.float32)
  slot, page, m, count = (np.asarray(x) for x in place[3])
  assert count == sum(-(-LENGTHS // PAGE))
  found = list(zip(slot[:count].tolist(), page[:count].tolist(), m[:count].tolist()))
  assert found == [(b, int(table[b, i]), i) for b, n in enumerate(LENGTHS) for i in range(-(-n // PAGE))]
  assert (slot < len(LENGTHS)).all() and (m < M).all()  # what lies behind is fetched ahead by the pipeline, never used


def test_int8_rounding_error_is_small():
  x = np.random.default_rng(0).normal(size=(50, 2, 64)).astype(np.float32)
  whole, _, scale, _ = pages.quantised(jnp.asarray(x), jnp.asarray(x))
  assert whole.dtype == jnp.int8 and scale.shape == (50, 2)
  assert np.abs(whole * np.asarray(scale)[..., None] - x).max() <= np.abs(x).max() / 254 * 1.001
  zeros = pages.quantised(jnp.zeros((1, 1, 4)), jnp.zeros((1, 1, 4)))
  assert not zeros[0].any() and np.isfinite(zeros[2]).all()
