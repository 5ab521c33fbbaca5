"""The GPU kernel against the reference, interpreted, and lowered for a GPU; who serves what."""

import functools

import jax
from jax._src.ad_checkpoint import saved_residuals
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.model import attention as attention_lib, transformer
from vibethinker_jax.model.attention import attention
from vibethinker_jax.model.kernels import gpu_attention


def with_gradients(implementation):
  def function(q, k, v, segments, d):
    out, pull = jax.vjp(lambda *x: attention(*x, segments, implementation), q, k, v)
    return out, *pull(d)

  return jax.jit(function)


def inputs(length, heads, groups, width):
  rng = np.random.default_rng(0)
  q, k, v, d = (rng.normal(size=(2, length, n, width)).astype(np.float32) for n in (heads, groups, groups, heads))
  segments = np.ones((2, length), np.int32)
  segments[0, 50:], segments[0, 120:], segments[0, length - 10 :] = 2, 3, 0
  return q, k, v, segments, d


@pytest.mark.parametrize('length, heads, groups, width', [(200, 4, 2, 24), (128, 2, 2, 32), (60, 3, 1, 8)])
def test_equals_the_reference_with_gradients(length, heads, groups, width):
  """Packed segments with padding at the end; grouped queries; lengths and widths that the kernel's tiles do not
  divide."""
  args = inputs(length, heads, groups, width)
  for a, b in zip(with_gradients('triton')(*args), with_gradients('xla')(*args), strict=True):
    np.testing.assert_allclose(a, b, atol=2e-5, rtol=0)


def test_the_same_under_every_mesh(tiny, params, mesh_of):
  tokens = np.random.default_rng(0).integers(0, tiny.vocab_size, (8, 24))
  segments = np.repeat(np.arange(1, 5), 6)[None] * np.ones((8, 1), np.int32)
  packing = transformer.Packing(segment_ids_BL=segments)
  run = lambda name: jax.jit(lambda p: transformer.hidden(tiny, p, tokens, packing, transformer.Execution(name)))(
    params
  )
  expected = run('xla')
  for sizes in ((1, 1, 1, 1), (2, 2, 2, 1), (1, 2, 4, 1)):  # 2 key/value heads on 4 tensor shards: replicated
    with jax.set_mesh(mesh_of(*sizes)):
      np.testing.assert_allclose(run('triton'), expected, atol=1e-5)
  with jax.set_mesh(mesh_of(1, 2, 2, 2)), pytest.raises(ValueError, match='mesh.context=1'):
    run('triton')


def test_saved_for_the_backward_pass(tiny, params):
  """remat='attention' keeps the kernel's output and log-sum-exp of each layer."""
  tokens = np.zeros((1, 128), np.int32)

  def saved(remat):
    execution = transformer.Execution('triton', remat)
    loss = lambda p: transformer.hidden(tiny, p, tokens, execution=execution).sum()
    return {a.shape for a, source in saved_residuals(loss, params) if 'argument' not in source}

  assert saved('attention') - saved('full') == {(2, 1, 128, 4, 8), (2, 1, 4, 128)}  # [N, B, L, H, h], [N, B, H, L]


def test_lowers_for_a_gpu():
  """Forward and backward are Triton kernels there, and no array of scores is made."""
  run = functools.partial(gpu_attention._triton, name='attention', interpret=False)
  loss = lambda q, k, v, s: run(q, k, v, s).astype(jnp.float32).sum()
  x = lambda n: jax.ShapeDtypeStruct((2, 8192, n, 128), jnp.bfloat16)
  segments = jax.ShapeDtypeStruct((2, 8192), jnp.int32)
  text = (
    jax.jit(jax.grad(loss, (0, 1, 2))).trace(x(12), x(2), x(2), segments).lower(lowering_platforms=('cuda',)).as_text()
  )
  assert text.count('mha_forward') >= 1 and text.count('mha_backward') >= 1 and '8192x8192' not in text


@pytest.fixture
def on(monkeypatch):
  """Makes the modules believe to be on a platform."""

  def set_platform(name):
    for module in (attention_lib, gpu_attention):
      monkeypatch.setattr(module, 'platform', lambda: name)

  return set_platform


def test_auto_takes_the_kernel_of_the_platform(on, monkeypatch):
  args, called = inputs(60, 2, 2, 8)[:4], []
  for name in ('splash', 'triton'):
    monkeypatch.setattr(attention_lib, f'{name}_attention', lambda *args, name=name: called.append(name))
  for name in ('tpu', 'gpu'):
    on(name)
    attention(*args)
  assert called == ['splash', 'triton']
  on('cpu')
  assert attention(*args).shape == args[0].shape and len(called) == 2


def test_cudnn_takes_no_packed_rows(on, monkeypatch):
  q, k, v, packed, _ = inputs(100, 4, 2, 8)
  low = lambda *xs: [jnp.asarray(x, jnp.bfloat16) for x in xs]
  one = np.where(np.arange(100) < 50, 1, 0) * np.ones((2, 1), np.int32)
  on('gpu')
  monkeypatch.setattr(gpu_attention, '_cudnn', lambda q, k, v: q + 1)
  monkeypatch.setattr(gpu_attention, '_triton', lambda q, k, v, s, **_: q + 2)
  for segments, expected in ((one, 1), (np.ones_like(one), 1), (packed, 2), (one[:, ::-1], 2)):
    out = attention(*low(q, k, v), jnp.asarray(segments), 'cudnn')
    np.testing.assert_array_equal(out, low(q)[0] + expected)


def test_where_they_cannot_serve(on):
  q, k, v, segments, _ = inputs(60, 2, 2, 8)
  with pytest.raises(ValueError, match="'cudnn' needs an NVIDIA GPU, this is 'cpu'"):
    attention(q, k, v, segments, 'cudnn')
  on('gpu')
  with pytest.raises(ValueError, match='bfloat16 or float16, not float32'):
    attention(q, k, v, segments, 'cudnn')
  on('tpu')
  with pytest.raises(ValueError, match="'triton' is a kernel for GPUs"):
    attention(q, k, v, segments, 'triton')
