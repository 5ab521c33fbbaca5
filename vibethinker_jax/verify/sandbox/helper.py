"""The sandbox's own process, `python -I -S helper.py FILTER PARENT`: forks one confined child per run.

It is a file of the standard library alone, run with a clean environment; it loads the library once, drops
root,
and serves runs on its stdin: a header {function, cases, limits, body} and the body {source, inputs}, answered
  by a
header {status, killed, cpu, marks, size, data} and the raw output. It never sees an expected output, so there
is no verdict here that a program could forge; and it moves bodies and outputs between descriptors without
reading them, so that no child can find an earlier program, or its output, in its copy of this memory.
"""
import atexit
import builtins
import ctypes
import fcntl
import gc
import io
import json
import os
import resource
import select
import signal
import struct
import sys
import threading
import time

# What programs may import: no file can be opened later. 75 ms, once per helper.
PRELOAD = (
  '_strptime abc argparse array ast base64 binascii bisect calendar cmath codecs collections '
  'collections.abc concurrent.futures contextlib copy csv dataclasses datetime decimal difflib dis '
  'encodings.ascii encodings.idna encodings.latin_1 enum errno fractions functools graphlib hashlib heapq '
  'html inspect itertools keyword linecache locale logging math numbers operator pathlib pickle platform '
  'pprint queue random re reprlib secrets select selectors shlex signal socket statistics string struct '
  'subprocess tempfile textwrap timeit traceback types typing unicodedata uuid warnings weakref zlib').split()
TYPING = (
  'Any Callable Deque DefaultDict Dict Generator Iterable Iterator List NamedTuple Optional Sequence Set '
  'Tuple Type TypeVar Union').split()
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 4, 38, 22
LINUX = sys.platform.startswith('linux')
RESULT_FD = 3


def preload():
  for name in PRELOAD:
    try:
      __import__(name)
    except ImportError:
      pass  # not in every build of Python; programs get the same ImportError


def drop_root():
  """Root becomes an unused uid, so that no capability is left. In a container without CAP_SETUID root has
  none."""
  if os.geteuid() != 0:
    return
  # another one per helper: parallel helpers can't signal each other's children
  uid = 61000 + os.getpid() % 4000
  try:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
  except OSError:
    pass


def memory_file(name):
  if hasattr(os, 'memfd_create'):
    return os.memfd_create(name, os.MFD_CLOEXEC)
  import tempfile  # macOS, only in the unsafe mode
  handle, path = tempfile.mkstemp()
  os.unlink(path)
  return handle


def set_limits(limits, cases):
  cpu = max(1, int(-(-limits['cpu'] // 1)))
  files = max(limits['output'] * min(cases, 16), limits['input']) + 1
  wanted = ((resource.RLIMIT_AS, limits['memory']), (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_FSIZE, files), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_STACK, 64 << 20))
  for kind, value in wanted:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
      resource.setrlimit(kind, (value, value))
    except (OSError, ValueError):
      if LINUX:
        raise


def confine(libc, program):
  """The last step before model code: nothing new can be gained, and only the filter's calls are left."""
  failed = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
  if failed or libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0):
    os._exit(120)


def run_case(code, names, data, spares):
  """Runs the compiled program on one stdin text; returns the kind of its end, one letter."""
  if spares:
    os.dup2(spares[0], 0)
    os.dup2(spares[1], 1)
  os.ftruncate(0, 0)
  os.lseek(0, 0, 0)
  for at in range(0, len(data), 1 << 20):
    os.write(0, data[at:at + (1 << 20)])
  os.lseek(0, 0, 0)
  sys.stdin = io.open(0, 'r', encoding='utf-8', closefd=False)
  sys.stdout = io.open(1, 'w', encoding='utf-8', newline='\n', closefd=False)
  builtins.__dict__.update(names)
  kind = guarded(lambda: exec(code, {'__name__': '__main__', '__builtins__': builtins}))
  for thread in threading.enumerate():
    if thread is not threading.main_thread() and not thread.daemon:
      thread.join()
  end = guarded(lambda: (atexit._run_exitfuncs(), sys.stdout.flush()))
  return kind if kind != 'k' else end


def guarded(call):
  """k: ended well; e: raised or a non-zero exit; m: out of memory. The broad except is the point of a
  sandbox."""
  try:
    call()
  except SystemExit as e:
    return 'k' if e.code in (None, 0) else 'e'
  except MemoryError:
    return 'm'
  except BaseException:
    return 'e'
  return 'k'


def stdin_program(task, write):
  code = []
  kind = guarded(lambda: code.append(compile(task['source'], 'solution.py', 'exec', dont_inherit=True)))
  cases, names = task['inputs'], dict(builtins.__dict__)
  spares = (os.dup(0), os.dup(1)) if len(cases) > 1 else ()
  for data in cases:
    kind = run_case(code[0], names, data, spares) if code else kind
    write(RESULT_FD, b'%s %d\n' % (kind.encode(), os.fstat(spares[1] if spares else 1).st_size))
    if kind != 'k':
      return  # the host stops at the first failure


def function_program(task, write):
  encode, decode = json.JSONEncoder().encode, json.loads
  space = {'__name__': 'solution', '__builtins__': builtins}
  space.update((name, getattr(sys.modules['typing'], name)) for name in TYPING)
  sys.stdin, sys.stdout = io.open(0, 'r', closefd=False), io.open(1, 'w', encoding='utf-8', closefd=False)
  kind = guarded(lambda: exec(compile(task['source'], 'solution.py', 'exec', dont_inherit=True), space))

  def call(arguments):
    solution = space.get('Solution')
    name = task['function']
    function = getattr(solution(), name) if isinstance(solution, type) else space[name]
    write_all(RESULT_FD, encode(function(*decode(arguments))).encode() + b'\n', write)

  for arguments in task['inputs']:
    if kind == 'k':
      kind = guarded(lambda: call(arguments))
    if kind != 'k':
      write(RESULT_FD, b'!' + kind.encode() + b'\n')
      return


def write_all(fd, data, write):
  while data:
    data = data[write(fd, data):]


def child(task, body, helper, fds, libc, program):
  os.setsid()
  if libc is not None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
  if os.getppid() != helper:
    os._exit(121)
  for target, fd in enumerate(fds):
    os.dup2(fd, target)
  os.lseek(body, 0, 0)
  with io.open(body, 'rb') as f:
    task.update(json.loads(f.read()))
  if not task['function']:
    task['inputs'] = [data.encode('utf-8', 'surrogatepass') for data in task['inputs']]
  os.closerange(len(fds), 256)
  set_limits(task['limits'], task['cases'])
  if program is not None:
    confine(libc, program)
  signal.set_wakeup_fd(-1)
  builtins.exit = builtins.quit = sys.exit  # -S leaves them out
  (function_program if task['function'] else stdin_program)(task, os.write)
  os._exit(0)


def wait(pid, seconds, wakeup, parent):
  """Waits for the child's own end, never for a pipe's; returns (status, usage, killed by us)."""
  deadline, killed = time.monotonic() + seconds, False
  poll = select.poll()
  poll.register(wakeup, select.POLLIN)
  poll.register(0, 0)  # reports only the hang-up: the host is gone
  while True:
    done, status, usage = os.wait4(pid, os.WNOHANG)
    if done:
      return status, usage, killed
    left = deadline - time.monotonic()
    events = poll.poll(max(0, min(left, 1.0)) * 1000) if left > 0 else []
    gone = any(fd == 0 for fd, _ in events) or os.getppid() != parent
    if gone or left <= 0:
      killed = True
      os.kill(pid, signal.SIGKILL)
      done, status, usage = os.wait4(pid, 0)
      if gone:
        os._exit(0)
      return status, usage, killed
    if events:
      os.read(wakeup, 4096)


def serve(task, body, null, wakeup, parent, libc, program):
  """One run: fork, wait, and the reply (a JSON header and the child's raw output)."""
  function, limits = task['function'], task['limits']
  out = memory_file('out')
  marks_read = -1
  if function:
    fds = (null, null, null, out)
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
      child(task, os_dup_high(body), parent_of_child, tuple(os_dup_high(fd) for fd in fds), libc, program)
    finally:
      os._exit(1)
  status, usage, killed = wait(pid, 2 * limits['cpu'] + 1, wakeup, parent)
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
  header = {'status': status, 'killed': killed, 'cpu': usage.ru_utime + usage.ru_stime, 'marks': marks,
            'size': size, 'data': keep}
  return header, out


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


def main():
  global parent_of_child
  parent, parent_of_child = int(sys.argv[2]), os.getpid()
  libc = program = None
  preload()
  drop_root()
  if LINUX:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    blob = bytes.fromhex(sys.argv[1])
    if blob:
      class SockFprog(ctypes.Structure):
        _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
      buffer = ctypes.create_string_buffer(blob, len(blob))
      program = SockFprog(len(blob) // 8, ctypes.cast(buffer, ctypes.c_void_p))
      program.keep = buffer
  reply = os.dup(1)
  null = os.open(os.devnull, os.O_RDWR)
  os.dup2(null, 1)
  wakeup, wakeup_write = os.pipe()
  os.set_blocking(wakeup, False)
  os.set_blocking(wakeup_write, False)
  signal.signal(signal.SIGCHLD, lambda *_: None)
  signal.set_wakeup_fd(wakeup_write)
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the host, whose exit closes our stdin
  sys.argv[:] = ['solution.py']
  sys.orig_argv[:] = []
  os.chdir('/')
  gc.collect()
  gc.freeze()  # the children never write to these pages
  while True:
    size, = struct.unpack('>I', read_exact(4, parent))
    task = json.loads(read_exact(size, parent))
    body = receive_body(task['body'], parent)
    header, out = serve(task, body, null, wakeup, parent, libc, program)
    os.close(body)
    text = json.dumps(header).encode()
    write_all(reply, struct.pack('>I', len(text)) + text, os.write)
    send_file(out, header['data'], reply)
    os.close(out)


if __name__ == '__main__':
  main()
