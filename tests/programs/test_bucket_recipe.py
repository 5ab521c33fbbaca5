"""Commands with a bucket: configs/tiny.py killed in three places, each time on to another machine's disk; two starts
at once; two hosts; evaluate."""

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
LAUNCHER, TOY = ROOT / 'launch' / 'local_multiprocess.py', pathlib.Path(__file__).with_name('toy.py')
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
  """A function that starts a command as on a fresh machine: nothing is common to two starts but compiled programs."""
  common = tmp_path_factory.mktemp('common')
  (common / 'coin.py').write_text(COIN)

  def start(name: str, *flags: str) -> subprocess.Popen:
    machine = tmp_path_factory.mktemp('machine')
    environment = os.environ | {
      'PYTHONPATH': f'{ROOT}:{common}',
      'TMPDIR': str(machine),
      'JAX_COMPILATION_CACHE_DIR': str(common / 'compiled'),
    }
    (common / 'compiled').mkdir(exist_ok=True)
    command = [sys.executable, '-m', f'vibethinker_jax.{name}', *flags]
    log = (machine / 'log').open('wb')
    process = subprocess.Popen(command, cwd=machine, env=environment, stdout=log, stderr=log)
    process.log, process.machine = machine / 'log', machine
    return process

  return start


def recipe(started, workdir: str) -> subprocess.Popen:
  common = f'--config={ROOT}/configs/tiny.py', '--config.verifier=coin:judge'
  return started('main', *common, f'--workdir={workdir}', *FIELDS)


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
  """The workdir of a run on a disk."""
  workdir = tmp_path_factory.mktemp('disk') / 'run'
  ended(recipe(started, str(workdir)))
  return workdir


def wait_for(process, bucket, name: str) -> None:
  deadline = time.monotonic() + 1800
  while f'run/{name}' not in bucket.names('run/'):
    assert process.poll() is None and time.monotonic() < deadline, process.log.read_text()[-3000:]
    time.sleep(0.02)


@pytest.mark.slow
def test_killed_in_three_places_and_started_elsewhere_is_bit_equal(bucket, started, undisturbed):
  for stage, name in KILLS:
    process = recipe(started, f'{bucket.url}/run')
    wait_for(process, bucket, name)
    process.kill()
    process.wait()
    assert f'run/{stage}/result.json' not in bucket.names('run/'), 'it was too fast'
    assert not (process.machine / 'gs:').exists()
  ended(recipe(started, f'{bucket.url}/run'))
  found = outcome(storage.path(f'{bucket.url}/run'))
  expected = outcome(undisturbed)
  assert found.keys() == expected.keys()
  for name in found:
    assert found[name] == expected[name], name
  left = bucket.names('run/')
  assert 'run/report.html' in left and not [name for name in left if name.endswith(('.tmp', 'owner.json'))]


@pytest.mark.slow
def test_of_two_at_once_the_later_one_goes_on_and_the_earlier_one_says_so(bucket, started, undisturbed):
  first = recipe(started, f'{bucket.url}/run')
  wait_for(first, bucket, 'sft/checkpoints/10/commit_success.txt')
  second = recipe(started, f'{bucket.url}/run')
  assert first.wait(timeout=1800) == 1
  last = first.log.read_text().splitlines()[-1]
  assert last.startswith(f'error: {bucket.url}/run: another process has started in it (') and 'this one stops' in last
  ended(second)
  found, expected = outcome(storage.path(f'{bucket.url}/run')), outcome(undisturbed)
  assert all(found[name] == expected[name] for name in expected)


@pytest.mark.slow
def test_an_evaluation_in_a_bucket_of_a_model_there(bucket, started, undisturbed, tmp_path):
  model = undisturbed / 'merge'
  for path in (path for path in model.rglob('*') if path.is_file()):
    bucket.write(f'run/merge/{path.relative_to(model)}', path.read_bytes())
  small = '--problems=3', '--samples=1', '--max_tokens=16', '--domains=algebra'
  for source, output in ((model, tmp_path / 'here'), (f'{bucket.url}/run/merge', f'{bucket.url}/there')):
    ended(started('evaluate', f'--checkpoint={source}', f'--output={output}', *small))
  there, here = storage.path(f'{bucket.url}/there'), tmp_path / 'here'
  assert (there / 'responses.jsonl').read_bytes() == (here / 'responses.jsonl').read_bytes()
  results = [json.loads((path / 'result.json').read_text()) for path in (there, here)]
  assert results[0]['sets'] == results[1]['sets'] and results[0]['model']['sha256'] == results[1]['model']['sha256']
  ended(started('evaluate', f'--compare={there},{here}', f'--output={bucket.url}/compared'))
  assert {f'compared/comparison.{kind}' for kind in ('json', 'html')} == set(bucket.names('compared/'))


def two_hosts(workdir, *faults) -> subprocess.CompletedProcess:
  launch = [sys.executable, str(LAUNCHER), '--processes=2', '--devices=2', '--', sys.executable, str(TOY)]
  return subprocess.run(
    [*launch, str(workdir), 'sft,probe,merge', *faults], capture_output=True, text=True, timeout=1800
  )


@pytest.mark.slow
def test_two_hosts_one_killed_and_both_started_again(bucket, tmp_path):
  alone = two_hosts(tmp_path / 'run')
  assert alone.returncode == 0, alone.stderr[-3000:]
  killed = two_hosts(f'{bucket.url}/run', 'sft:5:1:kill')
  assert killed.returncode != 0 and 'run/sft/checkpoints/2/commit_success.txt' in bucket.names('run/')
  done = two_hosts(f'{bucket.url}/run')
  assert done.returncode == 0, done.stderr[-3000:]
  there = storage.path(f'{bucket.url}/run')
  for stage in ('sft', 'merge'):
    steps = checkpoint.steps(tmp_path / 'run' / stage / 'checkpoints')
    assert checkpoint.steps(there / stage / 'checkpoints') == steps
    for step in steps:
      read = lambda of, at=f'{stage}/checkpoints/{step}': checkpoint.read_model(of / at)['digests']
      assert read(there) == read(tmp_path / 'run')
  lines = lambda of: [clean(json.loads(line)) for line in (of / 'sft' / 'metrics.jsonl').read_text().splitlines()]
  assert lines(there) == lines(tmp_path / 'run')
