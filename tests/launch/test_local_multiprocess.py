"""The launcher, and what processes tell one another under it."""

import io
import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
LAUNCHER = HERE.parents[1] / 'launch' / 'local_multiprocess.py'


def launch(*command, processes=2, devices=2, grace=5):
  return subprocess.run(
    [
      sys.executable,
      str(LAUNCHER),
      f'--processes={processes}',
      f'--devices={devices}',
      f'--grace={grace}',
      '--',
      *command,
    ],
    capture_output=True,
    text=True,
    timeout=300,
  )


def python(code, **options):
  return launch(
    sys.executable, '-c', 'import os, signal, sys, time\ni = int(os.environ["JAX_PROCESS_ID"])\n' + code, **options
  )


def test_lines_say_which_process_they_are_of():
  done = python('print("out", i); print("err", os.environ["JAX_NUM_CPU_DEVICES"], file=sys.stderr)', processes=3)
  assert done.returncode == 0
  assert sorted(done.stdout.splitlines()) == ['[0] out 0', '[1] out 1', '[2] out 2']
  assert sorted(done.stderr.splitlines()) == ['[0] err 2', '[1] err 2', '[2] err 2']


@pytest.mark.parametrize(
  'end, status, words',
  [
    ('sys.exit(7)', 7, 'process 1 of 3 ended with status 7'),
    ('os.kill(os.getpid(), signal.SIGKILL)', 137, 'process 1 of 3 was killed by SIGKILL'),
  ],
)
def test_one_that_ends_badly_ends_all(end, status, words):
  """Also those that do not listen to SIGTERM."""
  code = 'signal.signal(signal.SIGTERM, signal.SIG_IGN) if i == 2 else None\n' + f'{end} if i == 1 else time.sleep(100)'
  done = python(code, processes=3, grace=0.5)
  assert (done.returncode, words in done.stderr) == (status, True), done.stderr


def test_the_noise_of_the_collectives_is_left_out(launcher):
  """Two threads that print the same line piece by piece: what is left of one on a line of its own goes as well."""
  mixed = (
    '[Gloo] Rank 1 is connected to [Gloo] Rank 1 is connected to 3 peer ranks. Expected number of connected peer '
    'ranks is : 3 peer ranks. Expected number of connected peer ranks is : 3\n3\n'
  )
  cut = (
    '[Gloo] Rank [Gloo] Rank 0 is connected to 3 peer ranks. Expected number of connected peer ranks is : 3\n'
    '0 is connected to 3 peer ranks. Expected number of connected peer ranks is : 3\n'
  )
  out = io.StringIO()
  launcher.copy(1, io.StringIO(f'3\n{mixed}4\n{cut}\n5 and 6\n3\n'), out)
  assert out.getvalue() == '[1] 3\n[1] 4\n[1] 5 and 6\n[1] 3\n'


def test_a_command_is_needed():
  assert 'give the command after --' in launch().stdout + launch().stderr


def test_processes_agree():
  done = launch(sys.executable, str(HERE / 'together.py'))
  assert done.returncode == 0, done.stderr
  assert done.stdout.count('only one of them says this') == 1
  found = sorted(
    (json.loads(line[4:]) for line in done.stdout.splitlines() if line[4:].startswith('{')), key=lambda x: x['index']
  )
  assert [x.pop('index') for x in found] == [0, 1]
  assert found[0].pop('rows') == [0, 1] and found[1].pop('rows') == [2, 3]  # 2 x 2 devices, rows split in 2
  assert (
    found[0]
    == found[1]
    == {
      'count': 2,
      'devices': 4,
      'agreed': {'long': 'words ' * 20, 'host': 0},
      'gathered': [[0, 'x' * 25], [1, 'x' * 25]],
      'empty': ['', ''],
      'sums': [10416, 10416],
    }
  )
