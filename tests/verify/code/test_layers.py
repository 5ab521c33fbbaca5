"""The layers below and above the seccomp filter: user, Landlock, threads; and the filter itself, interpreted."""

import os
import shutil
import struct
import subprocess
import sys
import time

import pytest

from vibethinker_jax.verify.code.sandbox import client, confine, seccomp

ROOT = hasattr(os, 'geteuid') and os.geteuid() == 0
LIMITS = (2.0, 1 << 30, 1 << 16)


@pytest.fixture(scope='module')
def box():
  box = client.Sandbox()
  box.start()
  yield box
  box.close()


def out(box, source, **more):
  return box.run(source, [''], None, *LIMITS, **more).data.decode()


def evaluate(program, number, arguments=(), arch=0xC000003E):
  """What a filter returns for a system call."""
  data = struct.pack(
    '<iIQ6Q', number if number < 1 << 31 else number - (1 << 32), arch, 0, *arguments, *[0] * (6 - len(arguments))
  )
  code, at, a = list(struct.iter_unpack('<HBBI', program)), 0, 0
  while True:
    op, yes, no, k = code[at]
    at += 1
    if op == 0x20:
      a = struct.unpack_from('<I', data, k)[0]
    elif op == 0x06:
      return k
    else:
      at += yes if {0x15: a == k, 0x35: a >= k, 0x45: bool(a & k)}[op] else no


ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


@pytest.mark.parametrize('machine', ['x86_64', 'aarch64'])
def test_filter_of_each_machine(machine):
  program, arch, column = seccomp.program(machine), seccomp.AUDIT_ARCH[machine], {'x86_64': 0, 'aarch64': 1}[machine]
  judge = lambda number, *arguments: evaluate(program, number, arguments, arch)
  for table, action in ((seccomp.ALLOW, ALLOW), (seccomp.KILL, KILL)):
    for name, numbers in table.items():
      if numbers[column] >= 0:
        assert judge(numbers[column]) == action, name
  call = lambda name: seccomp._CHECKED[name][column]
  assert judge(call('clone'), seccomp.CLONE_THREAD | 0x100) == ALLOW and judge(call('clone'), 17) == KILL
  assert judge(call('clone3'), 0) == ENOSYS
  for name in ('mmap', 'mprotect'):
    assert judge(call(name), 0, 4096, 3) == ALLOW and judge(call(name), 0, 4096, 7) == EPERM
  assert judge(call('prlimit64'), 0) == ALLOW and judge(call('prlimit64'), 1) == EPERM
  assert judge(call('newfstatat'), 1, 0, 0, 0x1000) == ALLOW and judge(call('newfstatat'), 1, 0, 0, 0) == EPERM
  assert judge(call('fcntl'), 1, 3) == ALLOW and judge(call('fcntl'), 1, 8) == EPERM  # F_SETOWN
  openat, kill, chmod, memfd = {'x86_64': (257, 62, 90, 319), 'aarch64': (56, 129, 53, 279)}[machine]
  assert {judge(number) for number in (openat, kill, chmod, memfd, 9999)} == {EPERM}
  assert evaluate(program, 172, arch=0x40000003) == KILL  # the 32-bit table
  assert judge(0x40000000 | 39) == KILL  # x32


def test_table_names_every_layer(box):
  assert set(box.layers) == {'seccomp', 'Landlock', 'own user', 'thread cap', 'resource limits', 'self-checks'}
  assert all(state.split(':')[0] in ('yes', 'no', 'partly') for state in box.layers.values())
  assert box.layers['seccomp'].startswith('yes') and box.layers['self-checks'].startswith('yes')
  text = client.table(box.layers)
  assert text.count('\n') == 5 and '  own user         ' in text


@pytest.mark.skipif(not ROOT, reason='only root can change its user')
def test_each_run_of_root_has_a_user_of_its_own(box):
  uids = [int(out(box, 'import os\nprint(os.getuid())')) for _ in range(4)]
  assert len(set(uids)) == 4 and all(uid in confine.UIDS for uid in uids)
  assert 'yes: one of' in box.layers['own user']


def test_free_uids_have_no_account_and_no_process(monkeypatch):
  uids = confine.free_uids()
  assert len(uids) == confine.UIDS_EACH and not any(map(confine.has_account, uids))
  assert confine.has_account(0)
  monkeypatch.setattr(confine, 'has_account', lambda uid: uid in uids)
  assert not set(confine.free_uids()) & set(uids)
  monkeypatch.setattr(confine, 'has_account', lambda uid: True)
  assert confine.free_uids() == []


@pytest.mark.skipif(not ROOT or not shutil.which('setpriv'), reason='only root can drop capabilities')
@pytest.mark.parametrize(
  'withheld, user',
  [
    ('-setuid,-setgid', 'no: root that may not'),
    ('-kill', 'partly: helper and runs'),
    ('-all', 'no: root that may not'),
  ],
)
def test_root_of_a_container_that_withholds_capabilities(withheld, user):
  """The filter does not need them; what is missing stands in the table."""
  done = check('--check', prefix=['setpriv', f'--bounding-set={withheld}'])
  assert done.returncode == 0 and f'own user         {user}' in done.stdout, done.stdout + done.stderr
  assert 'self-checks      yes' in done.stdout and done.stderr == ''


THREADS = """import _thread, time
_thread.stack_size(1 << 16)
n = 0
try:
  for n in range(1, 5000):
    _thread.start_new_thread(time.sleep, (20,))
    if n % 20 == 0:
      time.sleep(0.02)
except RuntimeError:
  pass
print(n)
"""


def test_threads_are_capped(box):
  run = box.run(THREADS, [''], None, *LIMITS)
  assert run.killed == 'threads' or 40 < int(run.data) <= 64
  assert out(box, THREADS.replace('5000', '30')) == '29\n'


def test_threads_are_capped_where_the_user_is_shared(box, monkeypatch):
  """Without a user of its own the kernel's limit cannot serve: the helper counts."""
  source = (
    'import os, sys\nos.geteuid = lambda: 1\nsys.argv[0] = {0!r}\nexec(compile(open({0!r}).read(), {0!r}, "exec"))'
  )
  helper = os.path.join(os.path.dirname(client.HELPER), 'helper.py')
  monkeypatch.setattr(client, 'HELPER', '-c')
  popen = subprocess.Popen

  def start(command, **kwargs):
    at = command.index('-c')
    script = source.format(helper).replace('exec(', f'__file__ = {helper!r}\nexec(', 1)
    return popen(command[:at] + ['-c', script] + command[at + 1 :], **kwargs)

  monkeypatch.setattr(subprocess, 'Popen', start)
  shared = client.Sandbox()
  assert shared.start()['own user'].startswith('no')
  start = time.monotonic()
  assert shared.run(THREADS, [''], None, *LIMITS).killed == 'threads'
  assert time.monotonic() - start < 2
  shared.close()


def test_landlock_alone_stops_opens():
  """Without the filter: a process that restricted itself cannot open a path or signal its parent."""
  source = (
    'import ctypes, os, sys\nsys.path.insert(0, sys.argv[1])\nimport confine\n'
    'libc = ctypes.CDLL(None, use_errno=True)\nabi, ruleset = confine.landlock(libc)\n'
    'if not abi: print("none"); sys.exit()\nopen("/etc/passwd").close()\nparent = os.getpid()\n'
    'pid = os.fork()\nif pid: sys.exit(os.waitpid(pid, 0)[1])\n'
    'confine.first(libc, 0, parent, ruleset)\n'
    'for attempt in (lambda: open("/etc/passwd"), lambda: open("/tmp/x_landlock", "w"),\n'
    '                lambda: os.listdir("/"),\n'
    '                lambda: os.kill(parent, 0) if abi >= 6 else open("/")):\n'
    '  try:\n    attempt()\n    print("OPEN")\n  except PermissionError:\n    print("denied")\n'
  )
  folder = os.path.dirname(os.path.abspath(confine.__file__))
  done = subprocess.run([sys.executable, '-I', '-S', '-c', source, folder], capture_output=True, text=True, timeout=30)
  if done.stdout == 'none\n':
    pytest.skip('this kernel has no Landlock')
  assert done.stdout.split() == ['denied'] * 4, done.stdout + done.stderr


def test_noise_is_kept_only_where_asked(box):
  source = 'import sys\ndef f():\n  print("noise")\n  print("more", file=sys.stderr)\n  return 1'
  assert box.run(source, ['[]'], 'f', *LIMITS).noise == b''
  run = box.run(source, ['[]'], 'f', *LIMITS, noise=True)
  assert (run.data, run.noise) == (b'1\n', b'noise\n')
  flood = 'import os\ndef f():\n  for _ in range(32): os.write(1, b"x" * (1 << 20)); os.write(2, b"x")\n  return 1'
  for noise in (False, True):
    assert box.run(flood, ['[]'], 'f', *LIMITS, noise=noise).data == b'1\n'


def check(*arguments, prefix=(), **env):
  clean = {k: v for k, v in os.environ.items() if k != client.UNSAFE}
  path = os.pathsep.join([os.getcwd(), *filter(None, sys.path)])
  return subprocess.run(
    [*prefix, sys.executable, '-m', 'vibethinker_jax.verify.code.sandbox', *arguments],
    capture_output=True,
    text=True,
    timeout=60,
    env=clean | {'PYTHONPATH': path} | env,
  )


def test_check_command():
  done = check('--check')
  assert done.returncode == 0 and 'seccomp          yes: default deny' in done.stdout, done.stdout + done.stderr
  done = check('--check', **{client.UNSAFE: '1'})
  assert done.returncode == 1 and 'NO SANDBOX' in done.stdout and 'WITHOUT a sandbox' in done.stderr
  assert not ROOT or 'own user         partly' in done.stdout  # not as root even so
  assert check().returncode == 2 and '--corpus' in check('--help').stdout


def test_refusal_shows_the_probes(monkeypatch):
  monkeypatch.setattr(client, '_kernel_has_filters', lambda: False)
  with pytest.raises(client.SandboxUnavailable) as refused:
    client.Sandbox()
  text = str(refused.value)
  assert 'seccomp filters  NO: the kernel has none' in text and 'machine          yes' in text and client.UNSAFE in text
