"""A worker process of the pool: `python -m vibethinker_jax.verify.worker MODULE:FUNCTION PARENT MEMORY CORRECT_AT`.

Reads frames [id, what is judged, row, seconds] on its stdin (the whole response for a user's verifier) and answers [id,
status, reason, reward, parts] or [id, 'raise', kind, text] in order; first it says [0, 'ready'], or [-1, 'raise', ...]
if the verifier cannot be imported.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback

from vibethinker_jax.verify import default, frames, returned
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
  """'package.module:function' -> the function."""
  module, _, function = name.partition(':')
  return getattr(importlib.import_module(module), function)


def judge(verify, name: str, correct_at: float, *task) -> list:
  """The end of an answer frame for one task; whatever the verifier raises is reported, never a verdict."""
  try:
    value = verify(*task)
  except Exception as e:  # pylint: disable=broad-except
    return raised(e)
  try:
    return list(returned.verdict_of(value, correct_at))
  except Exception as e:  # a user's object may raise in its repr too. pylint: disable=broad-except
    return ['raise', 'fault', f'{name}: {e}']


def raised(error: Exception) -> list:
  """The same of an exception, with the last of its frames that are not ours."""
  if isinstance(error, SandboxUnavailable):
    return ['raise', 'SandboxUnavailable', str(error)]
  trace = error.__traceback__
  while trace.tb_next is not None and trace.tb_frame.f_code.co_filename == __file__:
    trace = trace.tb_next
  return ['raise', 'fault', ''.join(traceback.format_exception(None, error, trace, limit=-3))[-2000:].rstrip()]


def main() -> None:
  name, parent, memory, correct_at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
  die_with_parent(parent)
  limit_memory(memory)
  tasks, replies = os.dup(0), os.dup(1)  # what a verifier prints or reads must not touch the frames
  null = os.open(os.devnull, os.O_RDONLY)
  os.dup2(null, 0)
  os.dup2(2, 1)
  try:
    if name != default.NAME:
      verify = load(name)
      judge_one = lambda response, row, seconds: verify(response, row)
    else:
      judge_one = default.judge
      # now, so that no answer's time-out pays for importing sympy
      from vibethinker_jax.verify.maths import symbolic

      symbolic.warm()
  except Exception:  # a user's module may raise anything; the pool shows the traceback. pylint: disable=broad-except
    frames.write_all(replies, frames.pack([-1, 'raise', 'ImportError', traceback.format_exc()[-2000:]]))
    return
  frames.write_all(replies, frames.pack([0, 'ready']))
  while True:
    try:
      number, *task = frames.read(tasks)
      frames.write_all(replies, frames.pack([number] + judge(judge_one, name, correct_at, *task)))
    except (EOFError, BrokenPipeError):
      os._exit(0)  # the trainer is gone; no exit handler of a verifier may delay that


if __name__ == '__main__':
  main()
