"""launch/sky.yaml as SkyPilot itself reads it. It is large, and no part of the tests' environment: SKY_PYTHON may name
the Python of one that has it (pip install skypilot)."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

FILE = pathlib.Path(__file__).parents[2] / 'launch' / 'sky.yaml'
READ = """
import json, sys
import sky
task = sky.Task.from_yaml(sys.argv[1])
found = [dict(r.accelerators, spot=r.use_spot, recovery=r.job_recovery) for r in task.resources]
print(json.dumps({'resources': found, 'envs': task.envs, 'nodes': task.num_nodes, 'workdir': task.workdir}))
"""


def read(path, tmp_path):
  python = os.environ.get('SKY_PYTHON', sys.executable)
  if subprocess.run(
    [python, '-c', 'import sky'], capture_output=True, env=os.environ | {'HOME': str(tmp_path)}
  ).returncode:
    pytest.skip('SkyPilot is not installed')
  environment = os.environ | {'HOME': str(tmp_path), 'SKYPILOT_DISABLE_USAGE_COLLECTION': '1'}
  environment.pop('PYTHONPATH', None)
  return subprocess.run([python, '-c', READ, str(path)], capture_output=True, text=True, env=environment)


def test_its_task(tmp_path):
  done = read(FILE, tmp_path)
  assert done.returncode == 0, done.stderr
  found = json.loads(done.stdout.splitlines()[-1])
  assert all(one['spot'] and one['recovery']['strategy'] for one in found['resources'])
  names = {name for one in found['resources'] for name in one if name not in ('spot', 'recovery')}
  assert any(name.startswith('tpu-') for name in names) and any(name[0] in 'AH' for name in names)
  assert found['nodes'] == 1 and found['envs']['WORKDIR'].startswith('gs://')


@pytest.mark.parametrize(
  'change',
  [
    lambda task: task.update(resource=task.pop('resources')),
    lambda task: task['resources'].update(use_spots=True),
    lambda task: task.update(envs=['WORKDIR']),
  ],
)
def test_the_reader_itself(tmp_path, change):
  task = yaml.safe_load(FILE.read_text())
  change(task)
  path = tmp_path / 'sky.yaml'
  path.write_text(yaml.safe_dump(task))
  assert read(path, tmp_path).returncode != 0


@pytest.mark.parametrize('nodes', [1, 2])
def test_what_it_runs(tmp_path, nodes):
  """The words of the command, and what several nodes are told."""
  task, bin_ = yaml.safe_load(FILE.read_text()), tmp_path / 'vibethinker' / 'bin'
  bin_.mkdir(parents=True)
  (bin_ / 'python').write_text('#!/bin/sh\nprintf "%s\\n" "$@" "${JAX_COORDINATOR_ADDRESS-}" "${JAX_PROCESS_ID-}"\n')
  (bin_ / 'python').chmod(0o755)
  given = {'SKYPILOT_NUM_NODES': str(nodes), 'SKYPILOT_NODE_RANK': '1', 'SKYPILOT_NODE_IPS': '10.0.0.1\n10.0.0.2'}
  environment = {'PATH': os.environ['PATH'], 'HOME': str(tmp_path)} | task['envs'] | given
  done = subprocess.run(['bash', '-euc', task['run']], capture_output=True, text=True, env=environment)
  assert done.returncode == 0, done.stderr
  words = [
    '-m',
    'vibethinker_jax.main',
    '--config=configs/vibethinker_1p5b.py',
    '--workdir=gs://my-bucket/runs/1p5b',
    '--config.base=Qwen/Qwen2.5-Math-1.5B',
  ]
  assert done.stdout.splitlines() == words + (['10.0.0.1:8476', '1'] if nodes > 1 else ['', ''])
