"""The command as a user calls it, on a model of one layer compiled for real chips, and what it says when something is
wrong."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from vibethinker_jax.aot.estimates import search

ROOT = pathlib.Path(__file__).parents[2]
MODEL = [
  '--config.model.hidden_size=256',
  '--config.model.num_hidden_layers=1',
  '--config.model.num_attention_heads=2',
  '--config.model.head_dim=128',
  '--config.model.intermediate_size=512',
]


def plan(*arguments, config='configs/tiny.py'):
  env = os.environ | {'JAX_PLATFORMS': 'cpu'}
  return subprocess.run(
    [sys.executable, '-m', 'vibethinker_jax.plan', f'--config={config}', *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=600,
    env=env,
  )


@pytest.mark.parametrize(
  'arguments, match',
  [
    pytest.param(['--topology=v5e:banana'], 'slices of v5e have 2 dimensions, as in v5e:4x4', marks=pytest.mark.slow),
    (['--topology=a100:8'], "there is no chip 'a100'; choose from v4, v5e, v5p, v6e, tpu7x"),
    pytest.param(
      ['--topology=v5e:2x2', '--stages=sfd'], "['sfd'] are not stages of this recipe", marks=pytest.mark.slow
    ),
    (['--topology=v5e:2x2', '--config.sft.lenght=3'], 'lenght'),
  ],
)
def test_mistakes_are_one_line(arguments, match):
  done = plan(*arguments)
  assert done.returncode == 1 and match in done.stderr and 'Traceback' not in done.stderr, done.stderr


@pytest.mark.slow
def test_rows_that_do_not_divide():
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install -e .[plan]')
  done = plan('--topology=v5e:4x4', '--stages=sft', '--config.sft.batch_size=24', *MODEL)
  assert done.returncode == 1
  assert 'sft: batch_size / micro_batches = 24 rows cannot be divided over data x fsdp = 16 devices' in done.stderr


@pytest.mark.slow
def test_a_stage_compiles_and_the_second_time_is_read_from_the_cache(tmp_path):
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install -e .[plan]')
  arguments = [
    '--topology=v5e:2x2',
    '--stages=sft',
    '--json',
    f'--cache={tmp_path}',
    '--dollars_per_chip_hour=2',
    *MODEL,
  ]
  first, second = (plan(*arguments) for _ in range(2))
  assert first.returncode == 0, first.stderr
  one, two = (json.loads(done.stdout) for done in (first, second))
  (program,) = one['programs']
  assert one['fits'] and program['fits'] and not program['cached'] and two['programs'][0]['cached']
  assert two['programs'][0] | {'cached': False} == program
  assert program['hbm']['total'] < program['hbm']['capacity'] == 15.75 * 2**30
  estimate = program['estimate']
  # One layer of 256 and its head, forward and backward, a row of 160 positions per device 16 / 4 times.
  params = 256 * 576 + 3 * 256 * 512 + 256 * 128 * (2 * 2 + 2 * 1)
  attention = 4 * 2 * 128 * 160 / 2
  assert estimate['model_flops_per_device'] == 3 * 4 * 160 * (2 * params + attention)
  assert 0 < estimate['mfu'][0] <= estimate['mfu'][1] < 1
  budget = one['budget']
  assert budget['dollars'] == [2 * hours for hours in budget['chip_hours']] and budget['paper']['dollars'] == 7800
  assert budget['hours'][1] == pytest.approx(estimate['seconds'][0] * 2000 / 3600)
  assert program['collectives']['all-gather']['bytes'] > 0


def test_the_search_finds_what_is_fastest_and_fits():
  """A made-up compiler: memory grows with rows and with what is saved, time falls with both."""
  saved = {'attention_qkv': 3, 'attention': 2, 'full': 1}

  def compile_one(config, program):
    rows = 16 // config['sft']['micro_batches'] // 4
    total = rows * saved[config['sft']['remat']]
    if config['mesh']['data'] == 2:
      raise ValueError('no such mesh')
    seconds = 16 * (1 + 1 / rows + 1 / saved[config['sft']['remat']])
    return {
      'fits': total <= 4,
      'hbm': {'total': total, 'capacity': 4},
      'tokens': 16,
      'estimate': {'seconds': [seconds, seconds], 'mfu': [0.1, 0.1]},
    }

  config = {'mesh': {'data': 1, 'fsdp': -1}, 'sft': dict(program='sft', remat='full', batch_size=16, micro_batches=4)}
  trials = search.stage(config, 'sft', 4, compile_one)
  assert trials[0].fields == {'sft.remat': 'attention_qkv'} and trials[0].result['fits']
  assert {'sft.remat': 'attention_qkv', 'sft.micro_batches': 2} in [
    t.fields for t in trials if not t.result.get('fits', 1)
  ]
  assert trials[-1].error == 'no such mesh' and config['sft']['remat'] == 'full'


def test_the_largest_cache_that_fits():
  def compile_one(config, program):
    tokens = config['rl']['sampler']['cache_tokens']
    return {
      'fits': 100 + tokens <= 5000,
      'hbm': {'total': 100 + tokens, 'capacity': 5000, 'kv_cache': tokens},
      'tokens': 0,
      'cache_tokens': tokens,
    }

  sampler = dict(cache_tokens=9000, columns=1000, max_tokens=900)
  trials = search.stage({'rl': dict(program='probe', sampler=sampler)}, 'rl', 4, compile_one)
  assert trials[0].fields == {'rl.sampler.cache_tokens': 4000}  # 0.98 of 4900, in thousands
  assert not trials[-1].result['fits']
