"""Judges a program by assert statements (HumanEval, MBPP, LeetCode) without showing it what they expect.

  tests = {'asserts': 'def check(candidate):\\n  assert candidate(2, 3) == 5', 'function': 'add'}
  judge('def add(a, b): return a + b', tests, Limits(), box) is None

The program's process gets calls alone and answers with values as data (sandbox/values.py). `assert f(x) == literal` is
compared here. Any other test (tolerances, loops, helper functions) runs in a second sandboxed process that holds no
model code, with `candidate` replaced by the values that the program gave: the test code is run once to learn which
calls it makes, and again with their values, until it has seen the value of each. So an object that is equal to
everything, a patched builtin or a forged exit code changes no verdict.

What this cannot see: changes of the arguments in place, objects that are no data (they equal nothing), that the same
call gives another value the second time, and tests that ask for more than MAX_ROUNDS rounds of calls, each made from
values of the one before.
"""

from __future__ import annotations

import ast
import builtins
import functools
import json
from typing import NamedTuple

from vibethinker_jax.verify.code import outcome
from vibethinker_jax.verify.code.outcome import Limits
from vibethinker_jax.verify.code.sandbox import client, values

MAX_ROUNDS = 8

# Runs the test code on stdin's known values of calls, and prints whether it holds and which other calls it made.
_CHECKER = """
import builtins, json, random, sys, types, values
known, asked, failed = dict(json.loads(sys.stdin.readline())), [], []
if 'numpy' in sys.modules:
  values._MAKE['array'] = lambda parts: sys.modules['numpy'].array(*parts)
class Unknown: pass
class Failed(Exception): pass
def candidate(*args, **kwargs):
  call = json.dumps([values.encode(args), values.encode(kwargs)])
  if call in known:
    kind, content = known[call]
    if kind == 'raised':
      error = getattr(builtins, content, None)  # the program may have named its own class like anything
      if not (isinstance(error, type) and issubclass(error, Exception)) or issubclass(error, UnicodeError):
        error = Exception
      raise error('raised by the program')
    return values.decode(content)
  if asked and '{"object": null}' in call:  # made from a value that is not known yet
    raise Failed
  if call not in asked:
    asked.append(call)
  return Unknown()
def holds(test):
  try:
    held = test()
  except Exception:  # a test of values that are not known yet may fail in any way; with all known it is raised
    if not asked:
      raise
  else:
    if not asked and not held:
      raise Failed
Solution = type('Solution', (), {FUNCTION: staticmethod(candidate)})
solution = types.ModuleType('solution')
solution.__dict__.update({'Solution': Solution, 'candidate': candidate, FUNCTION: candidate})
sys.modules['solution'] = solution
scope = {'Solution': Solution, 'candidate': candidate, FUNCTION: candidate, '__name__': 'tests', '_holds': holds}
random.seed(0)
try:
  for text in TEXTS:
    exec(text, scope)
except Exception as e:
  failed.append(type(e).__name__)
print(json.dumps([asked, failed if not asked else []]))
"""
_IMPORTS = (
  'import bisect, collections, copy, datetime, functools, heapq, itertools, math, operator, random, '
  're, string, sys\nfrom typing import *\n'
)


class Plan(NamedTuple):
  """How one problem's tests are run. direct: [(call, expected value)] if that is all of them; else checker: the test
  code as one program. setup: run after the program, in its own process, before direct calls."""

  function: str
  setup: str
  direct: tuple | None
  checker: str


class _Lazy(ast.NodeTransformer):
  """assert x -> _holds(lambda: x)."""

  def visit_Assert(self, node):
    test = ast.Lambda(ast.arguments([], [], None, [], [], None, []), node.test)
    return ast.Expr(ast.Call(ast.Name('_holds', ast.Load()), [test], []))


class _Methods(ast.NodeTransformer):
  """Solution().name -> name, and solution.name of tests that import the program as a module; `made` are variables that
  hold a Solution(). names: those found, in order."""

  def __init__(self, body: list):
    self.names = []
    self.made = {
      t.id
      for n in body
      if isinstance(n, ast.Assign) and _is_solution(n.value)
      for t in n.targets
      if isinstance(t, ast.Name)
    }
    self.module = any(isinstance(n, ast.Import) and any(a.name == 'solution' for a in n.names) for n in body)

  def visit_Attribute(self, node):
    node = self.generic_visit(node)
    owner = node.value
    of_module = self.module and isinstance(owner, ast.Name) and owner.id == 'solution'
    if not (of_module or _is_solution(owner) or isinstance(owner, ast.Name) and owner.id in self.made):
      return node
    if node.attr != 'Solution':
      self.names.append(node.attr)
    return ast.copy_location(ast.Name(node.attr, node.ctx), node)


def _is_solution(node) -> bool:
  return _calls(node, 'Solution') and not node.args and not node.keywords


def plan(tests: dict) -> Plan:
  """Reads a problem's tests, which come from the data set and not from a model.

  Args:
    tests: {'asserts': test code or a list of such (statements, or a function check(candidate)), 'function': the name
      of the program's function or Solution method (or 'Solution().name'), may be left out where the code says it,
      'setup': code the tests need}.
  Raises:
    ValueError: the code is no Python, or names no function.
  """
  code = tests['asserts'] if isinstance(tests['asserts'], str) else '\n'.join(tests['asserts'])
  function = tests.get('function')
  return _plan(
    code.lstrip('\ufeff'),
    outcome.function_name(function) if function else None,
    (tests.get('setup') or '').lstrip('\ufeff'),
  )


@functools.lru_cache(maxsize=512)
def _plan(code: str, function: str | None, setup: str) -> Plan:
  try:
    body, given = ast.parse(code).body, ast.parse(setup).body
  except SyntaxError as e:
    raise ValueError(f'the asserts are not Python: {e}') from e
  methods = _Methods(body)
  body = methods.visit(ast.Module(body, [])).body
  imported = [a.name for n in body if isinstance(n, ast.ImportFrom) and n.module == 'solution' for a in n.names]
  named = methods.names + [name for name in imported if name not in ('Solution', '*')]
  body = [n for n in body if not _brings_the_program(n, named)]
  check = next((n for n in body if isinstance(n, ast.FunctionDef) and n.name == 'check'), None)
  calls = [n for n in body if check and isinstance(n, ast.Expr) and _calls(n.value, 'check')]
  if check and calls:  # check(add)
    body = [n for n in body if n not in calls]
    argument = calls[0].value.args[0] if calls[0].value.args else None
    shown = getattr(argument, 'attr', None) or getattr(argument, 'id', None)
    named = [shown] if shown in named else named or [shown] * (shown not in (None, 'candidate'))
  function = function or (named[0] if named else None)
  if not function and not check:
    function = _first_call(body, given)
  if not function:
    raise ValueError('the asserts name no function: give "function" in the tests')
  if set(methods.names) - {function}:
    raise ValueError(
      f'the asserts call {", ".join(sorted(set(methods.names)))} of Solution; the function is {function}'
    )
  known = {n.id for s in given for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
  direct = _direct(check.body if check else body, {function, 'candidate'}, known)
  # no definition or import of that name, in the setup or the tests, may take the place of the program's
  again = '' if check and function == 'check' else f'\n{function} = candidate\n'
  parts = []
  for n in body:
    parts.append(ast.unparse(ast.fix_missing_locations(_Lazy().visit(n))))
    if isinstance(n, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Try, ast.If)):
      parts[-1] += again
  texts = [_IMPORTS + setup + again, '\n'.join(parts)] + (['check(candidate)'] if check else [])
  checker = _CHECKER.replace('FUNCTION', repr(function)).replace('TEXTS', repr(texts))
  return Plan(function, '' if check else setup, direct, checker)


def _brings_the_program(node, named: list[str]) -> bool:
  """`from solution import add`, `s = Solution()`, `candidate = Solution().add` (by now `candidate = add`) and the
  like."""
  if isinstance(node, (ast.Import, ast.ImportFrom)):
    module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
    return module == 'solution' and not any(a.asname for a in node.names)
  if not isinstance(node, ast.Assign) or not all(isinstance(t, ast.Name) for t in node.targets):
    return False
  value = node.value
  return (
    _is_solution(value)
    or isinstance(value, ast.Name)
    and value.id in named
    and all(t.id in (value.id, 'candidate') for t in node.targets)
  )


def _calls(node, name: str) -> bool:
  return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _first_call(body: list, given: list) -> str | None:
  """The first name that the asserts call and neither they nor Python define; else the first they call."""
  defined = {n.name for n in body + given if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
  called = [n.func.id for s in body for n in ast.walk(s) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
  others = [name for name in called if name not in defined] or called
  return next((name for name in others if name not in dir(builtins)), others[0] if others else None)


def _direct(body: list, names: set, known: set) -> tuple | None:
  """[(call, expected value)] if each statement is `assert f(...) == literal` or alike, else None."""
  found = []
  for statement in body:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) or isinstance(statement, ast.Pass):
      continue
    if not isinstance(statement, ast.Assert):
      return None
    test, expected = statement.test, True
    if isinstance(test, ast.Constant) and test.value:
      continue
    if not isinstance(test, ast.Compare) or len(test.ops) > 1 or not isinstance(test.ops[0], ast.Eq):
      return None
    call, other = test.left, test.comparators[0]
    if not any(_calls(call, name) for name in names):
      call, other = other, call
    try:
      expected = ast.literal_eval(other)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
      return None
    if not any(_calls(call, name) for name in names) or not all(
      _plain(a, known) for a in call.args + [k.value for k in call.keywords]
    ):
      return None
    call.func.id = 'candidate'
    found.append((ast.unparse(call), expected))
  return tuple(found)


def _plain(node, known: set) -> bool:
  """Whether an argument is a literal, with names that the setup defines."""
  return all(
    isinstance(n, (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.unaryop, ast.Load))
    or isinstance(n, ast.Name)
    and n.id in known
    for n in ast.walk(node)
  )


def judge(source: str, tests: dict, limits: Limits, box: client.Sandbox) -> str | None:
  """Reason of the first failure or None.

  Args:
    source: the program.
    tests: see plan.
    limits: of the program; the test code has them too.
    box: runs both.
  Raises:
    ValueError: the tests cannot be run this way, whatever the program.
  """
  todo = plan(tests)
  if todo.direct is not None:
    if not todo.direct:
      raise ValueError('the asserts assert nothing')
    lines, bad = _values(source, [json.dumps({'call': call}) for call, _ in todo.direct], todo, limits, box)
    for (_, expected), line in zip(todo.direct, lines):
      try:
        if not values.decode(outcome.parse_value(line)) == expected:
          return 'wrong_answer'
      except ValueError:
        return 'runtime_error'
    return bad
  known, asked, failed = [], _first_round(todo, limits, box), []
  if not asked:
    raise ValueError('the asserts make no call')
  for _ in range(MAX_ROUNDS):
    inputs = ['{"args": %s, "kwargs": %s}' % tuple(map(json.dumps, json.loads(call))) for call in asked]
    lines, bad = _values(source, inputs, todo, limits, box, go_on=True)
    if bad:
      return bad
    try:
      known += [f'[{json.dumps(call)}, {_outcome(line)}]' for call, line in zip(asked, lines)]
    except ValueError:
      return 'runtime_error'
    asked, failed = _check(todo, known, limits, box)
    if not asked:
      return None if not failed else 'wrong_answer' if failed[0] in ('Failed', 'TypeError') else 'runtime_error'
  raise ValueError(f'the asserts ask for more than {MAX_ROUNDS} rounds of calls')


def _outcome(line: bytes) -> str:
  """JSON of ['value', form] or ['raised', name of the exception], for the checker. Raises ValueError for no value."""
  if line.startswith(b'!x '):
    return json.dumps(['raised', line[3:].decode('ascii', 'replace')])
  values.decode(outcome.parse_value(line))
  return f'["value", {line.decode("utf-8")}]'  # as it is: it may hold integers that cost time to read and write


def _values(source, inputs, todo: Plan, limits: Limits, box, go_on=False) -> tuple[list[bytes], str | None]:
  """The result lines of the program's calls up to the first failure, and the failure's reason or None."""
  run = box.run(
    source,
    inputs,
    todo.function,
    limits.cpu_seconds,
    limits.memory_bytes,
    limits.output_bytes,
    limits.case_seconds,
    typed=True,
    go_on=go_on,
    setup=todo.setup,
  )
  return outcome.read_lines(run, len(inputs), limits)


@functools.lru_cache(maxsize=512)
def _first_round(todo: Plan, limits: Limits, box) -> tuple[str, ...]:
  """The calls that the test code makes before it knows any value: the same for every program."""
  return tuple(_check(todo, [], limits, box)[0])


def _check(todo: Plan, known: list[str], limits: Limits, box) -> tuple[list[str], list[str]]:
  """(calls whose values the test code still needs, names of the exceptions that ended it)."""
  run = box.run(
    todo.checker, [f'[{", ".join(known)}]\n'], None, limits.cpu_seconds, limits.memory_bytes, limits.output_bytes
  )
  try:
    asked, failed = json.loads(run.data)
  except ValueError as e:
    if known:  # it ran before: the program's values are to blame, like 10^12 for a length
      return [], ['Failed']
    raise ValueError(f'the test code does not run: exit code {run.exit_code}, signal {run.signal}') from e
  return asked, failed
