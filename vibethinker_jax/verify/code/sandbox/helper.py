"""The sandbox's own process, `python -I -S helper.py FILTER PARENT PACKAGES`: forks one confined child per run.

It is of the standard library alone, and the packages that it is told to load (JSON: {names, path}), and has a clean
environment; it loads the library once, says which layers are
active, and serves runs on its stdin: a header {mode, cases, limits, body} and the body {source, inputs}, answered by a
header {status, pid, killed, cpu, marks, size, data, noise} and the raw output. It never sees an expected output, so
there is no verdict here that a program could forge; and it moves bodies and outputs between descriptors without
reading them, so that no child can find an earlier program, or its output, in its copy of this memory.
"""

import builtins
import ctypes
import fcntl
import gc
import io
import json
import os
import select
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out
import confine
import inside
import packages

del sys.path[0]

# What programs may import: no file can be opened later. 75 ms, once per helper.
PRELOAD = (
  '_strptime abc argparse array ast base64 binascii bisect calendar cmath codecs collections '
  'collections.abc concurrent.futures contextlib copy csv dataclasses datetime decimal difflib dis '
  'encodings.ascii encodings.idna encodings.latin_1 enum errno fractions functools graphlib hashlib heapq '
  'html inspect itertools keyword linecache locale logging math numbers operator pathlib pickle platform '
  'pprint queue random re reprlib secrets select selectors shlex signal socket statistics string struct '
  'subprocess tempfile textwrap timeit traceback types typing unicodedata uuid warnings weakref zlib'
).split()
LINUX = confine.LINUX
TICK = 0.01  # seconds between looks at a run's threads
MAX_NOISE = 64 << 20  # kept for the corpus runner alone


def preload():
  for name in PRELOAD:
    try:
      __import__(name)
    except ImportError:
      pass  # not in every build of Python; programs get the same ImportError


def memory_file(name):
  if hasattr(os, 'memfd_create'):
    return os.memfd_create(name, os.MFD_CLOEXEC)
  import tempfile  # macOS, only in the unsafe mode

  handle, path = tempfile.mkstemp()
  os.unlink(path)
  return handle


def child(task, body, fds, uid, helper):
  """What becomes the program: the parts of task that only it may read come from the descriptor body."""
  confine.first(helper.libc, uid, helper.pid, helper.ruleset)
  for target, fd in enumerate(fds):
    os.dup2(fd, target)
  os.lseek(body, 0, 0)
  with io.open(body, 'rb') as f:
    task.update(json.loads(f.read()))
  os.closerange(len(fds), 256)
  task['limits']['memory'] += helper.extra
  confine.set_limits(task['limits'], task['cases'], bool(uid), MAX_NOISE if task.get('noise') else 0)
  confine.last(helper.libc, helper.program)
  signal.set_wakeup_fd(-1)
  builtins.exit = builtins.quit = sys.exit  # -S leaves them out
  (inside.function_program if task['function'] else inside.stdin_program)(task, os.write)
  os._exit(0)


def wait(pid, seconds, helper):
  """Waits for the child's own end, never for a pipe's; returns (status, usage, why we killed it or '')."""
  deadline, killed = time.monotonic() + seconds, ''
  poll = select.poll()
  poll.register(helper.wakeup, select.POLLIN)
  poll.register(0, 0)  # reports only the hang-up: the host is gone
  while True:
    done, status, usage = os.wait4(pid, os.WNOHANG)
    if done:
      return status, usage, killed
    left = deadline - time.monotonic()
    events = poll.poll(max(0, min(left, TICK)) * 1000) if left > 0 else []
    gone = any(fd == 0 for fd, _ in events) or os.getppid() != helper.parent
    killed = 'time' if left <= 0 else 'threads' if LINUX and confine.threads(pid) > confine.MAX_THREADS else ''
    if gone or killed:
      os.kill(pid, signal.SIGKILL)
      done, status, usage = os.wait4(pid, 0)
      if gone:
        os._exit(0)
      return status, usage, killed
    if events:
      os.read(helper.wakeup, 4096)


def serve(task, body, uid, helper):
  """One run: fork, wait, and the reply (a JSON header, the child's output, and its noise if task['noise'])."""
  function, limits, null = task['function'], task['limits'], helper.null
  out = memory_file('out')
  noise = memory_file('noise') if function and task.get('noise') else null
  marks_read = -1
  if function:
    fds = (null, noise, null, out)
  else:
    stdin = memory_file('in')
    marks_read, marks_write = os.pipe()  # a pipe: the only file a stdin program sees are its own 0 and 1
    os.set_blocking(marks_write, False)
    os.set_blocking(marks_read, False)
    fds = (stdin, out, null, marks_write)
  pid = os.fork()
  if pid == 0:
    try:
      # Above the numbers that dup2 assigns, else one dup2 could overwrite the source of the next.
      child(task, os_dup_high(body), tuple(os_dup_high(fd) for fd in fds), uid, helper)
    finally:
      os._exit(1)
  status, usage, killed = wait(pid, 2 * limits['cpu'] + 1, helper)
  marks = ''
  if not function:
    os.close(marks_write)
    try:
      marks = os.read(marks_read, 65536).decode('ascii', 'replace')
    except BlockingIOError:
      pass
    os.close(marks_read)
    os.close(stdin)
  size = os.fstat(out).st_size
  keep = min(size, limits['output'] * min(task['cases'], 16) + 1)
  kept_noise = min(os.fstat(noise).st_size, MAX_NOISE) if noise != null else 0
  header = {
    'status': status,
    'pid': pid,
    'killed': killed,
    'cpu': usage.ru_utime + usage.ru_stime,
    'marks': marks,
    'size': size,
    'data': keep,
    'noise': kept_noise,
  }
  return header, out, noise


def receive_body(size, parent):
  """The next size bytes of stdin in a memory file, by splice: they never enter this process's memory."""
  body = memory_file('body')
  while size:
    await_input(parent)
    try:
      moved = os.splice(0, body, size)
    except (AttributeError, OSError):  # macOS, or a kernel that can't
      moved = os.write(body, os.read(0, min(size, 1 << 20)))
    if not moved:
      os._exit(0)
    size -= moved
  return body


def send_file(fd, size, out):
  """Copies size bytes of a memory file to a pipe, by sendfile where it can."""
  at = 0
  while at < size:
    try:
      at += os.sendfile(out, fd, at, size - at)
    except OSError:
      at += os.write(out, os.pread(fd, min(size - at, 1 << 20), at))


def os_dup_high(fd):
  return fcntl.fcntl(fd, fcntl.F_DUPFD, 32)


def await_input(parent):
  poll = select.poll()
  poll.register(0, select.POLLIN)
  while not poll.poll(1000):
    if os.getppid() != parent:  # the pipe may have another holder that lives on
      os._exit(0)


def read_exact(size, parent):
  parts = []
  while size:
    await_input(parent)
    part = os.read(0, min(size, 1 << 20))
    if not part:
      os._exit(0)
    parts.append(part)
    size -= len(part)
  return b''.join(parts)


class Helper:
  """What every run needs: descriptors, the filter, the uids that runs take in turn."""


def start():
  helper = Helper()
  helper.parent, helper.pid = int(sys.argv[2]), os.getpid()
  helper.libc = ctypes.CDLL(None, use_errno=True) if LINUX else None
  helper.program = confine.load_filter(bytes.fromhex(sys.argv[1])) if LINUX else None
  safe = helper.program is not None
  preload()
  wanted, before = json.loads(sys.argv[3]), packages.address_space()
  loaded = packages.load(**wanted)
  if LINUX and confine.threads(os.getpid()) > 1:
    sys.exit(f'sandbox.packages: one of {", ".join(loaded)} starts threads when it is imported, and cannot be forked')
  helper.extra = packages.address_space() - before  # the limit of memory is the program's own
  helper.uids, user = confine.own_uids(each_run=safe) if LINUX else ([], 'no: no sandbox')
  helper.abi, helper.ruleset = confine.landlock(helper.libc) if safe else (0, -1)
  if LINUX:
    helper.libc.prctl(confine.PR_SET_DUMPABLE, 0, 0, 0, 0)
  seen = LINUX and confine.threads(os.getpid()) == 1
  helper.layers = {
    'seccomp': 'yes: default deny' if safe else 'NO',
    'Landlock': f'yes: ABI {helper.abi}'
    if helper.abi
    else 'no: not in this kernel, or withheld'
    if safe
    else 'no: no sandbox',
    'own user': user,
    'thread cap': f'yes: {confine.MAX_THREADS}, watched' + (' and limited by the kernel' if helper.uids else '')
    if seen
    else 'no: /proc hides threads',
    'resource limits': 'yes: CPU, wall, memory, files, output',
  }
  if wanted['names']:
    helper.layers['packages'] = loaded
  helper.null = os.open(os.devnull, os.O_RDWR)
  helper.wakeup, wakeup_write = os.pipe()
  os.set_blocking(helper.wakeup, False)
  os.set_blocking(wakeup_write, False)
  signal.signal(signal.SIGCHLD, lambda *_: None)
  signal.set_wakeup_fd(wakeup_write)
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the host, whose exit closes our stdin
  return helper


def main():
  helper = start()
  reply = os.dup(1)
  os.dup2(helper.null, 1)
  sys.argv[:] = ['solution.py']
  sys.orig_argv[:] = []
  os.chdir('/')
  gc.collect()
  gc.freeze()  # the children never write to these pages
  text = json.dumps(helper.layers).encode()
  inside.write_all(reply, struct.pack('>I', len(text)) + text, os.write)
  runs = 0
  while True:
    (size,) = struct.unpack('>I', read_exact(4, helper.parent))
    task = json.loads(read_exact(size, helper.parent))
    body = receive_body(task['body'], helper.parent)
    uid = helper.uids[runs % len(helper.uids)] if helper.uids else 0
    runs += 1
    header, out, noise = serve(task, body, uid, helper)
    os.close(body)
    text = json.dumps(header).encode()
    inside.write_all(reply, struct.pack('>I', len(text)) + text, os.write)
    send_file(out, header['data'], reply)
    os.close(out)
    if noise != helper.null:
      send_file(noise, header['noise'], reply)
      os.close(noise)


if __name__ == '__main__':
  main()
