r"""Judges a program by its tests, in the sandbox.

  tests = {'cases': [{'input': '2 3\n', 'output': '5\n'}]}
  verify('a, b = map(int, input().split())\nprint(a + b)', tests) == Verdict('correct', 'accepted')

The sandbox gets the source and the inputs; the expected outputs stay here, where the comparison is made. Problems
whose tests are assert statements (HumanEval, MBPP) are in asserts.py.
"""

from __future__ import annotations

import json
import threading

from vibethinker_jax.verify.code import asserts, outcome
from vibethinker_jax.verify.code.outcome import Limits
from vibethinker_jax.verify.code.outputs import (
  LIVECODEBENCH,
  check_rule,
  same_result,
  same_text,
  same_value,
  same_words,
)
from vibethinker_jax.verify.code.sandbox import client, nodes, values
from vibethinker_jax.verify.verdict import Verdict

FIRST_BATCH = 4  # cases of the first run of a program; one more run costs 2 ms


def check_tests(tests: dict) -> tuple[str | None, list[dict]]:
  """(function name or None, cases) of a row's tests. Raises ValueError that names what is malformed."""
  function, cases = tests.get('function'), tests.get('cases')
  keys = {'args', 'expected'} if function else {'input', 'output'}
  if not isinstance(cases, (list, tuple)) or any(not keys <= set(case) for case in cases):
    other = f', for function {function!r}' if function else '; or a "function" with "args" and "expected"; or "asserts"'
    raise ValueError(f'tests need "cases", a list of objects with {sorted(keys)}{other}')
  return outcome.function_name(function) if function else None, list(cases)


def check_types(tests: dict, cases: list[dict]) -> tuple | None:
  """((kind, depth) of each argument, that of the result) of tests with 'types', None without.

  Raises ValueError: an unknown type, or a case that does not have it.
  """
  types = tests.get('types')
  if types is None:
    return None
  if not isinstance(types, dict) or set(types) - {'args', 'returns'} or not tests.get('function'):
    raise ValueError(
      'tests have "types": of a function, an object {"args": [type or "" of each], "returns": type or ""}'
    )
  arguments, returns = [nodes.parse(text) for text in types.get('args') or ()], nodes.parse(types.get('returns'))
  for i, case in enumerate(cases):
    if arguments and len(arguments) != len(case['args']):
      raise ValueError(f'"types" has {len(arguments)} arguments, case {i + 1} has {len(case["args"])}')
    try:
      for kind, value in zip(arguments, case['args']):
        nodes.make(*kind, value)
      nodes.make(*returns, case['expected'])
    except (ValueError, TypeError, KeyError) as e:
      raise ValueError(f'case {i + 1} does not fit its "types": {e}') from e
  return arguments, returns


def check_limits(tests: dict) -> Limits:
  """The limits that a row's tests ask for, the defaults for the rest. Raises ValueError for an unknown one."""
  given = tests.get('limits') or {}
  if not set(given) <= set(Limits._fields):
    raise ValueError(f'tests have limits {sorted(given)}; there are {Limits._fields}')
  return Limits(**given)


def _judge_stdin(cases: list[dict], run: client.Run, limits: Limits, same) -> tuple[int, str | None]:
  """(cases passed, reason of the first failure or None). same: of an expected output and bytes."""
  start, bad = 0, outcome.ended(run, limits)
  for i, (kind, end) in enumerate(run.marks[: len(cases)]):
    if not start <= end or end - start > limits.output_bytes or end > len(run.data):
      return i, 'output_limit'
    if kind != 'k':
      return i, outcome.failure(kind == 'm', bad)
    if not same(cases[i]['output'], run.data[start:end]):
      return i, 'wrong_answer'
    start = end
  done = min(len(run.marks), len(cases))
  if run.size - start > limits.output_bytes:
    return done, 'output_limit'
  if bad or done == len(cases):
    return done, bad
  # Exit code 0 in the middle of a case: os._exit(0), which honest programs use to end quickly.
  return (done + 1, None) if same(cases[done]['output'], run.data[start:]) else (done, 'wrong_answer')


def _judge_function(cases: list[dict], run: client.Run, limits: Limits, same) -> str | None:
  """Reason of the first failure or None. same: of an expected JSON value and the sandbox's line."""
  lines, bad = outcome.read_lines(run, len(cases), limits)
  for case, line in zip(cases, lines):
    try:
      if not same(json.loads(json.dumps(case['expected'])), outcome.parse_value(line)):
        return 'wrong_answer'
    except ValueError:
      return 'runtime_error'
  return bad


def verify(source: str, tests: dict, limits: Limits | None = None, box: client.Sandbox | None = None) -> Verdict:
  """Runs a program on its tests.

  Args:
    source: Python source, hostile until shown otherwise.
    tests: {'cases': [{'input': str, 'output': str}, ...]} for stdin programs, or {'function': name,
      'cases': [{'args': [...], 'expected': value}, ...]} for a plain function or a method of `class
      Solution`, or {'asserts': ...}, see asserts.plan. Besides, for cases: 'limits', an object of fields of Limits;
      'tolerance', for numbers with a point, relative or absolute (1e-6; 0 is exact); 'compare': 'livecodebench' for
      that benchmark's own verdicts, see outputs.same_words and outputs.same_result; 'types', {'args': [...], 'returns':
      ...} with 'TreeNode', 'ListNode', lists of them or '', for functions of LeetCode's nodes, see sandbox/nodes.py.
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
  if 'asserts' in tests and any(name in tests for name in ('tolerance', 'compare', 'types')):
    raise ValueError('tests of asserts compare by themselves: "tolerance", "compare" and "types" are for cases')
  if 'asserts' not in tests and not check_tests(tests)[1]:
    return Verdict('invalid', 'no_tests')
  if len(source.encode('utf-8', 'surrogatepass')) > limits.source_bytes:
    return Verdict('wrong', 'runtime_error')
  box = sandbox() if box is None else box
  for _ in range(2):
    try:
      reason = judge(source, tests, limits, box)
      return Verdict('wrong', reason) if reason else Verdict('correct', 'accepted')
    except (OSError, EOFError):
      continue
  return Verdict('invalid', 'fault')


def _judge(source: str, tests: dict, limits: Limits, box: client.Sandbox) -> str | None:
  """Reason of the first failure or None. The cases go to the sandbox in batches, so that a program which fails an
  early one does not pay for all."""
  (function, cases), (rule, tolerance) = check_tests(tests), check_rule(tests)
  types = check_types(tests, cases)
  given, same, more = _comparison(function, rule, tolerance, types)
  done, size = 0, FIRST_BATCH
  while True:
    batch = cases[done : done + size]
    run = box.run(
      source,
      [given(case) for case in batch],
      function,
      limits.cpu_seconds,
      limits.memory_bytes,
      limits.output_bytes,
      limits.case_seconds,
      **more,
    )
    if function:
      reason, passed = _judge_function(batch, run, limits, same), len(batch)
    else:
      passed, reason = _judge_stdin(batch, run, limits, same)
      size = size if passed == len(batch) else 1  # it ends itself in every case
    done, size, limits = done + passed, size * 4, limits._replace(cpu_seconds=limits.cpu_seconds - run.cpu)
    if reason or done >= len(cases):
      return reason
    if limits.cpu_seconds <= 0:
      return 'time_limit'


def _comparison(function: str | None, rule: str, tolerance: float, types: tuple | None) -> tuple:
  """(case -> the sandbox's input, whether an expected and a given result are the same, options of the run)."""
  exact = rule == LIVECODEBENCH
  more = ({'rule': rule} if exact else {}) | ({'types': types} if types else {})
  if not function:
    same = same_words if exact else lambda expected, got: same_text(expected, got, tolerance)
    return lambda case: case['input'], same, more
  result = lambda expected: expected
  if types:  # [] for None, no None at the end
    result = lambda expected: nodes.levels(*types[1], nodes.make(*types[1], expected))
  if exact:
    return (
      lambda case: json.dumps({'args': values.encode(list(case['args'])), 'kwargs': {'dict': []}}),
      lambda expected, got: same_result(result(expected), values.decode(got)),
      more | {'typed': True},
    )
  return (
    lambda case: json.dumps(case['args']),
    lambda expected, got: same_value(result(expected), got, tolerance),
    more,
  )


_sandbox = None
_lock = threading.Lock()


def sandbox() -> client.Sandbox:
  """This process's sandbox, made at the first use. Raises SandboxUnavailable."""
  global _sandbox
  with _lock:
    if _sandbox is None:
      _sandbox = client.Sandbox()
    return _sandbox
