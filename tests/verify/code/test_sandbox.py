import os
import platform
import subprocess
import sys
import time

import pytest

from vibethinker_jax.verify.code import programs as code
from vibethinker_jax.verify.code.sandbox import client, seccomp

ONE = {'cases': [{'input': '', 'output': '42'}]}


def test_call_numbers_are_libseccomps():
  pyseccomp = pytest.importorskip('pyseccomp')
  import ctypes

  resolve = pyseccomp._libseccomp.seccomp_syscall_resolve_name_arch
  resolve.argtypes, resolve.restype = (ctypes.c_uint32, ctypes.c_char_p), ctypes.c_int
  for table in (seccomp.ALLOW, seccomp.KILL, seccomp._CHECKED):
    for name, numbers in table.items():
      for arch, number in zip((pyseccomp.Arch.X86_64, pyseccomp.Arch.AARCH64), numbers):
        assert max(resolve(arch, name.encode()), -1) == number, name


def test_allowed_and_killed_calls_are_disjoint():
  names = [*seccomp.ALLOW, *seccomp.KILL, *seccomp._CHECKED]
  assert len(names) == len(set(names))
  assert not {'open', 'openat', 'openat2', 'kill', 'tgkill', 'prctl', 'memfd_create', 'stat', 'chmod', 'unlink'} & set(
    seccomp.ALLOW
  )
  for machine in seccomp.AUDIT_ARCH:
    assert 0 < len(seccomp.program(machine)) <= 4096 * 8  # BPF_MAXINSNS


def test_start_with_its_self_checks_is_quick():
  box = client.Sandbox()
  start = time.monotonic()
  assert box.run('print(1)', [''], None, 2.0, 1 << 30, 1 << 16).data == b'1\n'
  assert time.monotonic() - start < 2.0  # 0.1 s measured
  box.close()


def test_a_hole_in_the_filter_is_noticed(monkeypatch):
  monkeypatch.setitem(seccomp.KILL, 'fork', (-1, -1))
  monkeypatch.setattr(seccomp, 'CLONE_THREAD', 0x1200011)  # any clone of glibc's fork passes the test
  box = client.Sandbox()
  with pytest.raises(client.SandboxUnavailable, match='fork'):
    box.run('print(1)', [''], None, 2.0, 1 << 30, 1 << 16)


@pytest.mark.parametrize('name, value', [('machine', 'riscv64'), ('platform', 'darwin')])
def test_other_machines_get_a_clear_refusal(monkeypatch, name, value):
  if name == 'machine':
    monkeypatch.setattr(platform, 'machine', lambda: value)
  else:
    monkeypatch.setattr(sys, 'platform', value)
  monkeypatch.delenv(client.UNSAFE, raising=False)
  with pytest.raises(client.SandboxUnavailable, match=client.UNSAFE + '=1'):
    client.Sandbox()


def test_unsafe_mode_is_explicit_and_loud():
  source = (
    'from vibethinker_jax.verify import code\n'
    'ONE = {"cases": [{"input": "", "output": "42"}]}\n'
    'assert code.verify("print(6*7)", ONE).reason == "accepted"\n'
    'assert code.verify("import os\\nos.stat(chr(47))\\nprint(42)", ONE).reason == "accepted"\n'
    'assert code.verify("while 1: pass", ONE, code.Limits(cpu_seconds=0.5)).reason == "time_limit"\n'
  )
  env = dict(os.environ, PYTHONPATH=os.pathsep.join([os.getcwd(), *filter(None, sys.path)]))
  done = subprocess.run(
    [sys.executable, '-c', source], env=env | {client.UNSAFE: '1'}, capture_output=True, text=True, timeout=60
  )
  assert done.returncode == 0, done.stderr
  assert done.stderr.count('WITHOUT a sandbox') == 1
  env.pop(client.UNSAFE, None)
  assert subprocess.run([sys.executable, '-c', source], env=env, capture_output=True, timeout=60).returncode == 1


def test_helper_that_died_is_replaced():
  assert code.verify('print(42)', ONE).status == 'correct'
  code.sandbox()._process.kill()
  assert code.verify('print(42)', ONE).status == 'correct'


def test_no_zombies_and_no_leaked_descriptors():
  code.verify('print(42)', ONE)
  before = os.listdir('/proc/self/fd')
  helper = f'/proc/{code.sandbox()._process.pid}'
  time.sleep(0.1)  # the helper closes a run's files just after its reply
  try:
    helper_before = os.listdir(f'{helper}/fd')
  except PermissionError:  # only root may look into the helper
    helper_before = None
  for source in ('print(42)', 'import os\nos.fork()', '1/0'):
    code.verify(source, ONE)
  time.sleep(0.1)
  assert os.listdir('/proc/self/fd') == before
  assert helper_before is None or os.listdir(f'{helper}/fd') == helper_before
  with open(f'{helper}/task/{os.path.basename(helper)}/children', encoding='ascii') as f:
    assert f.read() == ''


@pytest.mark.parametrize('name, source', client.SELF_CHECKS)
def test_each_self_check_would_get_through_without_the_filter(monkeypatch, name, source):
  monkeypatch.setenv(client.UNSAFE, '1')
  box = client.Sandbox()
  assert b'OPEN' in box.run(source, [''], None, 2.0, 1 << 30, 1 << 16).data, name
  box.close()
  if os.path.exists('/tmp/vibethinker_probe'):
    os.unlink('/tmp/vibethinker_probe')


def memory_holds(pid, needle):
  with open(f'/proc/{pid}/maps', encoding='ascii') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory:
    for line in maps:
      span, mode = line.split()[:2]
      if mode.startswith('rw'):
        start, end = (int(x, 16) for x in span.split('-'))
        memory.seek(start)
        if needle in memory.read(end - start):
          return True
  return False


def test_helper_never_holds_a_program_or_its_output():
  """What it had read, a later program could find in its copy of the memory: another response's right
  solution."""
  marker = 'SOLUTION_' + os.urandom(8).hex()
  source = f'x = "{marker}"\nprint(x)\n' + f'# {marker}\n' * 100
  verdict = code.verify(source, {'cases': [{'input': marker, 'output': marker}]})
  assert verdict.reason == 'accepted'
  pid = code.sandbox()._process.pid
  try:
    assert memory_holds(pid, b'stdin_program')  # the search works
  except PermissionError:
    pytest.skip('only root may read the memory of the helper')
  assert not memory_holds(pid, marker.encode())
