"""Compilations in a process of their own, one at a time: libtpu takes both cores and gigabytes, and its crashes kill."""

import concurrent.futures
import multiprocessing
import os
from typing import Any, Callable

from vibethinker_jax.aot import topology


class Compiler:
  """Runs functions in a child process; a new one after a crash. Use it as a context."""

  def __init__(self):
    topology.prepare()
    os.environ['JAX_PLATFORMS'] = 'cpu'  # the child compiles for TPUs; it must not take one that is here
    self._pool = None

  def __enter__(self):
    return self

  def __exit__(self, *_):
    if self._pool:
      self._pool.shutdown(cancel_futures=True)

  def call(self, function: Callable, *arguments) -> Any:
    """The function's result.

    Raises:
      ChildProcessError: the compiler ended the process. What the function itself raises.
    """
    if self._pool is None:
      self._pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))
    try:
      return self._pool.submit(function, *arguments).result()
    except concurrent.futures.process.BrokenProcessPool:
      self._pool = None
      raise ChildProcessError('the compiler crashed; its last words stand above') from None
