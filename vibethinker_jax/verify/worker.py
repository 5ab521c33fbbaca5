"""A worker process of the pool: `python -m vibethinker_jax.verify.worker MODULE:FUNCTION PARENT MEMORY CORRECT_AT`.

Reads frames [id, what is judged, row, seconds] on its stdin (the whole response for a user's verifier) and answers [id,
status, reason, reward, parts] or [id, 'raise', kind, text] in order; of a batched function [id, responses, rows,
seconds] and [id, 'batch', answers]. First it says [0, 'ready'], or [-1, 'raise', ...] if the verifier cannot be
imported.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback

from vibethinker_jax.verify import default, frames, returned, tasks as tasks_lib
from vibethinker_jax.verify.code.sandbox.client import SandboxUnavailable


def die_with_parent(parent: int) -> None:
  """The kernel kills this process when the thread that started it ends; elsewhere the pipe's end does
  (main)."""
  if sys.platform.startswith('linux'):
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
  if os.getppid() != parent:
    os._exit(0)


def limit_memory(size: int) -> None:
  """Soft limit of the address space, so that the sandbox's own limit can still be set. macOS has no such
  limit. size: bytes; 0: none."""
  import resource

  try:
    if size:
      resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
  except (OSError, ValueError):
    pass


def load(name: str):
  """'package.module:function' -> the function. Raises whatever the import does, AttributeError, TypeError."""
  module, _, function = name.partition(':')
  found = getattr(importlib.import_module(module), function)
  if not callable(found):
    raise TypeError(f'{function} of the module {module!r} is no function but {type(found).__name__}')
  return found


def judge(verify, name: str, correct_at: float, *task) -> list:
  """The end of an answer frame for one task; whatever the verifier raises is reported, never a verdict."""
  try:
    value = verify(*task)
  except Exception as e:  # pylint: disable=broad-except
    return raised(e)
  return _answer(value, name, correct_at)


def _answer(value, name: str, correct_at: float) -> list:
  try:
    return list(returned.verdict_of(value, correct_at))
  except Exception as e:  # a user's object may raise in its repr too. pylint: disable=broad-except
    return ['raise', 'fault', f'{name}: {e}']


def judge_batch(verify, name: str, correct_at: float, responses: list, rows: list) -> list:
  """The same for many: what is wrong with one value is that response's, what is wrong with the list everybody's."""
  try:
    values = verify(responses, rows)
  except Exception as e:  # pylint: disable=broad-except
    return raised(e)
  try:
    return ['batch', [_answer(value, name, correct_at) for value in returned.each(values, len(rows))]]
  except Exception as e:  # pylint: disable=broad-except
    return ['batch', [['raise', 'fault', f'{name}: {e}']] * len(rows)]


def raised(error: Exception) -> list:
  """The same of an exception, with the last of its frames that are not ours."""
  if isinstance(error, SandboxUnavailable):
    return ['raise', 'SandboxUnavailable', str(error)]
  trace = error.__traceback__
  while trace.tb_next is not None and trace.tb_frame.f_code.co_filename == __file__:
    trace = trace.tb_next
  return ['raise', 'fault', ''.join(traceback.format_exception(None, error, trace, limit=-3))[-2000:].rstrip()]


def not_imported(error: BaseException) -> str:
  """What is wrong as a first line; then the user's own lines, where the import ran into them."""
  trace, ours = error.__traceback__, (__file__, importlib.__file__, '<frozen importlib')
  while trace is not None and trace.tb_frame.f_code.co_filename.startswith(ours):
    trace = trace.tb_next
  first = ' '.join(traceback.format_exception_only(error)[-1].split())
  lines = traceback.format_exception(None, error, trace, limit=-3) if trace else []
  return '\n'.join([first, *([''.join(lines)[-2000:].rstrip()] if lines else [])])


def main() -> None:
  name, parent, memory, correct_at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
  die_with_parent(parent)
  limit_memory(memory)
  tasks, replies = os.dup(0), os.dup(1)  # what a verifier prints or reads must not touch the frames
  null = os.open(os.devnull, os.O_RDONLY)
  os.dup2(null, 0)
  os.dup2(2, 1)
  answer = judge
  try:
    if name != default.NAME:
      verify = load(name)
      judge_one = lambda response, row, seconds: verify(response, row)
      if tasks_lib.is_batched(name):
        judge_one, answer = verify, lambda verify, name, at, *task: judge_batch(verify, name, at, *task[:2])
    else:
      judge_one = default.judge
      # now, so that no answer's time-out pays for importing sympy
      from vibethinker_jax.verify.maths import symbolic

      symbolic.warm()
  except BaseException as e:  # a user's module may raise anything, SystemExit too. pylint: disable=broad-except
    frames.write_all(replies, frames.pack([-1, 'raise', 'ImportError', not_imported(e)]))
    return
  frames.write_all(replies, frames.pack([0, 'ready']))
  while True:
    try:
      number, *task = frames.read(tasks)
      frames.write_all(replies, frames.pack([number] + answer(judge_one, name, correct_at, *task)))
    except (EOFError, BrokenPipeError):
      os._exit(0)  # the trainer is gone; no exit handler of a verifier may delay that


if __name__ == '__main__':
  main()
