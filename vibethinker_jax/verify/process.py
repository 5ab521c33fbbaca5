"""The worker processes of a pool: fresh ones (never forks of a JAX process) with a clean environment."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

from vibethinker_jax.verify import frames
from vibethinker_jax.verify.code.sandbox import packages as packages_lib
from vibethinker_jax.verify.code.sandbox.client import UNSAFE


def start(arguments: list[str], number: int, packages: tuple, environment: tuple) -> subprocess.Popen:
  """Starts worker `number`.

  Args:
    arguments: of worker.main, without the parent's id, which is the second. packages: see sandbox/packages.py.
    environment: names of variables that it has as this process does.
  """
  path = os.pathsep.join(os.path.abspath(p or '.') for p in sys.path)
  env = {
    'PATH': os.environ.get('PATH', '/usr/bin:/bin'),
    'LANG': 'C.UTF-8',
    'PYTHONPATH': path,
    'PYTHONHASHSEED': '0',
    'PYTHONSAFEPATH': '1',
    'SYMPY_GROUND_TYPES': 'python',
    'OMP_NUM_THREADS': '1',
    'OPENBLAS_NUM_THREADS': '1',
    'JAX_PLATFORMS': 'cpu',
    frames.IN_WORKER: str(number),
    packages_lib.VARIABLE: ','.join(packages),
  }
  kept = (UNSAFE, 'LD_LIBRARY_PATH', 'TMPDIR', *environment)
  env.update((name, os.environ[name]) for name in kept if name in os.environ)
  return subprocess.Popen(
    [sys.executable, '-m', 'vibethinker_jax.verify.worker', arguments[0], str(os.getpid()), *arguments[1:]],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    env=env,
    bufsize=0,
    start_new_session=True,
  )


def fits(process: subprocess.Popen, waiting: list[bytes]) -> bool:
  """Whether frames that wait behind the first stay within the pipe: else a hanging worker would block our write."""
  capacity = fcntl.fcntl(process.stdin, 1032) if sys.platform.startswith('linux') else 1 << 14  # F_GETPIPE_SZ
  return sum(map(len, waiting)) <= capacity // 2


def kill(process: subprocess.Popen) -> None:
  """Ends a worker at once."""
  process.kill()  # its sandbox helper ends with it: the pipe closes
  process.wait()
  process.stdin.close()
  process.stdout.close()
