"""The host's side of the sandbox: starts the helper, checks that it holds, sends runs to it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
from typing import NamedTuple

from vibethinker_jax.verify import frames
from vibethinker_jax.verify.code.sandbox import packages as packages_lib, seccomp

UNSAFE = 'VIBETHINKER_UNSAFE_SANDBOX'
HELPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'helper.py')
# Each must be stopped before it prints; the last one is honest and must print.
SELF_CHECKS = (
  ('write a file', 'open("/tmp/vibethinker_probe", "w")\nprint("OPEN")'),
  ('read a file', 'open("/etc/passwd")\nprint("OPEN")'),
  ('fork', 'import os\nos.fork()\nprint("OPEN")'),
  ('socket', 'import socket\nsocket.socket()\nprint("OPEN")'),
  ('signal the parent', 'import os\nos.kill(os.getppid(), 0)\nprint("OPEN")'),
  ('exec', 'import os\nos.execv("/bin/echo", ["echo", "OPEN"])'),
)


class SandboxUnavailable(RuntimeError):
  """This machine cannot run untrusted programs safely; the text says why and what to do."""


class Run(NamedTuple):
  """What one run left behind.

  signal: that ended it, or 0. killed: '', or 'time' or 'threads', for which the helper killed it. data: stdout (stdin
  mode) or JSON lines (function mode), cut; size: what it was before. noise: stdout in function mode, where asked for;
  never parsed.
  """

  exit_code: int
  signal: int
  killed: str
  cpu: float
  marks: list[tuple[str, int]]
  data: bytes
  size: int
  pid: int = 0
  noise: bytes = b''


def _parse_marks(text: str) -> list[tuple[str, int]]:
  """'k 12\\n...' -> [('k', 12)]: how each case ended, and where its output did. The program may have forged
  them."""
  marks = []
  for line in text.split('\n')[:-1]:
    kind, _, offset = line.partition(' ')
    if kind not in ('k', 'e', 'm') or not (offset.isascii() and offset.isdigit() and len(offset) < 12):
      return marks
    marks.append((kind, int(offset)))
  return marks


class Sandbox:
  """One helper process and its runs, one at a time; restarted when it died. Use from several threads is
  serialised.

  Args:
    packages: names of packages that programs may import; None: see packages.chosen. Programs that name one of them run
      in a second helper, started at the first, which has them loaded: their memory would cost every other program 1 ms.
    load: what this helper itself loads.
  Raises:
    SandboxUnavailable, or ValueError for a package that is not installed.
  """

  def __init__(self, packages: tuple | None = None, load: tuple = ()):
    self._lock = threading.Lock()
    self._process = None
    self._filter = filter_bytes()
    self._load = load
    self._names = packages_lib.installed(packages_lib.chosen() if packages is None else packages)
    self._loaded = Sandbox((), self._names) if self._names else None
    self.layers = {}  # name -> 'yes: ...' or 'no: why', once started

  def run(
    self,
    source: str,
    inputs: list[str],
    function: str | None,
    cpu: float,
    memory: int,
    output: int,
    case: float = 3600.0,
    **more,
  ) -> Run:
    """Runs a program on its inputs.

    Args:
      source: the program. Never parsed, compiled or run in this process.
      inputs: stdin texts, or with function the JSON text of each call's argument list.
      function: name of the function or Solution method to call; None for stdin programs.
      cpu, memory, output: limits in seconds of the whole run, bytes, bytes of one case.
      case: CPU seconds of one input.
      more: noise=True keeps the noise; typed, go_on, setup, types: see inside.function_program; rule: 'livecodebench'
        for what its runner gives a program.
    Returns:
      A Run.
    Raises:
      SandboxUnavailable: no safe sandbox here. OSError, EOFError: the helper died (an infrastructure fault).
    """
    if self._loaded and any(name in source or name in more.get('setup', '') for name in self._names):
      return self._loaded.run(source, inputs, function, cpu, memory, output, case, **more)
    longest = 0 if function else max((len(i.encode('utf-8', 'surrogatepass')) for i in inputs), default=0)
    body = {'source': source, 'inputs': inputs}
    if 'setup' in more:
      body['setup'] = more.pop('setup')
    limits = {'cpu': cpu, 'memory': memory, 'output': output, 'input': longest, 'case': case}
    task = {'function': function, 'cases': len(inputs), 'limits': limits} | more
    with self._lock:
      if self._process is None or self._process.poll() is not None:
        self._start()
      try:
        return self._exchange(task, json.dumps(body).encode('ascii'))
      except (OSError, EOFError, ValueError):
        self._stop()
        raise

  def _exchange(self, task: dict, body: bytes) -> Run:
    frames.write_all(self._process.stdin.fileno(), frames.pack(task | {'body': len(body)}) + body)
    fd = self._process.stdout.fileno()
    reply = frames.read(fd)
    data, noise = frames.read_exact(fd, reply['data']), frames.read_exact(fd, reply['noise'])
    status = reply['status']
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return Run(
      os.WEXITSTATUS(status) if not ended else -1,
      ended,
      reply['killed'],
      reply['cpu'],
      _parse_marks(reply['marks']),
      data,
      reply['size'],
      reply['pid'],
      noise,
    )

  def _start(self):
    wanted = {
      'names': self._load,
      'path': [os.path.abspath(folder or '.') for folder in sys.path] if self._load else [],
    }
    self._process = subprocess.Popen(
      [sys.executable, '-I', '-S', '-X', 'utf8', HELPER, self._filter.hex(), str(os.getpid()), json.dumps(wanted)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=None,
      cwd='/',
      start_new_session=True,
      env={'PATH': '/usr/bin:/bin', 'LANG': 'C.UTF-8'},
      bufsize=0,
    )
    try:
      self.layers = frames.read(self._process.stdout.fileno())
      if self._load:
        self.layers['packages'] = _packages_line(self.layers['packages'])
      self._self_check()
    except (OSError, EOFError, ValueError) as e:
      self._stop()
      raise SandboxUnavailable(f'the sandbox helper {HELPER} does not start: {e!r}') from e
    except SandboxUnavailable:
      self._stop()
      raise

  def _self_check(self):
    def out(source):
      limits = {'cpu': 2.0, 'memory': 1 << 30, 'output': 1 << 16, 'input': 0, 'case': 2.0}
      return self._exchange(
        {'function': None, 'cases': 1, 'limits': limits}, json.dumps({'source': source, 'inputs': ['']}).encode('ascii')
      ).data

    if out('print(6 * 7)') != b'42\n':
      raise SandboxUnavailable(f'the sandbox does not run an honest program.\n{table(self.layers)}\n{remedy()}')
    through = [name for name, source in SELF_CHECKS if b'OPEN' in out(source)] if self._filter else []
    if through:
      raise SandboxUnavailable(
        f'hostile self-checks got through: {", ".join(through)}.\n{table(self.layers)}\n' + remedy()
      )
    if os.environ.get('VIBETHINKER_VERIFY_WORKER') == '0':  # one line for all workers of a pool
      shown = {'packages': self.layers['packages']} if self._load else self.layers
      print('sandbox: ' + '; '.join(f'{name} {state}' for name, state in shown.items()), file=sys.stderr, flush=True)
    self.layers['self-checks'] = f'yes: {len(SELF_CHECKS)} attacks stopped' if self._filter else 'NO'

  def start(self) -> dict[str, str]:
    """Starts the helper if it does not run, and returns the table of layers. Raises SandboxUnavailable."""
    with self._lock:
      if self._process is None or self._process.poll() is not None:
        self._start()
    loaded = self._loaded.start()['packages'] if self._loaded else 'no: none is installed or asked for'
    return self.layers | ({} if self._load else {'packages': loaded})

  def _stop(self):
    if self._process is not None:
      self._process.stdin.close()  # its end; the signal is for one that hangs
      with contextlib.suppress(PermissionError):  # root without CAP_KILL, and the helper is no longer root
        self._process.kill()
      self._process.wait()
      self._process.stdout.close()
      self._process = None

  def close(self):
    if self._loaded:
      self._loaded.close()
    with self._lock:
      self._stop()


def _packages_line(loaded: dict[str, str]) -> str:
  """Of {name: version or error}. Raises SandboxUnavailable where one that was asked for by name cannot be loaded."""
  broken = [f'{name}: {state}' for name, state in loaded.items() if state.startswith('failed')]
  if any(name.split(':')[0] not in packages_lib.DEFAULT for name in broken):
    raise SandboxUnavailable(f'sandbox.packages cannot be loaded: {"; ".join(broken)}')
  good = [f'{name} {state}'.strip() for name, state in loaded.items() if not state.startswith('failed')]
  return f'{"yes" if good else "no"}: {", ".join(good + broken)}'


def table(layers: dict[str, str]) -> str:
  """One line a layer: its name and whether it is active."""
  width = max(map(len, layers), default=0)
  return '\n'.join(f'  {name:<{width}}  {state}' for name, state in layers.items())


def remedy() -> str:
  return (
    'Programs written by a model are hostile until shown otherwise, so code rewards need Linux on x86_64 or '
    'aarch64 with seccomp filters (any recent kernel, also inside Docker, GKE or Colab; nothing to install). '
    'Train the maths stages only, use a Linux machine, or, only if you trust every program, set '
    f'{UNSAFE}=1: then programs run as you, with resource limits alone.'
  )


_warned = False


def filter_bytes() -> bytes:
  """The BPF filter of this machine; b'' with the explicit opt-in to run without one.

  Raises SandboxUnavailable with a table of what was probed.
  """
  global _warned
  if os.environ.get(UNSAFE) == '1':
    if not _warned:
      _warned = True
      print(
        f'WARNING: {UNSAFE}=1: model-written programs run WITHOUT a sandbox, as this user, with resource '
        'limits only. They can read and delete your files and use the network.',
        file=sys.stderr,
        flush=True,
      )
    return b''
  probed = probes()
  if any(state.startswith('NO') for state in probed.values()):
    raise SandboxUnavailable(f'no safe sandbox on this machine:\n{table(probed)}\n{remedy()}')
  return seccomp.program(platform.machine())


def probes() -> dict[str, str]:
  """What a sandbox needs of the machine: name -> 'yes' or 'NO: why'."""
  machine = platform.machine()
  return {
    'Linux': 'yes' if sys.platform.startswith('linux') else f'NO: this is {sys.platform}',
    'machine': f'yes: {machine}'
    if machine in seccomp.AUDIT_ARCH
    else f'NO: {machine}; there are filters for {" and ".join(seccomp.AUDIT_ARCH)}',
    'seccomp filters': 'yes' if _kernel_has_filters() else 'NO: the kernel has none (CONFIG_SECCOMP_FILTER)',
    'memory files': 'yes' if hasattr(os, 'memfd_create') else 'NO: this Python has no os.memfd_create',
  }


def _kernel_has_filters() -> bool:
  """True unless the kernel says that it has none; a kernel that hides the file is judged by the
  self-checks."""
  try:
    with open('/proc/sys/kernel/seccomp/actions_avail', encoding='ascii') as f:
      return 'errno' in f.read()
  except OSError:
    return True
