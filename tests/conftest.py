"""Eight fake CPU devices and a tiny model with every kind of parameter away from its initial value."""

import asyncio
import importlib.util
import os
import pathlib
import time
import types

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
import jaxlib

# The suite mostly compiles: the older emitters take 40% off the time of that, the fewer optimizations a third. Commands
# that tests start inherit the flag. XLA ends a process that has a flag it does not know: other versions go without.
if jaxlib.__version__.startswith('0.10.'):
  os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} --xla_cpu_use_fusion_emitters=false'.strip()
jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_disable_most_optimizations', True)

import hub_server
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax import sharding
from vibethinker_jax.data.layouts import readings
from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import ModelConfig

STARTED, SECONDS = time.monotonic(), float(os.environ.get('VIBETHINKER_TEST_SECONDS', 'inf'))
VOCAB, PADDED = 44, 48  # the tokenizer's ids and the rows of the embedding table


def pytest_runtest_setup(item):
  """Tests that would start after VIBETHINKER_TEST_SECONDS are skipped: .ci/run takes the slow ones that fit."""
  if time.monotonic() - STARTED > SECONDS:
    pytest.skip(f'no time left of VIBETHINKER_TEST_SECONDS={SECONDS:.0f}')


@pytest.fixture(autouse=True)
def says_again():
  """What was read of files is said once a process: here once a test."""
  readings._say.cache_clear()


@pytest.fixture(scope='session')
def tiny() -> ModelConfig:
  """Grouped heads, H h != D, a padded vocabulary, no number at its default."""
  return ModelConfig(
    vocab_size=PADDED,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    intermediate_size=24,
    rope_theta=500.0,
    rms_norm_eps=1e-3,
  )


def random_params(config: ModelConfig, seed: int = 0, scale: float = 0.25):
  """Parameters whose norms are not 1 and whose biases are not 0, so that none can be forgotten unseen.

  Drawn by numpy: XLA takes seconds to compile jax.random.normal."""
  rng = np.random.default_rng(seed)
  one = lambda path, x: ('norm' in jax.tree_util.keystr(path)) + scale * rng.normal(size=x.shape)
  return jax.tree.map(
    lambda x: jnp.asarray(x, jnp.float32), jax.tree_util.tree_map_with_path(one, transformer.shapes(config))
  )


@pytest.fixture(scope='session')
def make_params():
  return random_params


@pytest.fixture(scope='session')
def params(tiny):
  return random_params(tiny)


@pytest.fixture(scope='session')
def vocab_size() -> int:
  return VOCAB


@pytest.fixture(scope='session')
def mesh_of():
  """(data, fsdp, tensor, context) -> a mesh over the first devices."""

  def make(*sizes):
    count = 1
    for size in sizes:
      count *= size
    return sharding.make_mesh(*sizes, devices=jax.devices()[:count])

  return make


@pytest.fixture(scope='session')
def mesh1(mesh_of):
  return mesh_of(1, 1, 1, 1)


@pytest.fixture(scope='session')
def packed_batch():
  """(rows, length, seed) -> an SFT batch of two or three documents a row with some padding."""

  def make(rows: int, length: int, seed: int = 0, vocab: int = VOCAB) -> dict:
    rng = np.random.default_rng(seed)
    batch = {
      name: np.zeros((rows, length), np.int32) for name in ('tokens', 'targets', 'positions', 'segment_ids', 'mask')
    }
    for r in range(rows):
      cuts = np.sort(rng.choice(np.arange(2, length), size=3, replace=False))
      start = 0
      for segment, end in enumerate(cuts):
        n = end - start
        ids = rng.integers(0, vocab, n + 1)
        batch['tokens'][r, start:end], batch['targets'][r, start:end] = ids[:-1], ids[1:]
        batch['positions'][r, start:end], batch['segment_ids'][r, start:end] = np.arange(n), segment + 1
        batch['mask'][r, start + n // 3 : end] = 1
        start = end
    return {name: jnp.asarray(x) for name, x in batch.items()}

  return make


@pytest.fixture
def hub(tmp_path):
  """A Hub on this machine (hub_server.Hub)."""
  server = hub_server.Hub(tmp_path / 'caches')
  yield server
  server.close()


@pytest.fixture(scope='session')
def buckets():
  """emulator.py: a server of Cloud Storage on this machine. Clients remember where it is, so there is one."""
  path = pathlib.Path(__file__).with_name('emulator.py')
  spec = importlib.util.spec_from_file_location('emulator', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  server = module.Server()
  with pytest.MonkeyPatch.context() as patch:
    for name, value in server.environment.items():
      patch.setenv(name, value)
    yield module, server
  server.close()


@pytest.fixture
def bucket(buckets, monkeypatch):
  """The server with an empty bucket and no faults; its client here does not wait seconds between two tries."""
  from gcsfs import retry

  sleep = asyncio.sleep
  monkeypatch.setattr(retry, 'asyncio', types.SimpleNamespace(sleep=lambda _: sleep(0.01)))
  _, server = buckets
  server.empty()
  return server


@pytest.fixture(scope='session')
def launcher():
  """launch/local_multiprocess.py as a module."""
  path = pathlib.Path(__file__).parents[1] / 'launch' / 'local_multiprocess.py'
  spec = importlib.util.spec_from_file_location('local_multiprocess', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
