"""Processes that compile: as many as there are cores for, and none that outlives the command."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from vibethinker_jax.aot import jobs, planning
from vibethinker_jax.aot.compilers import topology

# A compilation stands still in C: while it holds the interpreter's lock neither a signal handler nor a thread of Python
# runs.
SCRIPT = """
import ctypes, os, signal, sys, time
from vibethinker_jax.aot import jobs

if sys.argv[1] == 'watch':  # as where there is no Linux kernel to ask
  jobs.verify_worker.die_with_parent = lambda parent: None

def compile_for_long():
  print(os.getpid(), flush=True)
  ctypes.PyDLL(None).sleep(300) if sys.argv[1] == 'kernel' else time.sleep(300)

if __name__ == '__main__':
  signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, of whoever runs the tests, ignores it,
  signal.signal(signal.SIGINT, signal.default_int_handler)  # and a shell's & this
  with jobs.Compiler(2) as compiler:
    compiler.result([compiler.submit(compile_for_long) for _ in range(2)][0])
"""


def alive(pid: int) -> bool:
  """Zombies are not: whoever adopted them has not looked yet."""
  try:
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
  except FileNotFoundError:
    return False


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize(
  'how, sent',
  [
    ('kernel', signal.SIGKILL),
    ('kernel', signal.SIGTERM),
    ('kernel', signal.SIGHUP),
    ('kernel', signal.SIGINT),
    ('watch', signal.SIGKILL),
  ],
)
def test_processes_end_with_the_command(tmp_path, how, sent):
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install -e .[plan]')
  (tmp_path / 'command.py').write_text(SCRIPT)
  env = os.environ | {'PYTHONPATH': str(pathlib.Path(__file__).parents[2]), 'JAX_PLATFORMS': 'cpu'}
  with subprocess.Popen(
    [sys.executable, str(tmp_path / 'command.py'), how],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=env,
  ) as command:
    children = [int(command.stdout.readline()) for _ in range(2)]
    try:
      assert len(set(children)) == 2 and all(map(alive, children))
      command.send_signal(sent)
      deadline = time.monotonic() + 60
      while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
      assert not any(map(alive, children))
      command.wait(60)
    finally:
      for pid in (*children, command.pid):
        if alive(pid):
          os.kill(pid, signal.SIGKILL)


def test_one_process_per_core_that_memory_allows(monkeypatch):
  monkeypatch.setattr(jobs.os, 'sched_getaffinity', lambda _: set(range(8)), raising=False)
  sizes = {'SC_PHYS_PAGES': 4 * jobs.MEMORY // 4096, 'SC_PAGE_SIZE': 4096}
  monkeypatch.setattr(jobs.os, 'sysconf', sizes.__getitem__)
  assert jobs.processes() == 4
  sizes['SC_PHYS_PAGES'] = 1
  assert jobs.processes() == 1
  sizes['SC_PHYS_PAGES'] = 2**40
  assert jobs.processes() == 8


def test_what_is_said_beforehand():
  new = [{'seconds': 150}] * 5 + [{'seconds': 40}] * 3
  assert planning.announcement(34, 20, new, 2).startswith(
    '34 programs, 20 of them distinct, 12 compiled before; 8 to compile, 2 at a time: about 8 minutes'
  )
  assert planning.announcement(34, 20, [], 2) == '34 programs, 20 of them distinct, 20 compiled before'
  assert 'about 40 seconds' in planning.announcement(1, 1, new[-1:], 2)


@pytest.mark.parametrize(
  'short, every', [(False, False), (True, False), (True, True)], ids=['', 'follow', 'every_length']
)
def test_equal_programs_are_compiled_once(monkeypatch, tmp_path, capsys, short, every):
  """Two stages share their decode loop. A made-up compiler notes what it compiles: updates of shorter rows when asked
  to."""
  stages = {
    'rl': [('decode', 'a', 40), ('step', 'b', 150)],
    'code': [('decode', 'a', 40), ('step', 'c', 150)],
    'old': [('weights', 'd', 10)],
  }
  stored, compiled, order = {'d'}, [], []
  stages['rl'] += [('step_64', 'e', 150)] * short
  stages['code'] += [('step_64', 'e', 150)] * short

  def survey(config, topology, stage, cache):
    return [
      {
        'program': name,
        'key': key,
        'cached': key in stored,
        'seconds': seconds,
        'rows': 8,
        'flops': 1e12,
        'longest': 'step' if name == 'step_64' else '',
        'share': 0.25,
      }
      for name, key, seconds in stages[stage]
    ]

  def run(config, topology, stage, name, cache, key):
    order.append((stage, name))
    if key not in stored:
      compiled.append(key)
    stored.add(key)
    return {
      'stage': stage,
      'program': name,
      'fits': True,
      'hbm': {'total': 1.0},
      'estimate': {
        'seconds': [12.0, 9.0],
        'mxu_seconds': 4.0,
        'other_seconds': 1.0,
        'kernel_seconds_at_peak': 2.4,
        'exposed_collective_seconds': 1.0,
        'hidden_collective_seconds': 0.5,
        'unknown_loops': [],
      },
    }

  class Threads(concurrent.futures.ThreadPoolExecutor):
    def result(self, future):
      return future.result()

  monkeypatch.setattr(planning.worker, 'survey', survey)
  monkeypatch.setattr(planning.worker, 'run', run)
  with Threads(1) as compiler:
    found = planning._compile_all(compiler, 1, {}, 'v5e:2x2', list(stages), str(tmp_path), every)
  assert [(one['stage'], one['program']) for one in found] == [
    (stage, name) for stage in stages for name, *_ in stages[stage]
  ]
  assert compiled == (['b', 'e', 'c', 'a'] if every else ['b', 'c', 'a'])  # the longest first
  assert ('code', 'decode') in order[len(compiled) + 1 :]  # read when its equal is there
  said = capsys.readouterr().err
  if not short:
    assert '5 programs, 4 of them distinct, 1 compiled before; 3 to compile, 1 at a time' in said
  elif not every:
    assert (
      '7 programs, 2 of them for shorter rows, whose times follow from those of the longest (--every_length compiles '
      'them too); of the others 4 are distinct, 1 compiled before; 3 to compile'
    ) in said
    follows = [one for one in found if one['program'] == 'step_64']
    assert [one['follows_from'] for one in follows] == ['step', 'step'] and follows[0]['rows_per_device'] == 8
    assert follows[1]['estimate']['seconds'] == [4 + 1 + 0.6 / 0.4 + 1, 4 + 1 + 0.6 / 0.6 + 1]
    assert follows[1]['estimate']['mfu'][1] == 1e12 / topology.chip_of('v5e:2x2').flops / 7
