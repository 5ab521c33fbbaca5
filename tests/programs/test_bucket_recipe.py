"""configs/tiny.py by its own command in a bucket: killed in three places, each time on to another machine's disk."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from vibethinker_jax import checkpoint
from vibethinker_jax.runtime import storage

ROOT = pathlib.Path(__file__).parents[2]
STAGES = ('sft', 'probe', 'merge', 'rl_math_16k', 'rl_math_32k', 'rl_code', 'evaluate')
TRAINED = ('sft', 'merge', 'rl_math_16k', 'rl_math_32k', 'rl_code')
# A model of 40 steps answers nothing: a coin decides, as exactly at every start.
COIN = 'import zlib\n\n\ndef judge(response, row):\n  return zlib.crc32((response + str(row["answer"])).encode()) % 2\n'
RL = (
  'problems=12 steps=4 prompts=4 group=4 filter_samples=4 micro_batch=8 warmup_steps=1 checkpoint_steps=2 '
  'examples_steps=2'
)
SHORT = {
  'tokenizer': 'problems=400',
  'sft': 'steps=40 batch_size=8 checkpoint_steps=10',
  'probe': 'problems=3 samples=2 k=2',
  'rl_math_16k': RL,
  'rl_math_32k': RL,
  'rl_code': RL,
  'evaluate': 'problems=5 samples=2 ks=(1,2) models=("init","merge","rl_code")',
}
FIELDS = [f'--config.{name}.{field}' for name, fields in SHORT.items() for field in fields.split()]
TIMED = ('time', 'seconds', 'resumed_at', 'tokens_this_process', 'goodput')
KILLS = (
  ('sft', 'sft/checkpoints/20/commit_success.txt'),
  ('rl_math_32k', 'rl_math_32k/checkpoints/2/commit_success.txt'),
  ('evaluate', 'evaluate/scores_init.json'),
)


@pytest.fixture(scope='module')
def started(tmp_path_factory):
  """A function that starts the recipe as on a fresh machine: nothing is common to two starts but compiled programs."""
  common = tmp_path_factory.mktemp('common')
  (common / 'coin.py').write_text(COIN)

  def start(workdir: str) -> subprocess.Popen:
    machine = tmp_path_factory.mktemp('machine')
    environment = os.environ | {
      'PYTHONPATH': f'{ROOT}:{common}',
      'TMPDIR': str(machine),
      'JAX_COMPILATION_CACHE_DIR': str(common / 'compiled'),
    }
    (common / 'compiled').mkdir(exist_ok=True)
    command = [sys.executable, '-m', 'vibethinker_jax.main', f'--config={ROOT}/configs/tiny.py', f'--workdir={workdir}']
    log = (machine / 'log').open('wb')
    process = subprocess.Popen(
      [*command, '--config.verifier=coin:judge', *FIELDS], cwd=machine, env=environment, stdout=log, stderr=log
    )
    process.log, process.machine = machine / 'log', machine
    return process

  return start


def ended(process) -> str:
  """What it said, when it has ended well."""
  assert process.wait(timeout=1800) == 0, process.log.read_text()[-3000:]
  return process.log.read_text()


def clean(values: dict) -> dict:
  timed = lambda name: name in TIMED or name.endswith('tokens_per_second') or name.startswith(('seconds/', 'time/'))
  return {name: value for name, value in values.items() if not timed(name)}


def outcome(workdir) -> dict:
  """All that a run decides, of a directory here or in a bucket."""
  found = {}
  lines = lambda path: [clean(json.loads(line)) for line in path.read_text().splitlines()]
  for stage in STAGES:
    found[stage] = clean(json.loads((workdir / stage / 'result.json').read_text()))
    for name in ('metrics.jsonl', 'examples.jsonl'):
      if (workdir / stage / name).exists():
        found[stage, name] = lines(workdir / stage / name)
  for stage in TRAINED:
    directory = workdir / stage / 'checkpoints'
    steps = checkpoint.steps(directory)
    found[stage, 'digests'] = {step: checkpoint.read_model(directory / str(step))['digests'] for step in steps}
  for name in ('init', 'merge', 'rl_code'):
    found['responses', name] = lines(workdir / 'evaluate' / name / 'responses.jsonl')
  return found


@pytest.fixture(scope='module')
def undisturbed(started, tmp_path_factory):
  """What a run on a disk decides."""
  workdir = tmp_path_factory.mktemp('disk') / 'run'
  ended(started(str(workdir)))
  return outcome(workdir)


def wait_for(process, bucket, name: str) -> None:
  deadline = time.monotonic() + 1800
  while f'run/{name}' not in bucket.names('run/'):
    assert process.poll() is None and time.monotonic() < deadline, process.log.read_text()[-3000:]
    time.sleep(0.02)


@pytest.mark.slow
def test_killed_in_three_places_and_started_elsewhere_is_bit_equal(bucket, started, undisturbed):
  for stage, name in KILLS:
    process = started(f'{bucket.url}/run')
    wait_for(process, bucket, name)
    process.kill()
    process.wait()
    assert f'run/{stage}/result.json' not in bucket.names('run/'), 'it was too fast'
    assert not (process.machine / 'gs:').exists()
  ended(started(f'{bucket.url}/run'))
  found = outcome(storage.path(f'{bucket.url}/run'))
  assert found.keys() == undisturbed.keys()
  for name in found:
    assert found[name] == undisturbed[name], name
  left = bucket.names('run/')
  assert 'run/report.html' in left and not [name for name in left if name.endswith(('.tmp', 'owner.json'))]


@pytest.mark.slow
def test_of_two_at_once_the_later_one_goes_on_and_the_earlier_one_says_so(bucket, started, undisturbed):
  first = started(f'{bucket.url}/run')
  wait_for(first, bucket, 'sft/checkpoints/10/commit_success.txt')
  second = started(f'{bucket.url}/run')
  assert first.wait(timeout=1800) == 1
  last = first.log.read_text().splitlines()[-1]
  assert last.startswith(f'error: {bucket.url}/run: another process has started in it (') and 'this one stops' in last
  ended(second)
  found = outcome(storage.path(f'{bucket.url}/run'))
  assert all(found[name] == undisturbed[name] for name in undisturbed)
