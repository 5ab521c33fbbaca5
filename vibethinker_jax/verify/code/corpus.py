"""Runs a folder of hostile programs and honest controls in the sandbox and looks at the machine afterwards.

Each file names in its header the problem it is handed in for (`mode`) and the verdicts that pass (`expect`). A run
fails if the verdict is another one, if it prints a line that begins with PWNED, SURFACE, WROTE or TOUCHED, or if it
outlives its wall limit by more than a second. What a program could have left behind is looked for from outside.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import contextlib
import errno
import glob
import os
import pathlib
import queue
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import types
from typing import NamedTuple

from vibethinker_jax.verify.code import programs as code
from vibethinker_jax.verify.code.outcome import Limits
from vibethinker_jax.verify.code.sandbox import client

PLACES = ('/tmp', '/var/tmp', '/dev/shm', os.path.expanduser('~'))
LISTENER = ('127.0.0.1', 18765)
TITLE = b'vt_canary_sentinel'
ALARM = re.compile(rb'^(?:PWNED|SURFACE|WROTE|TOUCHED):.*$', re.MULTILINE)
# with a private file system a program may say WROTE or TOUCHED; this sandbox has none, so the path is the host's


class Attack(NamedTuple):
  """One file of the corpus. expect: verdicts (code reasons) that pass."""

  name: str
  mode: str
  expect: tuple
  source: str


def read(folder: pathlib.Path) -> list[Attack]:
  """The attacks and controls under a folder, in order. Raises ValueError for one without a usable header."""
  found = []
  for path in sorted(folder.glob('programs/*.py')) + sorted(folder.glob('controls/*.py')):
    source = path.read_bytes().decode('utf-8', 'surrogateescape')
    header = dict(re.findall(r'^# (\w+): (.*)$', '\n'.join(source.split('\n')[:6]), re.MULTILINE))
    if header.get('mode') not in ('stdin', 'function', 'oracle') or 'expect' not in header:
      raise ValueError(f'{path}: the first lines must say "# mode: stdin, function or oracle" and "# expect: ..."')
    found.append(Attack(path.name, header['mode'], tuple(header['expect'].strip().split(',')), source))
  if not found:
    raise ValueError(f'{folder} has no programs/*.py and no controls/*.py')
  return found


def problem(mode: str) -> dict:
  """The tests of a mode; the oracle's expected output is new each time."""
  if mode == 'stdin':
    return {'cases': [{'input': '2 3\n', 'output': '5\n'}]}
  if mode == 'function':
    return {'function': 'add', 'cases': [{'args': [2, 3], 'expected': 5}]}
  return {'cases': [{'input': 'go\n', 'output': f'VT_EXPECTED_{secrets.token_hex(16)}\n'}]}


def run(attack: Attack, box: client.Sandbox, sessions: list) -> list[str]:
  """Runs one file; returns what is wrong, nothing if all is well. The pids of its runs go to sessions."""
  limits, runs, seconds = Limits(), [], []

  def watched(*args, **more):
    start = time.monotonic()
    runs.append(box.run(*args, **more, noise=True))
    seconds.append(time.monotonic() - start)
    sessions.append(runs[-1].pid)
    return runs[-1]

  verdict = code.verify(attack.source, problem(attack.mode), limits, types.SimpleNamespace(run=watched))
  wrong = [] if verdict.reason in attack.expect else [f'{verdict.reason}, expected {",".join(attack.expect)}']
  for line in ALARM.findall(b'\n'.join(part for r in runs for part in (r.data, r.noise))):
    wrong.append(repr(line[:200].decode('utf-8', 'replace')))
  if max(seconds, default=0) > 2 * limits.cpu_seconds + 2:
    wrong.append(f'took {max(seconds):.1f} s')
  return wrong


def alone(seconds: float = 900.0) -> socket.socket:
  """The TCP listener; waits for its port, since two runs on one machine would find each other's canaries.

  Raises OSError when the port is still taken after that time.
  """
  listener, deadline = socket.socket(), time.monotonic() + seconds
  listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  while True:
    try:
      listener.bind(LISTENER)
      listener.listen()
      listener.setblocking(False)
      return listener
    except OSError as e:
      if e.errno != errno.EADDRINUSE or time.monotonic() > deadline:
        listener.close()
        raise
      time.sleep(0.2)


@contextlib.contextmanager
def machine():
  """Prepares what attacks look for; yields a function that says what has changed since, [] if nothing has."""
  home_canary, folder = pathlib.Path(os.path.expanduser('~/.vt_canary')), pathlib.Path('/tmp/vt_canary_dir')
  outside = pathlib.Path(tempfile.mkdtemp(prefix='canary_'))
  listener, abstract = alone(), socket.socket(socket.AF_UNIX)
  before = {place: set(glob.glob(f'{place}/vt_*') + glob.glob(f'{place}/.vt_*')) for place in PLACES}
  folder.mkdir(exist_ok=True)
  (outside / 'vt_canary_ckpt').write_text('checkpoint')
  with contextlib.suppress(OSError):  # nobody may have no home
    home_canary.write_text('home')
  os.environ['VT_CANARY_SECRET'] = secrets.token_hex(8)
  sleeper = f'import ctypes, sys\nctypes.CDLL(None).prctl(15, b"{TITLE.decode()[:15]}", 0, 0, 0)\nsys.stdin.read()'
  sentinel = subprocess.Popen([sys.executable, '-c', sleeper, TITLE.decode()], stdin=subprocess.PIPE)
  try:
    abstract.bind('\0vt_canary')
    abstract.listen()
    abstract.setblocking(False)
    watched = ['/etc', '/root', '/home', '/usr', '/var/tmp', '/dev/shm', sys.prefix, *PLACES, str(folder), str(outside)]
    owners = {path: _owner(path) for path in watched}
    disk = {place: shutil.disk_usage(place).free for place in PLACES if os.path.isdir(place)}
    memory = _shared_memory()

    def changes(sessions: list) -> list[str]:
      wrong = [f'sentinel ended: {sentinel.returncode}'] if sentinel.poll() is not None else []
      for name, door in (('TCP', listener), ('abstract', abstract)):
        with contextlib.suppress(BlockingIOError):
          door.accept()[0].close()
          wrong.append(f'a connection reached the {name} listener')
      mine = {str(folder), str(home_canary)}
      for place in PLACES:
        left = set(glob.glob(f'{place}/vt_*') + glob.glob(f'{place}/.vt_*')) - before[place] - mine
        wrong += [f'left behind: {path}' for path in sorted(left)]
      wrong += [f'{path}: owner or mode changed' for path in watched if _owner(path) != owners[path]]
      wrong += [
        f'{place}: {(free - shutil.disk_usage(place).free) >> 20} MB less disk'
        for place, free in disk.items()
        if free - shutil.disk_usage(place).free > 512 << 20
      ]  # others write too
      if _shared_memory() - memory > 512 << 20:
        wrong.append(f'{(_shared_memory() - memory) >> 20} MB more shared memory')
      return wrong + _processes(set(sessions))

    yield changes
  finally:
    sentinel.kill()
    sentinel.wait()
    sentinel.stdin.close()
    abstract.close()
    os.environ.pop('VT_CANARY_SECRET')
    home_canary.unlink(missing_ok=True)
    shutil.rmtree(outside)
    shutil.rmtree(folder, ignore_errors=True)
    listener.close()  # last: then the next may begin


def _owner(path: str):
  try:
    stat = os.stat(path)
  except OSError:
    return None
  return stat.st_mode, stat.st_uid, stat.st_gid


def _shared_memory() -> int:
  """Bytes of memory files, tmpfs and System V segments: what outlives a process. All else went with the processes."""
  with open('/proc/meminfo', encoding='ascii') as f:
    return int(re.search(r'Shmem:\s+(\d+)', f.read()).group(1)) << 10


def _processes(sessions: set) -> list[str]:
  """Orphans, zombies of ours, and whatever lives in a session that a run made (each run is its own)."""
  wrong = []
  for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
      with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
        name, rest = f.read().split('(', 1)[1].rsplit(')', 1)
    except OSError:
      continue
    state, parent, _, session = rest.split()[:4]
    if name == 'vt_orphan' or int(session) in sessions:
      wrong.append(f'process {pid} ({name}) is alive')
    elif state == 'Z' and int(parent) == os.getpid():
      wrong.append(f'zombie {pid} ({name})')
  return wrong


def main(folder: str, parallel: int = 1, repeat: int = 1) -> int:
  """Runs a corpus `repeat` times in a row with `parallel` sandboxes, prints a line per failure and the totals.

  Returns:
    The exit status: 1 if anything failed.
  """
  attacks = read(pathlib.Path(folder))
  failures, sessions, start = 0, [], time.monotonic()
  descriptors = len(os.listdir('/proc/self/fd'))
  with machine() as changes:
    boxes, free = [client.Sandbox() for _ in range(parallel)], queue.SimpleQueue()
    layers = boxes[0].start()
    for box in boxes:
      free.put(box)

    def one(attack):
      box = free.get()
      try:
        return attack, run(attack, box, sessions)
      finally:
        free.put(box)

    with ThreadPoolExecutor(parallel) as pool:
      for attack, wrong in pool.map(one, attacks * repeat):
        failures += bool(wrong)
        if wrong:
          print(f'FAILED {attack.name}: {"; ".join(wrong)}', flush=True)
    for box in boxes:
      box.close()
    left = changes(sessions)
  if len(os.listdir('/proc/self/fd')) > descriptors:
    left.append(f'{len(os.listdir("/proc/self/fd")) - descriptors} descriptors are still open')
  for line in left:
    print(f'FAILED afterwards: {line}', flush=True)
  total = len(attacks) * repeat
  print(
    f'{total - failures} of {total} runs as expected ({len(attacks)} files, {repeat} in a row, {parallel} in '
    f'parallel, uid {os.getuid()}), {len(left)} traces left, {time.monotonic() - start:.1f} s\n'
    f'layers:\n{client.table(layers)}'
  )
  return 1 if failures or left else 0
