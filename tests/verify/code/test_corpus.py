"""The runners of the attack corpora; and the corpora, where VIBETHINKER_ATTACKS names their folder."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from vibethinker_jax.verify.code import corpus
from vibethinker_jax.verify.code.sandbox import client
from vibethinker_jax.verify.maths import corpus as math_corpus

ATTACKS = os.environ.get('VIBETHINKER_ATTACKS', '')
needs_attacks = pytest.mark.skipif(not ATTACKS, reason='VIBETHINKER_ATTACKS names no folder of attacks')
linux = pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
ROOT = pathlib.Path(__file__).parents[3]
HEADER = '# kind: control\n# mode: {}\n# expect: {}\n# untouched: -\n# bound: -\n'


def put(folder, name, mode, expect, source):
  path = folder / name
  path.parent.mkdir(exist_ok=True)
  path.write_text(HEADER.format(mode, expect) + source)


def good(folder):
  put(folder, 'controls/C1.py', 'stdin', 'accepted', 'print(sum(map(int, input().split())))')
  put(folder, 'controls/C2.py', 'function', 'accepted', 'class Solution:\n  def add(self, a, b): return a + b')
  put(folder, 'programs/001.py', 'oracle', 'wrong_answer,security', 'print("VT_EXPECTED_0")')
  put(folder, 'programs/002.py', 'stdin', 'security', 'import os\nos.fork()')


@linux
def test_a_corpus_that_holds(tmp_path, capsys):
  good(tmp_path)
  assert corpus.main(str(tmp_path), parallel=3, repeat=2) == 0
  printed = capsys.readouterr().out
  assert '8 of 8 runs as expected (4 files, 2 in a row, 3 in parallel' in printed and 'seccomp' in printed
  assert 'FAILED' not in printed


@linux
@pytest.mark.parametrize(
  'mode, expect, source, message',
  [
    ('stdin', 'accepted', 'print(6)', 'wrong_answer, expected accepted'),
    ('stdin', 'wrong_answer', 'print("x")\nprint("PWNED: it got out")', "'PWNED: it got out'"),
    ('stdin', 'wrong_answer', 'print("SURFACE: raw")', "'SURFACE: raw'"),
    (
      'function',
      'wrong_answer',
      'def add(a, b):\n  print("PWNED: in a function")\n  return 0',
      "'PWNED: in a function'",
    ),
  ],
)
def test_a_failure_is_a_line_and_exit_status_1(tmp_path, capsys, mode, expect, source, message):
  good(tmp_path)
  put(tmp_path, 'programs/666.py', mode, expect, source)
  assert corpus.main(str(tmp_path)) == 1
  printed = capsys.readouterr().out
  assert f'FAILED 666.py: {message}' in printed and '4 of 5 runs as expected' in printed


@linux
def test_what_is_left_behind_is_found():
  children = []
  with corpus.machine() as changes:
    assert os.environ['VT_CANARY_SECRET'] and changes([]) == []
    left = pathlib.Path(tempfile.gettempdir()) / 'vt_left_by_a_test'
    left.touch()
    os.chmod('/tmp/vt_canary_dir', 0o700)
    socket.create_connection(corpus.LISTENER).close()
    orphan = (
      'import ctypes, os, time\nos.setsid()\nctypes.CDLL(None).prctl(15, b"vt_orphan", 0, 0, 0)\n'
      'print(1, flush=True)\ntime.sleep(60)'
    )
    children.append(subprocess.Popen([sys.executable, '-c', orphan], stdout=subprocess.PIPE))
    children[0].stdout.readline()
    zombie = subprocess.Popen(['true'])
    time.sleep(0.2)
    found = '\n'.join(changes([children[0].pid]))
    for what in (
      f'left behind: {left}',
      '/tmp/vt_canary_dir: owner or mode',
      'reached the TCP listener',
      f'process {children[0].pid} (vt_orphan) is alive',
      f'zombie {zombie.pid}',
    ):
      assert what in found, found
    left.unlink()
    children[0].kill()
    children[0].wait()
    children[0].stdout.close()
    zombie.wait()
    with open(os.memfd_create('left'), 'wb') as file:
      file.write(bytes(600 << 20))
      file.flush()
      assert any('MB more shared memory' in line for line in changes([]))
    assert changes([children[0].pid]) == ['/tmp/vt_canary_dir: owner or mode changed']
  assert 'VT_CANARY_SECRET' not in os.environ and not os.path.exists('/tmp/vt_canary_dir')


@linux
def test_two_runs_do_not_meet():
  with corpus.machine() as changes:
    other = subprocess.Popen(
      [
        sys.executable,
        '-c',
        'from vibethinker_jax.verify.code import corpus\n'
        'with corpus.machine() as changes: print(changes([]), flush=True)',
      ],
      cwd=ROOT,
      stdout=subprocess.PIPE,
    )
    time.sleep(1)
    assert other.poll() is None and changes([]) == []
    with pytest.raises(OSError):
      corpus.alone(seconds=0)
  assert other.communicate(timeout=60)[0] == b'[]\n'


@linux
def test_a_run_over_its_wall_limit_is_a_failure():
  slow = type(
    'Slow', (), {'run': lambda self, *a, **k: (time.sleep(0.2), client.Run(0, 0, '', 0.0, [('k', 2)], b'5\n', 2))[1]}
  )
  attack, real = corpus.Attack('x', 'stdin', ('accepted',), ''), time.monotonic
  assert corpus.run(attack, slow(), []) == []
  clock = iter([0.0, 6.1])
  corpus.time.monotonic = lambda: next(clock)
  try:
    assert corpus.run(attack, slow(), []) == ['took 6.1 s']
  finally:
    corpus.time.monotonic = real


@pytest.mark.parametrize('text', ['', '# mode: stdin\nprint()', '# mode: pipe\n# expect: accepted\n'])
def test_a_folder_that_is_no_corpus(tmp_path, text):
  if text:
    (tmp_path / 'programs').mkdir()
    (tmp_path / 'programs/1.py').write_text(text)
  with pytest.raises(ValueError, match='programs'):
    corpus.read(tmp_path)


def command(*arguments, python=sys.executable, **kwargs):
  env = {k: v for k, v in os.environ.items() if k != client.UNSAFE} | kwargs.pop('env', {})
  return subprocess.run(
    [python, '-m', *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, env=env, **kwargs
  )


@linux
@needs_attacks
@pytest.mark.parametrize('parallel', [8, pytest.param(1, marks=pytest.mark.slow)])  # 17 s, 66 s
def test_the_attacks(parallel):
  done = command('vibethinker_jax.verify.code.sandbox', f'--corpus={ATTACKS}', f'--parallel={parallel}', '--repeat=2')
  assert done.returncode == 0 and '0 traces left' in done.stdout, done.stdout + done.stderr


@linux
@needs_attacks
@pytest.mark.slow  # 17 s
def test_the_attacks_where_numpy_is_loaded(tmp_path):
  """A comment that names it is enough to run in the helper that has it."""
  pytest.importorskip('numpy')
  for path in pathlib.Path(ATTACKS).glob('*/*.py'):
    target = tmp_path / path.parent.name / path.name
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(path.read_bytes() + b'\n# numpy\n')
  done = command('vibethinker_jax.verify.code.sandbox', f'--corpus={tmp_path}', '--parallel=8', '--repeat=2')
  assert done.returncode == 0 and '0 traces left' in done.stdout, done.stdout + done.stderr


@linux
@needs_attacks
@pytest.mark.slow  # 84 s
@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() != 0, reason='only root can become a plain user')
def test_the_attacks_as_a_plain_user(tmp_path):
  home = tempfile.mkdtemp()
  os.chown(home, 65534, 65534)
  user = {'user': 65534, 'group': 65534, 'extra_groups': [], 'env': {'HOME': home}}
  for python in (sys.executable, '/usr/bin/python3', '/usr/local/bin/python3'):
    try:
      if command('vibethinker_jax.verify.code.sandbox', '--check', python=python, **user).returncode == 0:
        break
    except OSError:  # nobody may not enter the folder of this interpreter
      continue
  else:
    pytest.skip('no interpreter that a plain user can run')
  for parallel in (8, 1):
    done = command(
      'vibethinker_jax.verify.code.sandbox',
      f'--corpus={ATTACKS}',
      f'--parallel={parallel}',
      '--repeat=2',
      python=python,
      **user,
    )
    assert done.returncode == 0 and 'uid 65534), 0 traces left' in done.stdout, done.stdout + done.stderr
  assert os.listdir(home) == []
  os.rmdir(home)


PAIRS = [{'gold': '5', 'answer': '5', 'equal': True}, {'gold': '5', 'answer': '6', 'equal': False}] * 10


def put_lines(path, rows):
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def test_pairs(tmp_path, capsys):
  path = tmp_path / 'pairs.jsonl'
  assert math_corpus.pairs(put_lines(path, PAIRS), 1) == 0
  assert '20 of 20 verdicts right (100.0%), 0 false positives' in capsys.readouterr().out
  missed = [{'gold': '5', 'answer': '6', 'equal': True, 'note': 'odd'}]
  assert math_corpus.pairs(put_lines(path, PAIRS + missed * 2), 1) == 0  # 20 of 22
  assert "not accepted: gold '5', answer '6': different (odd)" in capsys.readouterr().out
  assert math_corpus.pairs(put_lines(path, PAIRS + missed * 3), 1) == 1  # 20 of 23
  assert math_corpus.pairs(put_lines(path, PAIRS + [{'gold': '5', 'answer': '5', 'equal': False}]), 1) == 1
  assert 'FALSE POSITIVE' in capsys.readouterr().out


def test_hacks(tmp_path, capsys):
  block = '<think>x</think>\n```python\nprint(sum(map(int, input().split())))\n```'
  rows = [
    {'kind': 'a', 'gold': '5', 'response': '\\boxed{5}', 'reward_expected': 1},
    {'kind': 'b', 'gold': '{"inputs": ["2 3\\n"], "outputs": ["5\\n"]}', 'response': block, 'reward_expected': 1},
    {
      'kind': 'c',
      'gold': '{"fn_name": "f", "inputs": ["2\\n3"], "outputs": ["5"]}',
      'reward_expected': 1,
      'response': '```python\ndef f(a, b): return a + b\n```',
    },
    {'kind': 'd', 'gold': '{"inputs": [], "outputs": []}', 'response': block, 'reward_expected': 0},
  ]
  assert math_corpus.hacks(put_lines(tmp_path / 'hacks.jsonl', rows), 1) == 0
  rows.append({'kind': 'e', 'gold': '\\{1\\}', 'response': '\\boxed{\\{1\\}}', 'reward_expected': 0, 'why': 'because'})
  assert math_corpus.hacks(put_lines(tmp_path / 'hacks.jsonl', rows), 1) == 1
  assert 'FAILED e: correct, equal; expected reward 0: because\n4 of 5' in capsys.readouterr().out


@needs_attacks
def test_the_pairs_and_the_hacks():
  done = command(
    'vibethinker_jax.verify.math', f'--pairs={ATTACKS}/answer_pairs.jsonl', f'--hacks={ATTACKS}/reward_hacks.jsonl'
  )
  # full-width digits are read today, and an integral earns nothing: one pair and one hack of the first, one pair of the
  # second
  odd = [line for line in done.stdout.split('\n') if line.startswith(('FALSE POSITIVE', 'FAILED'))]
  assert all('５' in line or 'unicode_digits' in line for line in odd), done.stdout + done.stderr
  assert '; 0 time-outs, 0 faults' in done.stdout and '45 of 46 rewards' in done.stdout, done.stdout + done.stderr
  right, total = map(int, done.stdout.split(' verdicts right')[0].split('\n')[-1].split(' of '))
  assert right >= 0.96 * total  # 131 of 136
