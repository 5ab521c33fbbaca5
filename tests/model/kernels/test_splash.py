"""The TPU kernel against the reference, interpreted; compiled for a TPU topology where its compiler is installed."""

import functools
import os
import subprocess
import sys

import jax
from jax._src.ad_checkpoint import saved_residuals
import numpy as np
import pytest

from vibethinker_jax.model import transformer
from vibethinker_jax.model.attention import attention
from vibethinker_jax.model.kernels import splash


@functools.cache
def with_gradients(implementation):
  def function(q, k, v, segments, d):
    out, pull = jax.vjp(lambda *x: attention(*x, segments, implementation), q, k, v)
    return out, *pull(d)

  return jax.jit(function)


@pytest.mark.parametrize('length, heads, groups, width', [(200, 4, 2, 32), (128, 2, 2, 128)])
def test_equals_the_reference_with_gradients(length, heads, groups, width):
  """Packed segments with padding at the end; lengths and widths that the kernel's tiles do not divide."""
  rng = np.random.default_rng(0)
  q, k, v, d = (rng.normal(size=(2, length, n, width)).astype(np.float32) for n in (heads, groups, groups, heads))
  segments = np.ones((2, length), np.int32)
  segments[0, 50:], segments[0, 120:], segments[0, length - 10 :] = 2, 3, 0
  found, expected = (with_gradients(name)(q, k, v, segments, d) for name in ('splash', 'xla'))
  for a, b in zip(found, expected):
    np.testing.assert_allclose(a, b, atol=2e-5, rtol=0)


def test_the_same_under_every_mesh(tiny, params, mesh_of):
  tokens = np.random.default_rng(0).integers(0, tiny.vocab_size, (8, 24))
  segments = np.repeat(np.arange(1, 5), 6)[None] * np.ones((8, 1), np.int32)
  packing = transformer.Packing(segment_ids_BL=segments)
  run = lambda name: jax.jit(lambda p: transformer.hidden(tiny, p, tokens, packing, transformer.Execution(name)))(
    params
  )
  expected = run('xla')
  for sizes in (
    (1, 1, 1, 1),
    (2, 2, 2, 1),
    (1, 2, 4, 1),
    (1, 2, 2, 2),
  ):  # 2 key/value heads on 4 tensor shards: replicated
    with jax.set_mesh(mesh_of(*sizes)):
      np.testing.assert_allclose(run('splash'), expected, atol=1e-5)


@pytest.mark.parametrize('implementation', ['splash', 'xla'])
@pytest.mark.parametrize('sizes', [(1, 1, 1, 8), (1, 2, 1, 4), (2, 1, 2, 2)], ids=str)
def test_context_parallel_equals_one_device_with_gradients(mesh_of, sizes, implementation):
  """Packed segments that end anywhere, and a length that the devices do not divide."""
  rng = np.random.default_rng(1)
  L = 600
  q, k, v, d = (rng.normal(size=(2, L, n, 16)).astype(np.float32) for n in (4, 2, 2, 4))
  segments = np.ones((2, L), np.int32)
  segments[0, 50:], segments[0, 333:], segments[0, L - 10 :] = 2, 3, 0
  expected = with_gradients('xla')(q, k, v, segments, d)
  with jax.set_mesh(mesh_of(*sizes)):
    found = jax.jit(with_gradients(implementation).__wrapped__)(q, k, v, segments, d)
  for a, b in zip(found, expected):
    np.testing.assert_allclose(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize('count', [2, 4, 8])
def test_devices_of_a_context_have_the_same_work(count):
  """Tiles that are not skipped, of each device; in the order of the row the last one would have almost all."""
  mask = splash._kernel(512 * 2 * count, 1, 'a', True, count).fwd_mask_info.block_mask
  tiles = (np.asarray(mask).reshape(count, -1) > 0).sum(axis=1)
  assert len(set(tiles.tolist())) == 1 and tiles[0] >= count


def test_saved_for_the_backward_pass(tiny, params):
  """remat='attention' keeps the kernel's output and log-sum-exp of each layer."""
  tokens = np.zeros((1, 128), np.int32)

  def saved(remat):
    execution = transformer.Execution('splash', remat)
    loss = lambda p: transformer.hidden(tiny, p, tokens, execution=execution).sum()
    return {a.shape for a, source in saved_residuals(loss, params) if 'argument' not in source}

  assert saved('attention') - saved('full') == {(2, 1, 2, 2, 128, 128), (2, 1, 2, 2, 128)}  # [N, B, K, H / K, L(, h)]


AOT = """
import jax, jax.numpy as jnp
from jax.experimental import topologies
from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.model.attention import attention
from vibethinker_jax.model.config import ModelConfig
mesh = sharding.make_mesh(devices=topologies.get_topology_desc(platform='tpu', topology_name='v5e:2x2').devices)
with jax.set_mesh(mesh):
  x = lambda n: jax.ShapeDtypeStruct((4, 8192, n, 128), jnp.bfloat16, sharding=sharding.batch_sharding(mesh, 4))
  segments = jax.ShapeDtypeStruct((4, 8192), jnp.int32, sharding=sharding.batch_sharding(mesh))
  loss = lambda q, k, v, s: attention(q, k, v, s).astype(jnp.float32).sum()
  compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(x(12), x(2), x(2), segments).compile()
text = compiled.as_text()
split = sharding.make_mesh(data=1, fsdp=1, context=4, devices=list(mesh.devices.flat))
with jax.set_mesh(split):
  x = lambda n: jax.ShapeDtypeStruct((1, 16384, n, 128), jnp.bfloat16, sharding=sharding.batch_sharding(split, 4))
  segments = jax.ShapeDtypeStruct((1, 16384), jnp.int32, sharding=sharding.batch_sharding(split))
  rows = jax.jit(jax.grad(loss, (0, 1, 2))).lower(x(12), x(2), x(2), segments).compile().as_text()
  print('context', rows.count('tpu_custom_call') >= 2 and 'all-gather' in rows and 'collective-permute' in rows)
config = ModelConfig(1024, 256, 1, 2, 1, 128, 512)
with jax.set_mesh(mesh):
  params = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), transformer.shapes(config),
                        sharding.tree_shardings(mesh, transformer.shapes(config)))
  tokens = jax.ShapeDtypeStruct((4, 2048), jnp.int32, sharding=sharding.batch_sharding(mesh))
  for remat in ('full', 'attention'):
    execution = transformer.Execution(remat=remat)
    loss = lambda p, t: transformer.hidden(config, p, t, execution=execution).astype(jnp.float32).sum()
    written = jax.jit(jax.grad(loss)).lower(params, tokens).compile().as_text()
    print(remat, written.count('custom_call_target="tpu_custom_call"'))
print('kernels', text.count('tpu_custom_call'), 'MB', compiled.memory_analysis().temp_size_in_bytes >> 20)
"""


@pytest.mark.slow
def test_compiles_for_tpu():
  """'auto' is the kernel there: no score matrix (8192 x 8192 x 12 would be 3 GB a row); what remat='attention' keeps
  saves one of three kernel calls."""
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install libtpu')
  env = os.environ | {
    'TPU_SKIP_MDS_QUERY': '1',
    'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
    'TPU_WORKER_HOSTNAMES': 'localhost',
    'JAX_PLATFORMS': 'cpu',
  }
  out = subprocess.run(
    [sys.executable, '-c', AOT], check=True, stdout=subprocess.PIPE, text=True, env=env
  ).stdout.split()
  assert out[:6] == ['context', 'True', 'full', '3', 'attention', '2'] and int(out[-3]) >= 2 and int(out[-1]) < 500, out
