"""Gates on what the TPU compiler makes of the 1.5B's programs: memory, collectives and the schedule's matrix time.

The limits of MFU, matrix time and memory are the best of a plain one-file JAX program of the same shapes and the same
compiler (a 32 768-token row per chip, FSDP, splash attention, libtpu 0.0.52); ours must not be worse. That program
moves 9.0 GB a step between chips, 11.3 GB on v5e. Ours: the layers' weights for the forward and again for the backward
pass (5.24 GB), their gradients (2.62 GB), the embedding (0.47 GB), and once in a step of 8 micro-batches the gradient
of the embedding (0.93 GB); on v5e, to save memory, the compiler gathers one weight of a layer a third time (0.77 GB).
"""

import importlib.util
import pathlib

import pytest

from vibethinker_jax.aot import jobs, worker

pytestmark = pytest.mark.slow
CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'vibethinker_1p5b.py'
SFT, DECODE = ('sft', 'sft_step'), ('rl_math_16k', 'decode')
LOOPS = ('v5e:4x4', 'v6e:4x4')
STEPS = {  # MFU at least (the attention kernel at 40%, at 60%); ms of matrix products, GiB and bytes moved at most
  'v5e:4x4': ((0.42, 0.521), 2419, 15.42, 9.3e9),
  'v6e:4x4': ((0.355, 0.425), 625, 17.26, 8.6e9),
  'v5p:2x2x2': ((0.437, 0.549), 1986, 95, 8.6e9),
}


@pytest.fixture(scope='module')
def compiled(tmp_path_factory):
  """(topology, stage, program) -> what `plan` knows of it. All that is asked is compiled at once, on all cores."""
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install -e .[plan]')
  spec = importlib.util.spec_from_file_location('config', CONFIG)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config().to_dict()
  cache = str(tmp_path_factory.mktemp('compiled'))
  with jobs.Compiler(jobs.processes()) as compiler:
    asked = {
      (topology, *program): compiler.submit(worker.run, config, topology, *program, cache)
      for topologies, program in ((STEPS, SFT), (LOOPS, DECODE))
      for topology in topologies
    }
    yield lambda *names: compiler.result(asked[names])


@pytest.mark.parametrize('topology', LOOPS)
def test_the_decode_loop(compiled, topology):
  """28 layers over the paged cache: no second cache (a layer's keys alone are 180 MB), no word to another chip."""
  found = compiled(topology, *DECODE)
  assert found['fits'] and found['cache_tokens'] >= 360_000
  assert found['hbm']['temporaries'] < 64 * 2**20
  assert found['collectives'] == {}


@pytest.mark.parametrize('topology', STEPS)
def test_the_sft_step_at_32k(compiled, topology):
  mfu, mxu_ms, gib, moved = STEPS[topology]
  found = compiled(topology, *SFT)
  estimate, rows = found['estimate'], 2 if topology.startswith('v5p') else 1  # per chip, as the limits were measured
  parts = found['tokens'] / (32_768 * found['devices'] * rows)  # a step goes through as many micro-batches
  assert found['fits'] and found['hbm']['total'] <= gib * 2**30
  assert all(ours >= best for ours, best in zip(estimate['mfu'], mfu)), estimate
  assert estimate['mxu_seconds'] / parts <= mxu_ms / 1000, (estimate, parts)
  assert sum(kind['bytes'] for kind in found['collectives'].values()) / parts <= moved
