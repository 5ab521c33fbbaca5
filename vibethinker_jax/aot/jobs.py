"""Compilations in processes of their own, one per core: a compilation is mostly one thread, and its crashes kill. The
processes end with the one that started them, also where it had no time to say so."""

from collections.abc import Callable
import concurrent.futures
import multiprocessing
import os
import signal
import threading
from typing import Any

from vibethinker_jax.aot.compilers import topology
from vibethinker_jax.verify import worker as verify_worker

MEMORY = 3 * 2**30  # of one process; 1.9 GiB at the end of a 32K step of the 1.5B


def processes() -> int:
  """As many as this process may use cores, and memory allows."""
  cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
  memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  return max(1, min(cores, memory // MEMORY))


class Compiler:
  """Runs functions in child processes; new ones after a crash. Use it as a context, from one thread: the kernel kills a
  child when the thread that started it ends. Leaving the context kills what still runs: a compilation cannot be
  interrupted."""

  def __init__(self, count: int = 1):
    topology.prepare()
    os.environ['JAX_PLATFORMS'] = 'cpu'  # a child compiles for TPUs; it must not take one that is here
    self._count, self._pool, self._others = count, None, set(multiprocessing.active_children())

  def __enter__(self):
    return self

  def __exit__(self, *_):
    for child in set(multiprocessing.active_children()) - self._others:
      child.kill()
    if self._pool:
      self._pool.shutdown(cancel_futures=True)

  def submit(self, function: Callable, *arguments) -> concurrent.futures.Future:
    """The function's result to be; see `result`."""
    if self._pool is None:
      self._pool = concurrent.futures.ProcessPoolExecutor(
        self._count, multiprocessing.get_context('spawn'), _end_with_parent, (os.getpid(),)
      )
    return self._pool.submit(function, *arguments)

  def result(self, future: concurrent.futures.Future) -> Any:
    """What the function of `submit` returned.

    Raises:
      ChildProcessError: the compiler ended a process. What the function itself raises.
    """
    try:
      return future.result()
    except concurrent.futures.process.BrokenProcessPool:
      self._pool = None
      raise ChildProcessError('the compiler crashed; its last words stand above') from None

  def call(self, function: Callable, *arguments) -> Any:
    """`submit` and `result` in one."""
    return self.result(self.submit(function, *arguments))


def _end_with_parent(parent: int) -> None:
  """On Linux the kernel kills this process when its parent is gone, even in the midst of a compilation; elsewhere a
  thread waits for it. Ctrl-C, which a terminal sends to all, is the parent's to handle."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_wait_for_parent, daemon=True).start()
  verify_worker.die_with_parent(parent)


def _wait_for_parent() -> None:
  multiprocessing.parent_process().join()
  os._exit(1)
