r"""Judges a program by its tests, in the sandbox.

  tests = {'cases': [{'input': '2 3\n', 'output': '5\n'}]}
  verify('a, b = map(int, input().split())\nprint(a + b)', tests) == Verdict('correct', 'accepted')

The sandbox gets the source and the inputs; the expected outputs stay here, where the comparison is made. Problems
whose tests are assert statements (HumanEval, MBPP) are in asserts.py.
"""
from __future__ import annotations

import json
import math
import re
import threading

from vibethinker_jax.verify import asserts, outcome
from vibethinker_jax.verify.outcome import Limits
from vibethinker_jax.verify.sandbox import client
from vibethinker_jax.verify.verdict import Verdict

FIRST_BATCH = 4  # cases of the first run of a program; one more run costs 2 ms


def close(expected: float, got: float, tolerance: float) -> bool:
  """Equality of floats, relative or absolute."""
  try:
    return math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance)
  except OverflowError:  # an int beyond the floats
    return False


def same_value(expected, got, tolerance: float = 1e-9) -> bool:
  """Typed equality of JSON values: True is not 1, 1 is not 1.0 unless a float is expected (then to the
  tolerance)."""
  if isinstance(expected, float):
    return type(got) in (int, float) and close(expected, got, tolerance)
  if type(expected) is not type(got):
    return False
  if isinstance(expected, list):
    return len(expected) == len(got) and all(same_value(e, g, tolerance) for e, g in zip(expected, got))
  if isinstance(expected, dict):
    return expected.keys() == got.keys() and all(same_value(v, got[k], tolerance) for k, v in expected.items())
  return expected == got


_NUMBER = re.compile(rb'[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?')


def same_text(expected: str, got: bytes, tolerance: float = 0.0) -> bool:
  """Equality of outputs as bytes, white space at line ends and blank lines at the end aside.

  With a tolerance: equality of their words, where a word that is a number with a point or an exponent in the expected
  output may differ by it, absolute or relative.
  """
  want = expected.encode('utf-8', 'surrogatepass')
  lines = lambda data: [line.rstrip() for line in data.rstrip().split(b'\n')]
  if not tolerance or lines(want) == lines(got):
    return lines(want) == lines(got)
  words, others = want.split(), got.split()
  return len(words) == len(others) and all(_same_word(w, o, tolerance) for w, o in zip(words, others))


def _same_word(word: bytes, other: bytes, tolerance: float) -> bool:
  if word == other:
    return True
  if word.lstrip(b'+-').isdigit() or not (_NUMBER.fullmatch(word) and _NUMBER.fullmatch(other)):
    return False
  return close(float(word), float(other), tolerance)


def check_tests(tests: dict) -> tuple[str | None, list[dict]]:
  """(function name or None, cases) of a row's tests. Raises ValueError that names what is malformed."""
  function, cases = tests.get('function'), tests.get('cases')
  keys = {'args', 'expected'} if function else {'input', 'output'}
  if not isinstance(cases, (list, tuple)) or any(not keys <= set(case) for case in cases):
    other = f', for function {function!r}' if function else '; or a "function" with "args" and "expected"; or "asserts"'
    raise ValueError(f'tests need "cases", a list of objects with {sorted(keys)}{other}')
  return function, list(cases)


def check_limits(tests: dict) -> Limits:
  """The limits that a row's tests ask for, the defaults for the rest. Raises ValueError for an unknown one."""
  given = tests.get('limits') or {}
  if not set(given) <= set(Limits._fields):
    raise ValueError(f'tests have limits {sorted(given)}; there are {Limits._fields}')
  return Limits(**given)


def _judge_stdin(cases: list[dict], run: client.Run, limits: Limits, tolerance: float) -> tuple[int, str | None]:
  """(cases passed, reason of the first failure or None)."""
  start, bad = 0, outcome.ended(run, limits)
  same = lambda case, got: same_text(case['output'], got, tolerance)
  for i, (kind, end) in enumerate(run.marks[:len(cases)]):
    if not start <= end or end - start > limits.output_bytes or end > len(run.data):
      return i, 'output_limit'
    if kind != 'k':
      return i, outcome.failure(kind == 'm', bad)
    if not same(cases[i], run.data[start:end]):
      return i, 'wrong_answer'
    start = end
  done = min(len(run.marks), len(cases))
  if run.size - start > limits.output_bytes:
    return done, 'output_limit'
  if bad or done == len(cases):
    return done, bad
  # Exit code 0 in the middle of a case: os._exit(0), which honest programs use to end quickly.
  return (done + 1, None) if same(cases[done], run.data[start:]) else (done, 'wrong_answer')


def _judge_function(cases: list[dict], run: client.Run, limits: Limits, tolerance: float) -> str | None:
  """Reason of the first failure or None."""
  lines, bad = outcome.read_lines(run, len(cases), limits)
  for case, line in zip(cases, lines):
    try:
      value = outcome.parse_value(line)
    except ValueError:
      return 'runtime_error'
    if not same_value(json.loads(json.dumps(case['expected'])), value, tolerance):
      return 'wrong_answer'
  return bad


def verify(source: str, tests: dict, limits: Limits | None = None, box: client.Sandbox | None = None) -> Verdict:
  """Runs a program on its tests.

  Args:
    source: Python source, hostile until shown otherwise.
    tests: {'cases': [{'input': str, 'output': str}, ...]} for stdin programs, or {'function': name,
      'cases': [{'args': [...], 'expected': value}, ...]} for a plain function or a method of `class
      Solution`, or {'asserts': ...}, see asserts.plan. Besides: 'limits', an object of fields of Limits;
      'tolerance', for numbers with a point.
    limits: see Limits; instead of those of the tests.
    box: instead of this process's sandbox.
  Returns:
    Verdict('correct', 'accepted'); Verdict('wrong', reason) with the first failure's reason;
    Verdict('invalid', 'no_tests') for an empty list of cases; Verdict('invalid', 'fault') if the sandbox
    itself failed twice.
  Raises:
    ValueError: malformed tests. SandboxUnavailable: programs cannot be run safely on this machine.
  """
  limits = check_limits(tests) if limits is None else limits
  judge = asserts.judge if 'asserts' in tests else _judge
  if 'asserts' not in tests and not check_tests(tests)[1]:
    return Verdict('invalid', 'no_tests')
  if len(source.encode('utf-8', 'surrogatepass')) > limits.source_bytes:
    return Verdict('wrong', 'runtime_error')
  box = sandbox() if box is None else box
  for attempt in range(2):
    try:
      reason = judge(source, tests, limits, box)
      return Verdict('wrong', reason) if reason else Verdict('correct', 'accepted')
    except (OSError, EOFError):
      continue
  return Verdict('invalid', 'fault')


def _judge(source: str, tests: dict, limits: Limits, box: client.Sandbox) -> str | None:
  """Reason of the first failure or None. The cases go to the sandbox in batches, so that a program which fails an
  early one does not pay for all."""
  (function, cases), done, size = check_tests(tests), 0, FIRST_BATCH
  while True:
    batch = cases[done:done + size]
    inputs = [json.dumps(case['args']) if function else case['input'] for case in batch]
    run = box.run(source, inputs, function, limits.cpu_seconds, limits.memory_bytes, limits.output_bytes,
                  limits.case_seconds)
    if function:
      reason, passed = _judge_function(batch, run, limits, tests.get('tolerance', 1e-9)), len(batch)
    else:
      passed, reason = _judge_stdin(batch, run, limits, tests.get('tolerance', 0.0))
      size = size if passed == len(batch) else 1  # it ends itself in every case
    done, size, limits = done + passed, size * 4, limits._replace(cpu_seconds=limits.cpu_seconds - run.cpu)
    if reason or done >= len(cases):
      return reason
    if limits.cpu_seconds <= 0:
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
