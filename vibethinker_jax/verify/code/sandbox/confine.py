"""What holds a program: limits, a user of its own, Landlock, the seccomp filter.

Standard library alone: the sandbox's helper loads it without site-packages. Each layer says at the helper's start
whether it is active; only the filter is required, the others are there for the day it has a hole.
"""

import ctypes
import os
import pwd
import resource
import signal
import sys
import time

LINUX = sys.platform.startswith('linux')
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 4, 38, 22
MAX_THREADS = 64  # of one program; a pod's default is 1024 processes and threads, the trainer's included
UIDS, UIDS_EACH = range(61000, 65000), 8  # between the users' and systemd's dynamic ones; of one helper
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446  # the same numbers on x86_64 and aarch64
CANNOT_CONFINE, NOT_MY_PARENT = 120, 121  # exit codes of a child


def landlock(libc):
  """(ABI version or 0, descriptor of a ruleset that allows nothing or -1): no path, no TCP, no signal or abstract
  socket to anything outside the program itself."""
  abi = libc.syscall(LANDLOCK_CREATE, None, 0, 1) if libc is not None else 0
  if abi < 1:
    return 0, -1
  files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
  rights = (ctypes.c_uint64 * 3)(files, 3, 3)
  ruleset = libc.syscall(LANDLOCK_CREATE, rights, 8 if abi < 4 else 16 if abi < 6 else 24, 0)
  return (abi, ruleset) if ruleset >= 0 else (0, -1)


def become(uid):
  os.setresgid(uid, uid, uid)
  os.setresuid(uid, uid, uid)


def can_become(uid):
  """Whether a child of root may take the uid and be killed under it: a container may withhold either."""
  told, tell = os.pipe()
  pid = os.fork()
  if pid == 0:
    try:
      become(uid)
      os.write(tell, b'1')
      time.sleep(0.5)
    finally:
      os._exit(0)
  os.close(tell)
  try:
    if os.read(told, 1):
      os.kill(pid, signal.SIGKILL)
  except PermissionError:
    pass  # it ends by itself
  os.close(told)
  return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def free_uids():
  """Uids for this helper's runs that no account has and no process runs under."""
  used = set()
  for name in filter(str.isdigit, os.listdir('/proc') if os.path.isdir('/proc') else []):
    try:
      used.add(os.stat(f'/proc/{name}').st_uid)
    except OSError:
      pass
  start = os.getpid() * UIDS_EACH
  for block in range(start, start + len(UIDS), UIDS_EACH):
    uids = [UIDS[(block + i) % len(UIDS)] for i in range(UIDS_EACH)]
    if not used.intersection(uids) and not any(map(has_account, uids)):
      return uids
  return []


def has_account(uid):
  try:
    return bool(pwd.getpwuid(uid))
  except KeyError:
    return False


def own_uids(each_run):
  """(uids of the runs in turn, words for the table). Without root there is one user, and nothing to drop."""
  if os.geteuid() != 0:
    return [], 'no: not root, programs run as this user'
  try:
    os.setgroups([])
    uids = free_uids() if each_run else []
    if uids and can_become(uids[0]):
      return uids, f'yes: one of {uids[0]}-{uids[-1]} each run'
    become(UIDS[os.getpid() % len(UIDS)])  # at least the helper and its runs are no longer root
    return [], f'partly: helper and runs share {os.getuid()}'
  except OSError as e:
    return [], f'no: root that may not change its user ({e.strerror})'


def threads(pid):
  """How many threads a process has, 0 if it cannot be seen. One stat, 2 us."""
  try:
    return os.stat(f'/proc/{pid}/task').st_nlink - 2
  except OSError:
    return 0


def set_limits(limits, cases, own_user, more=0):
  cpu = max(1, int(-(-limits['cpu'] // 1)))
  files = max(limits['output'] * min(cases, 16), limits['input'], more) + 1
  wanted = [
    (resource.RLIMIT_AS, limits['memory']),
    (resource.RLIMIT_CPU, cpu + 1),
    (resource.RLIMIT_FSIZE, files),
    (resource.RLIMIT_NOFILE, 64),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_STACK, 64 << 20),
  ]
  if own_user:  # it counts a user's threads: with a shared user it would count the trainer's
    wanted.append((resource.RLIMIT_NPROC, MAX_THREADS))
  for kind, value in wanted:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    # of CPU time the soft limit comes first: SIGXCPU says why, SIGKILL is also the out-of-memory killer's
    soft = min(value, cpu) if kind == resource.RLIMIT_CPU else value
    try:
      resource.setrlimit(kind, (soft, value))
    except (OSError, ValueError):
      if LINUX:
        raise


def first(libc, uid, helper, ruleset):
  """Right after the fork: no root, no gain, no path; the kernel ends this process with the helper."""
  os.setsid()
  if uid:
    become(uid)
  if libc is not None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after the change of user, which clears it
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    failed = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if failed or ruleset >= 0 and libc.syscall(LANDLOCK_RESTRICT, ruleset, 0):
      os._exit(CANNOT_CONFINE)
  if os.getppid() != helper:
    os._exit(NOT_MY_PARENT)


def last(libc, program):
  """The last step before model code: only the filter's calls are left."""
  if program is not None and libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0):
    os._exit(CANNOT_CONFINE)


def load_filter(blob):
  """struct sock_fprog of a filter's bytes, None for none."""
  if not blob:
    return None

  class SockFprog(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_void_p)]

  buffer = ctypes.create_string_buffer(blob, len(blob))
  program = SockFprog(len(blob) // 8, ctypes.cast(buffer, ctypes.c_void_p))
  program.keep = buffer
  return program
