"""The seccomp filter of the sandbox as BPF bytes, built without libseccomp, so that there is nothing to
install.

Default deny: what is not named fails with EPERM. Numbers are (x86_64, aarch64; -1: the call does not exist
there), printed by libseccomp 2.5.4; tests/verify/test_sandbox.py compares them with the installed libseccomp.
No open of any kind is allowed: the standard library is loaded before, so a program can read neither the tests
of other problems nor any file of the host, and write none. That holds for tempfile too: its files are refused
(PermissionError, FileNotFoundError), but for a SpooledTemporaryFile, which stays in memory; as do io.BytesIO and
StringIO.
"""

from __future__ import annotations

import struct

# Without a path, a process or a socket in them: harmless whatever the arguments.
ALLOW = {
  'read': (0, 63),
  'write': (1, 64),
  'readv': (19, 65),
  'writev': (20, 66),
  'pread64': (17, 67),
  'lseek': (8, 62),
  'close': (3, 57),
  'fstat': (5, 80),
  'ftruncate': (77, 46),
  'munmap': (11, 215),
  'mremap': (25, 216),
  'madvise': (28, 233),
  'brk': (12, 214),
  'futex': (202, 98),
  'set_robust_list': (273, 99),
  'rseq': (334, 293),
  'exit': (60, 93),
  'exit_group': (231, 94),
  'rt_sigaction': (13, 134),
  'rt_sigprocmask': (14, 135),
  'rt_sigreturn': (15, 139),
  'rt_sigpending': (127, 136),
  'sigaltstack': (131, 132),
  'restart_syscall': (219, 128),
  'gettimeofday': (96, 169),
  'time': (201, -1),
  'clock_gettime': (228, 113),
  'clock_getres': (229, 114),
  'clock_nanosleep': (230, 115),
  'nanosleep': (35, 101),
  'times': (100, 153),
  'getrusage': (98, 165),
  'getpid': (39, 172),
  'gettid': (186, 178),
  'getppid': (110, 173),
  'getuid': (102, 174),
  'geteuid': (107, 175),
  'getgid': (104, 176),
  'getegid': (108, 177),
  'getpgrp': (111, -1),
  'getpgid': (121, 155),
  'sched_yield': (24, 124),
  'sched_getaffinity': (204, 123),
  'getrandom': (318, 278),
  'uname': (63, 160),
  'dup': (32, 23),
  'dup2': (33, -1),
  'dup3': (292, 24),
  'poll': (7, -1),
  'ppoll': (271, 73),
  'select': (23, -1),
  'pselect6': (270, 72),
  'pipe': (22, -1),
  'pipe2': (293, 59),
  'setitimer': (38, 103),
  'getitimer': (36, 102),
  'alarm': (37, -1),
  'pause': (34, -1),
  'getcpu': (309, 168),
}
# No honest program needs these: the process is killed, which the host reports as `security`.
KILL = {
  'fork': (57, -1),
  'vfork': (58, -1),
  'execve': (59, 221),
  'execveat': (322, 281),
  'socket': (41, 198),
  'socketpair': (53, 199),
  'connect': (42, 203),
  'bind': (49, 200),
  'listen': (50, 201),
  'accept': (43, 202),
  'accept4': (288, 242),
  'sendto': (44, 206),
  'sendmsg': (46, 211),
  'sendmmsg': (307, 269),
  'ptrace': (101, 117),
  'process_vm_readv': (310, 270),
  'process_vm_writev': (311, 271),
  'pidfd_open': (434, 434),
  'pidfd_getfd': (438, 438),
  'pidfd_send_signal': (424, 424),
  'mount': (165, 40),
  'umount2': (166, 39),
  'pivot_root': (155, 41),
  'chroot': (161, 51),
  'unshare': (272, 97),
  'setns': (308, 268),
  'move_mount': (429, 429),
  'fsopen': (430, 430),
  'mount_setattr': (442, 442),
  'open_tree': (428, 428),
  'bpf': (321, 280),
  'perf_event_open': (298, 241),
  'userfaultfd': (323, 282),
  'io_uring_setup': (425, 425),
  'io_uring_enter': (426, 426),
  'io_uring_register': (427, 427),
  'keyctl': (250, 219),
  'add_key': (248, 217),
  'request_key': (249, 218),
  'kexec_load': (246, 104),
  'init_module': (175, 105),
  'finit_module': (313, 273),
  'delete_module': (176, 106),
  'open_by_handle_at': (304, 265),
  'reboot': (169, 142),
  'swapon': (167, 224),
  'swapoff': (168, 225),
  'fanotify_init': (300, 262),
  'quotactl': (179, 60),
  'acct': (163, 89),
  'syslog': (103, 116),
  'iopl': (172, -1),
  'ioperm': (173, -1),
  'kcmp': (312, 272),
  'memfd_secret': (447, 447),
}
# Allowed or not by an argument, see program().
_CHECKED = {
  'clone': (56, 220),
  'clone3': (435, 435),
  'mmap': (9, 222),
  'mprotect': (10, 226),
  'fcntl': (72, 25),
  'ioctl': (16, 29),
  'prlimit64': (302, 261),
  'newfstatat': (262, 79),
  'statx': (332, 291),
}

AUDIT_ARCH = {'x86_64': 0xC000003E, 'aarch64': 0xC00000B7}
_COLUMN = {'x86_64': 0, 'aarch64': 1}
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_LOAD, _JUMP_EQUAL, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# offsets in struct seccomp_data; argument i is at 16 + 8 i, its low word first on both machines
_NUMBER, _ARCH = 0, 4

CLONE_THREAD, PROT_EXEC, AT_EMPTY_PATH = 0x10000, 4, 0x1000
# DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC; F_SETOWN could send signals
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
IOCTL_COMMANDS = (0x5401, 0x5413, 0x5450, 0x5451)  # TCGETS (isatty), TIOCGWINSZ, FIONCLEX, FIOCLEX


def program(machine: str) -> bytes:
  """The filter for one machine.

  Args:
    machine: 'x86_64' or 'aarch64', as platform.machine() says.
  Returns:
    An array of struct sock_filter, for prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ...).
  Raises:
    KeyError: another machine.
  """
  column = _COLUMN[machine]
  code = []

  def add(op, k, yes=0, no=0):
    code.append(struct.pack('<HBBI', op, yes, no, k))

  def number(table, name):
    return table[name][column]

  def on_argument(name, index, op, values, hit, miss):
    """For the call `name`: hit if the test op holds for its argument with one of the values, else miss."""
    if number(_CHECKED, name) < 0:
      return
    add(_JUMP_EQUAL, number(_CHECKED, name), 0, 2 + 2 * len(values))
    add(_LOAD, 16 + 8 * index)
    for value in values:
      add(op, value, 0, 1)
      add(_RETURN, hit)
    add(_RETURN, miss)

  add(_LOAD, _ARCH)
  add(_JUMP_EQUAL, AUDIT_ARCH[machine], 1, 0)
  add(_RETURN, _KILL_PROCESS)  # int 0x80: the 32-bit table
  add(_LOAD, _NUMBER)
  add(_JUMP_GE, 0x40000000, 0, 1)
  add(_RETURN, _KILL_PROCESS)  # x32
  for table, action in ((ALLOW, _ALLOW), (KILL, _KILL_PROCESS)):
    for name in table:
      if number(table, name) >= 0:
        add(_JUMP_EQUAL, number(table, name), 0, 1)
        add(_RETURN, action)
  deny = _ERRNO | _EPERM
  on_argument('clone', 0, _JUMP_SET, (CLONE_THREAD,), _ALLOW, _KILL_PROCESS)
  on_argument('mmap', 2, _JUMP_SET, (PROT_EXEC,), deny, _ALLOW)
  on_argument('mprotect', 2, _JUMP_SET, (PROT_EXEC,), deny, _ALLOW)
  on_argument('fcntl', 1, _JUMP_EQUAL, FCNTL_COMMANDS, _ALLOW, deny)
  on_argument('ioctl', 1, _JUMP_EQUAL, IOCTL_COMMANDS, _ALLOW, deny)
  on_argument('prlimit64', 0, _JUMP_EQUAL, (0,), _ALLOW, deny)  # own limits only; hard limits can't be raised
  on_argument('newfstatat', 3, _JUMP_SET, (AT_EMPTY_PATH,), _ALLOW, deny)  # os.fstat of glibc >= 2.33
  on_argument('statx', 2, _JUMP_SET, (AT_EMPTY_PATH,), _ALLOW, deny)
  add(_JUMP_EQUAL, number(_CHECKED, 'clone3'), 0, 1)
  add(_RETURN, _ERRNO | _ENOSYS)  # its flags are behind a pointer; glibc falls back to clone
  add(_RETURN, deny)
  return b''.join(code)
