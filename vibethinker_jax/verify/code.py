r"""Judges a program by its tests, in the sandbox.

  tests = {'cases': [{'input': '2 3\n', 'output': '5\n'}]}
  verify('a, b = map(int, input().split())\nprint(a + b)', tests) == Verdict('correct', 'accepted')

The sandbox gets the source and the inputs; the expected outputs stay here, where the comparison is made.
"""
from __future__ import annotations

import json
import math
import re
import signal
import threading
from typing import NamedTuple

from vibethinker_jax.verify.sandbox import client
from vibethinker_jax.verify.verdict import Verdict

MAX_DEPTH = 200  # of a returned JSON value


class Limits(NamedTuple):
  """What one program may use. Wall time is 2 x cpu_seconds + 1 s. Source: reliability.md, Limits to start
  from."""
  cpu_seconds: float = 2.0  # for all cases together
  memory_bytes: int = 1 << 30  # address space
  output_bytes: int = 1 << 20  # stdout or returned JSON of one case; of all together at most 16 times that
  source_bytes: int = 256 << 10


def same_value(expected, got) -> bool:
  """Typed equality of JSON values: True is not 1, 1 is not 1.0 unless a float is expected (then to 1e-9)."""
  if isinstance(expected, float):
    if type(got) not in (int, float):
      return False
    try:
      return math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-9)
    except OverflowError:  # an int beyond the floats
      return False
  if type(expected) is not type(got):
    return False
  if isinstance(expected, list):
    return len(expected) == len(got) and all(map(same_value, expected, got))
  if isinstance(expected, dict):
    return expected.keys() == got.keys() and all(same_value(v, got[k]) for k, v in expected.items())
  return expected == got


def same_text(expected: str, got: bytes) -> bool:
  """Equality of outputs as bytes, white space at line ends and blank lines at the end aside."""
  def lines(data):
    return [line.rstrip() for line in data.rstrip().split(b'\n')]
  return lines(expected.encode('utf-8', 'surrogatepass')) == lines(got)


def parse_value(line: bytes):
  """One JSON value of the sandbox. Raises ValueError for anything malformed, or nested over MAX_DEPTH."""
  if line.count(b'[') + line.count(b'{') > MAX_DEPTH:
    depth = deepest = 0
    for match in re.finditer(rb'[\[\]{}]', re.sub(rb'"(?:[^"\\]|\\.)*"', b'', line)):
      depth += 1 if match.group() in b'[{' else -1
      deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
      raise ValueError(f'JSON nested over {MAX_DEPTH}')
  try:
    return json.loads(line)
  except RecursionError as e:
    raise ValueError('JSON nested too deep') from e


def check_tests(tests: dict) -> tuple[str | None, list[dict]]:
  """(function name or None, cases) of a row's tests. Raises ValueError that names what is malformed."""
  function, cases = tests.get('function'), tests.get('cases')
  keys = {'args', 'expected'} if function else {'input', 'output'}
  if not isinstance(cases, (list, tuple)) or any(not keys <= set(case) for case in cases):
    other = f', for function {function!r}' if function else '; or a "function" with "args" and "expected"'
    raise ValueError(f'tests need "cases", a list of objects with {sorted(keys)}{other}')
  return function, list(cases)


def _ended(run: client.Run, limits: Limits) -> str | None:
  """The reason why a process ended badly, None if it ended by itself with exit code 0."""
  if run.killed or run.cpu > limits.cpu_seconds or run.signal == signal.SIGXCPU:
    return 'time_limit'
  if run.signal == signal.SIGSYS:
    return 'security'
  if run.signal == signal.SIGKILL:  # RLIMIT_CPU's end, else the kernel's out-of-memory killer
    return 'time_limit' if run.cpu > 0.9 * limits.cpu_seconds else 'memory_limit'
  if run.exit_code in (120, 121):
    raise OSError(f'the sandbox could not confine a program (exit code {run.exit_code})')
  return 'runtime_error' if run.signal or run.exit_code else None


def _failure(out_of_memory: bool, bad: str | None) -> str:
  """The reason of a case that the program itself reported as failed, given how its process ended."""
  if out_of_memory:
    return 'memory_limit'
  return bad if bad in ('time_limit', 'security') else 'runtime_error'


def _judge_stdin(cases: list[dict], run: client.Run, limits: Limits) -> tuple[int, str | None]:
  """(cases passed, reason of the first failure or None)."""
  start, bad = 0, _ended(run, limits)
  for i, (kind, end) in enumerate(run.marks[:len(cases)]):
    if not start <= end or end - start > limits.output_bytes or end > len(run.data):
      return i, 'output_limit'
    if kind != 'k':
      return i, _failure(kind == 'm', bad)
    if not same_text(cases[i]['output'], run.data[start:end]):
      return i, 'wrong_answer'
    start = end
  done = min(len(run.marks), len(cases))
  if run.size - start > limits.output_bytes:
    return done, 'output_limit'
  if bad or done == len(cases):
    return done, bad
  # Exit code 0 in the middle of a case: os._exit(0), which honest programs use to end quickly.
  return (done + 1, None) if same_text(cases[done]['output'], run.data[start:]) else (done, 'wrong_answer')


def _judge_function(cases: list[dict], run: client.Run, limits: Limits) -> str | None:
  """Reason of the first failure or None."""
  bad = _ended(run, limits)
  if run.size > limits.output_bytes * min(len(cases), 16):
    return 'output_limit'
  lines = run.data.split(b'\n')[:-1]
  for case, line in zip(cases, lines):
    if line[:1] == b'!':
      return _failure(line == b'!m', bad)
    if len(line) > limits.output_bytes:
      return 'output_limit'
    try:
      value = parse_value(line)
    except ValueError:
      return 'runtime_error'
    if not same_value(json.loads(json.dumps(case['expected'])), value):
      return 'wrong_answer'
  # More lines than cases: something else wrote into the result file.
  return bad or (None if len(lines) == len(cases) else 'runtime_error')


def verify(source: str, tests: dict, limits: Limits = Limits()) -> Verdict:
  """Runs a program on its tests.

  Args:
    source: Python source, hostile until shown otherwise.
    tests: {'cases': [{'input': str, 'output': str}, ...]} for stdin programs, or {'function': name,
      'cases': [{'args': [...], 'expected': value}, ...]} for a plain function or a method of `class
      Solution`.
    limits: see Limits.
  Returns:
    Verdict('correct', 'accepted'); Verdict('wrong', reason) with the first failure's reason;
    Verdict('invalid', 'no_tests') for an empty list of cases; Verdict('invalid', 'fault') if the sandbox
    itself failed twice.
  Raises:
    ValueError: malformed tests. SandboxUnavailable: programs cannot be run safely on this machine.
  """
  function, cases = check_tests(tests)
  if not cases:
    return Verdict('invalid', 'no_tests')
  if len(source.encode('utf-8', 'surrogatepass')) > limits.source_bytes:
    return Verdict('wrong', 'runtime_error')
  inputs = [json.dumps(case['args']) if function else case['input'] for case in cases]
  for attempt in range(2):
    try:
      reason = _run(source, function, inputs, cases, limits)
      return Verdict('wrong', reason) if reason else Verdict('correct', 'accepted')
    except (OSError, EOFError):
      continue
  return Verdict('invalid', 'fault')


def _run(source, function, inputs, cases, limits) -> str | None:
  cpu, done = limits.cpu_seconds, 0
  while True:
    run = sandbox().run(source, inputs[done:], function, cpu, limits.memory_bytes, limits.output_bytes)
    left = limits._replace(cpu_seconds=cpu)
    if function:
      return _judge_function(cases, run, left)
    passed, reason = _judge_stdin(cases[done:], run, left)
    done, cpu = done + passed, cpu - run.cpu
    if reason or done == len(cases):
      return reason
    if cpu <= 0:
      return 'time_limit'


_sandbox = None
_lock = threading.Lock()


def sandbox() -> client.Sandbox:
  """This process's sandbox, made at the first use. Raises SandboxUnavailable."""
  global _sandbox
  with _lock:
    if _sandbox is None:
      _sandbox = client.Sandbox()
    return _sandbox
