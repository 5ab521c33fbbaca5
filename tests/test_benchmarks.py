"""Each benchmark of tests/benchmarks runs at its smallest and prints one JSON line; what it says of time is not
judged."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent / 'benchmarks'
COMMANDS = {
  'sft': ['--repeats=1'],
  'sft 1p5b': ['--repeats=1', '--rows=2', '--length=512', '--micro_batches=2', '--remat=attention', '--unroll=false'],
  'rollout': ['--repeats=1'],
  'rl_step': ['--repeats=1'],
  'rl_step 1p5b': [
    '--repeats=1',
    '--prompts=4',
    '--group=4',
    '--micro=8',
    '--noshare_prompts',
    '--remat=attention',
    '--unroll=false',
  ],
  'decode': ['--calls=2'],
  'decode pages': ['--calls=2', '--cache=pages', '--cache_dtype=int8'],
}


@pytest.mark.slow
@pytest.mark.parametrize('name', COMMANDS)
def test_a_benchmark_prints_one_json_line(name):
  environment = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}
  done = subprocess.run(
    [sys.executable, str(FOLDER / f'{name.split()[0]}.py'), *COMMANDS[name]],
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  found = json.loads(done.stdout)
  rates = [found[k] for k in ('mfu', 'tok_per_s', 'useful_tok_per_s', 'step_s', 'bandwidth_share') if k in found]
  assert rates and all(rate > 0 for rate in rates)
