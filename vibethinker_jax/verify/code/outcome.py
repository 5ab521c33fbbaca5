"""What a run of a program in the sandbox may use, and what its end means."""

from __future__ import annotations

import decimal
import json
import re
import signal
from typing import NamedTuple

from vibethinker_jax.verify.code.sandbox import client, confine

MAX_DEPTH = 200  # of a returned JSON value
LONG = 4300  # digits, Python's own limit for int(): its time grows with their square, 5 s for 10^6


class Limits(NamedTuple):
  """What one program may use. Wall time is 2 x cpu_seconds + 1 s. Source: reliability.md, Limits to start
  from."""

  cpu_seconds: float = 2.0  # for all cases together
  memory_bytes: int = 1 << 30  # address space
  output_bytes: int = 1 << 20  # stdout or returned JSON of one case; of all together at most 16 times that
  source_bytes: int = 256 << 10
  case_seconds: float = 3600.0  # CPU of one case, rounded up to what the kernel counts: whole seconds


_FUNCTION = re.compile(r'(?:Solution(?:\(\))?\s*\.\s*)?([A-Za-z_]\w*)')


def function_name(text: str) -> str:
  """'Solution().add' or 'add' -> 'add'. Raises ValueError for what is no name."""
  match = _FUNCTION.fullmatch(text.strip()) if isinstance(text, str) else None
  if not match:
    raise ValueError(f'tests have "function": {text!r}; a name is needed, or "Solution().name"')
  return match.group(1)


def parse_value(line: bytes):
  """One JSON value of the sandbox; integers over LONG digits as Decimals, which are read in linear time and equal the
  same ints. Raises ValueError for anything malformed, or nested over MAX_DEPTH."""
  if line.count(b'[') + line.count(b'{') > MAX_DEPTH:
    depth = deepest = 0
    for match in re.finditer(rb'[\[\]{}]', re.sub(rb'"(?:[^"\\]|\\.)*"', b'', line)):
      depth += 1 if match.group() in b'[{' else -1
      deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
      raise ValueError(f'JSON nested over {MAX_DEPTH}')
  try:
    return json.loads(line.decode('utf-8'), parse_int=_integer, parse_constant=float)
  except RecursionError as e:
    raise ValueError('JSON nested too deep') from e


def _integer(text: str):
  return int(text) if len(text) <= LONG else decimal.Decimal(text)


def ended(run: client.Run, limits: Limits) -> str | None:
  """The reason why a process ended badly, None if it ended by itself with exit code 0."""
  if run.killed == 'threads':
    return 'runtime_error'
  if run.killed or run.cpu > limits.cpu_seconds or run.signal == signal.SIGXCPU:
    return 'time_limit'
  if run.signal == signal.SIGSYS:
    return 'security'
  if run.signal == signal.SIGKILL:  # RLIMIT_CPU's end, else the kernel's out-of-memory killer
    return 'time_limit' if run.cpu > 0.5 * limits.cpu_seconds else 'memory_limit'  # ticks on a busy machine err by 20%
  if run.exit_code in (confine.CANNOT_CONFINE, confine.NOT_MY_PARENT):
    raise OSError(f'the sandbox could not confine a program (exit code {run.exit_code})')
  return 'runtime_error' if run.signal or run.exit_code else None


def failure(out_of_memory: bool, bad: str | None) -> str:
  """The reason of a case that the program itself reported as failed, given how its process ended."""
  if out_of_memory:
    return 'memory_limit'
  return bad if bad in ('time_limit', 'security') else 'runtime_error'


def read_lines(run: client.Run, count: int, limits: Limits) -> tuple[list[bytes], str | None]:
  """The result lines of a function run up to the first failure, and the failure's reason or None."""
  bad = ended(run, limits)
  if run.size > limits.output_bytes * min(count, 16):
    return [], 'output_limit'
  lines = run.data.split(b'\n')[:-1]
  for i, line in enumerate(lines[:count]):
    if line[:1] == b'!' and line[:2] != b'!x':
      return lines[:i], failure(line == b'!m', bad)
    if len(line) > limits.output_bytes:
      return lines[:i], 'output_limit'
  # More lines than cases: something else wrote into the result file.
  return lines[:count], bad or (None if len(lines) == count else 'runtime_error')
