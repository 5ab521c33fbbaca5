"""Verifiers that do what the response says, for test_pool; imported by worker processes."""

import ast
import os
import sys
import time

from vibethinker_jax.verify.verdict import Verdict


def obedient(response, row):
  if response == 'hang':
    time.sleep(60)
  if response == 'hang in C':
    9 ** (9**9)  # holds the interpreter lock: no signal handler and no thread could end it
  if response.startswith('sleep'):
    time.sleep(float(response.split()[1]))
  if response.split()[:1] == ['die'] and not response.startswith('die unless'):
    os._exit(3)
  if response.startswith('die unless'):
    path = response.split()[2]
    if not os.path.exists(path):
      open(path, 'w').close()
      os.kill(os.getpid(), 9)
  if response == 'raise':
    raise KeyError('told to raise')
  if response == 'return nonsense':
    return Verdict('splendid', 'equal')
  if response == 'print':
    print('text on stdout must not disturb the frames', flush=True)
    sys.stdin.read()
  if response == 'allocate':
    try:
      bytearray(3 << 30)
    except MemoryError:
      return Verdict('wrong', 'different')
  return Verdict('correct', 'equal')


def environment(response, row):
  dirty = 'jax' in sys.modules or 'WANDB_API_KEY' in os.environ
  dirty = dirty or os.environ['SYMPY_GROUND_TYPES'] != 'python'
  return Verdict('wrong', 'dirty') if dirty else Verdict('correct', 'clean')


def literal(response, row):
  """What the response says, as Python has it."""
  return ast.literal_eval(response)
