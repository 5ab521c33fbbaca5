"""The toy recipe on two hosts of four devices: the numbers of one host of eight, its checkpoints, and its failures."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from vibethinker_jax import checkpoint
from vibethinker_jax.programs import stage as stage_lib

HERE = pathlib.Path(__file__).parent
LAUNCHER = HERE.parents[1] / 'launch' / 'local_multiprocess.py'
TOY = [sys.executable, str(HERE / 'toy.py')]

pytestmark = pytest.mark.slow


def one_host(workdir, stages):
  return subprocess.run([*TOY, str(workdir), stages], env=os.environ | {'JAX_NUM_CPU_DEVICES': '8'}, capture_output=True,
                        text=True, timeout=900)


def two_hosts(workdir, stages, *faults):
  return subprocess.run([sys.executable, str(LAUNCHER), '--processes=2', '--devices=4', '--', *TOY, str(workdir), stages, *faults],
                        capture_output=True, text=True, timeout=900)


def lines(workdir, stage='sft'):
  return [json.loads(line) for line in (workdir / stage / 'metrics.jsonl').read_text().splitlines()]


def digests(workdir, stage='sft'):
  steps = checkpoint.steps(workdir / stage / 'checkpoints')
  return {step: checkpoint.read_model(workdir / stage / 'checkpoints' / str(step))['digests'] for step in steps}


def position(workdir, step):
  with checkpoint.ocp.Checkpointer(checkpoint.ocp.JsonCheckpointHandler()) as reader:
    return reader.restore((workdir / 'sft' / 'checkpoints' / str(step) / 'extra').absolute())['position']


@pytest.fixture(scope='module')
def one(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('one')
  done = one_host(workdir, 'sft')
  assert done.returncode == 0, done.stderr
  return workdir


@pytest.fixture(scope='module')
def two(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('two')
  done = two_hosts(workdir, 'sft')
  assert done.returncode == 0, done.stderr
  assert done.stdout.count('report:') == 1  # one of them prints
  return workdir


def test_the_numbers_are_those_of_one_host(one, two):
  for a, b in zip(lines(one), lines(two), strict=True):
    assert a['count'] == b['count'] and a['step'] == b['step']  # the same tokens
    for name in ('loss', 'entropy', 'grad_norm'):
      assert abs(a[name] - b[name]) < 1e-5, (a['step'], name)
  assert position(one, 4) == position(two, 4)  # of all the data's streams
  tokens = [json.loads((workdir / 'sft/result.json').read_text())['tokens_this_process'] for workdir in (one, two)]
  assert 0 < tokens[1] < tokens[0]  # a host reads its own rows only


@pytest.mark.parametrize('sizes', [(1, 1, 1, 1), (1, 4, 1, 1), (2, 2, 2, 1)], ids=str)
def test_checkpoints_of_two_hosts_open_on_any_mesh(one, two, mesh_of, sizes):
  mesh = mesh_of(*sizes)
  a, b = (stage_lib.load(workdir / 'sft', mesh).params for workdir in (one, two))
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    assert len(y.sharding.device_set) == np.prod(sizes)
    np.testing.assert_allclose(x, y, atol=1e-5)


def test_one_host_goes_on_where_two_stopped(one, tmp_path):
  assert two_hosts(tmp_path, 'sft', 'sft:4:1:term').returncode == 143
  assert checkpoint.steps(tmp_path / 'sft' / 'checkpoints')
  done = one_host(tmp_path, 'sft')
  assert done.returncode == 0, done.stderr
  assert json.loads((tmp_path / 'sft/result.json').read_text())['resumed_at'] >= 4
  for a, b in zip(lines(one), lines(tmp_path), strict=True):
    assert a['count'] == b['count'] and abs(a['loss'] - b['loss']) < 1e-5


@pytest.mark.parametrize('host, kind, words', [
    (1, 'kill', 'host 1 of 2'), (0, 'kill', 'host 0'), (1, 'stop', 'host 1 of 2'), (0, 'stop', 'host 0 of 2'),
    (1, 'raise', 'failed: RuntimeError: the cat ate it')])
def test_a_host_that_fails_ends_the_run_and_the_restart_resumes(two, launcher, tmp_path, host, kind, words):
  """Each host by itself, as on a pod: the launcher would end the other one."""
  port = launcher.free_port()
  started = [launcher.start([*TOY, str(tmp_path), 'sft', f'sft:6:{host}:{kind}'], i, 2, 4, port, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, preexec_fn=None) for i in range(2)]
  survivor = started[1 - host]
  try:
    while not (tmp_path / 'sft/metrics.jsonl').exists() or len(lines(tmp_path)) < 5:
      assert survivor.poll() is None, survivor.communicate()[0]
      time.sleep(0.2)
    since = time.monotonic()
    out = survivor.communicate(timeout=300)[0]
    assert time.monotonic() - since < 60
  finally:
    for process in started:
      process.kill()
  assert survivor.returncode not in (0, None) and words in out, out
  if kind in ('raise', 'kill'):
    assert started[host].wait() == (1 if kind == 'raise' else -signal.SIGKILL)
  done = two_hosts(tmp_path, 'sft')
  assert done.returncode == 0, done.stderr
  assert json.loads((tmp_path / 'sft/result.json').read_text())['resumed_at'] in (4, 2)
  assert digests(tmp_path) == digests(two)  # bit for bit
