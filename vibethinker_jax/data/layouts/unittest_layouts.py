r"""Test code of published sets, plain asserts or pytest's, as verify.code.asserts runs it.

read('from solution import add\n\ndef test_add():\n    assert add(1, 2) == 3\n')
    == {'asserts': 'assert add(1, 2) == 3', 'function': 'add', ...}
"""

import ast
import builtins
import re

from vibethinker_jax.data.layouts.layout_fields import Unusable

_CODE = re.compile(
  r'^\s*(?:assert\b|(?:async\s+)?def\s+(?:test|check)\w*\s*\(|from\s+\w+\s+import\b|import\s+\w+|'
  r'class\s+Test)',
  re.MULTILINE,
)
_NODES = re.compile(r'\b(?:list_node|tree_node|ListNode|TreeNode)\s*\(')
LIMITS = {'cpu_seconds': 10.0}
# What of pytest can be had without it. The program's exceptions arrive without their text, so `match` is not looked at.
PYTEST = """
class _Raises:
  def __init__(self, kinds, match=None):
    self.kinds = kinds
  def __enter__(self):
    return self
  def __exit__(self, kind, value, trace):
    assert kind is not None
    return issubclass(kind, self.kinds)
class _Approx:
  def __init__(self, expected, rel=None, abs=None, nan_ok=False):
    self.expected, self.rel, self.abs = expected, rel, abs
  def same(self, want, got):
    if isinstance(want, dict):
      return isinstance(got, dict) and want.keys() == got.keys() and all(self.same(want[k], got[k]) for k in want)
    if isinstance(want, (list, tuple)):
      return isinstance(got, (list, tuple)) and len(want) == len(got) and all(map(self.same, want, got))
    if not isinstance(want, (int, float, complex)) or isinstance(want, bool):
      return want == got
    limit = max(1e-6 * abs(want) if self.rel is None else self.rel * abs(want), 1e-12 if self.abs is None else self.abs)
    if self.abs is not None and self.rel is None:
      limit = self.abs
    return want == got or isinstance(got, (int, float, complex)) and abs(want - got) <= limit
  def __eq__(self, got):
    return self.same(self.expected, got)
class pytest:
  raises, approx = _Raises, _Approx
  def fail(*a, **k):
    raise AssertionError
"""
# The same of unittest. An assert that cannot be told yet does not end the test here either.
UNITTEST = """
class _Context:
  def __enter__(self):
    return self
  def __exit__(self, *a):
    return False
class TestCase:
  def setUp(self): pass
  def tearDown(self): pass
  def tried(self, name):
    self.setUp()
    getattr(self, name)()
    self.tearDown()
    return True
  def subTest(self, *a, **k): return _Context()
  def assertEqual(self, a, b, msg=None): assert a == b
  def assertNotEqual(self, a, b, msg=None): assert a != b
  def assertTrue(self, a, msg=None): assert a
  def assertFalse(self, a, msg=None): assert not a
  def assertIs(self, a, b, msg=None): assert a is b
  def assertIsNone(self, a, msg=None): assert a is None
  def assertIsNotNone(self, a, msg=None): assert a is not None
  def assertIn(self, a, b, msg=None): assert a in b
  def assertNotIn(self, a, b, msg=None): assert a not in b
  def assertIsInstance(self, a, b, msg=None): assert isinstance(a, b)
  def assertGreater(self, a, b, msg=None): assert a > b
  def assertGreaterEqual(self, a, b, msg=None): assert a >= b
  def assertLess(self, a, b, msg=None): assert a < b
  def assertLessEqual(self, a, b, msg=None): assert a <= b
  def assertCountEqual(self, a, b, msg=None): assert sorted(a, key=repr) == sorted(b, key=repr)
  def assertAlmostEqual(self, a, b, places=7, msg=None, delta=None):
    assert abs(a - b) <= delta if delta is not None else round(a - b, places) == 0
  assertListEqual = assertDictEqual = assertSetEqual = assertTupleEqual = assertSequenceEqual = assertEqual
  def assertRaises(self, kinds, call=None, *a, **k):
    if call is None:
      return _Raises(kinds)
    with _Raises(kinds):
      call(*a, **k)
"""
_OF_UNITTEST = set(re.findall(r'\b(?:assert\w+|subTest)', UNITTEST))


def is_code(value: str) -> bool:
  """Whether text is test code: asserts, test functions, or what imports the program."""
  return bool(_CODE.search(value)) and ('assert' in value or 'raises' in value or 'def check' in value)


def read(code: str, function: str = '', setup: str = '', starter: str = '') -> dict:
  """Tests of verify.code.asserts, with a call for each test function of pytest.

  Args:
    function: what the tests call, '' finds it in what they import. starter: the program's own solution, if known: it
      says which of the imported names are classes.

  Raises:
    Unusable: tests that need what cannot be had here: several functions of the program, its objects, fixtures.
  """
  if _NODES.search(code):
    raise Unusable('its tests make linked lists or trees')
  try:
    body = ast.parse(code.lstrip('\ufeff')).body
  except (SyntaxError, ValueError) as error:
    raise Unusable(f'its test code is not Python 3: {error}') from error
  named = _imported(body)
  if not function and len(used := [name for name in named if _uses(body, name)]) > 1:
    raise Unusable(f'its tests call several functions of the program: {", ".join(used)}')
  function = function or next((name for name in named if _uses(body, name)), '') or _called(body)
  if not named and not any(_is_test(node) or _is_case(node) for node in body):
    return (
      {'asserts': code, 'limits': LIMITS}
      | ({'function': function} if function else {})
      | ({'setup': setup} if setup else {})
    )
  if function and _is_class(function, starter, body):
    raise Unusable(f'its tests use objects of the program (class {function}), which are no data')
  kept, shim = [], []
  for node in body:
    if isinstance(node, (ast.Import, ast.ImportFrom)) and _module(node) in ('solution', 'pytest', 'unittest'):
      continue
    if _is_case(node):
      kept += _tried(node)
      continue
    kept += _run(node) if _is_test(node) else [] if _is_main(node) else [node]
  text = '\n'.join(ast.unparse(ast.fix_missing_locations(node)) for node in kept)
  cases = any(map(_is_case, body))
  if cases or 'pytest.' in text or 'raises(' in text or 'approx(' in text:
    shim = [PYTEST, *(f'{name} = pytest.{name}' for name in ('raises', 'approx'))] + [UNITTEST] * cases
    _check_pytest(text)
  return (
    {'asserts': '\n'.join(shim + [text]), 'limits': LIMITS}
    | ({'function': function} if function else {})
    | ({'setup': setup} if setup else {})
  )


def arguments(code: str, function: str) -> int:
  """How many arguments the first call of a function has in test code, 0 if there is none."""
  calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
  return next((len(call.args) + len(call.keywords) for call in calls if call.func.id == function), 0)


def _module(node) -> str:
  return (node.module or '') if isinstance(node, ast.ImportFrom) else node.names[0].name.split('.')[0]


def _imported(body: list) -> list[str]:
  return [
    alias.name
    for node in body
    if isinstance(node, ast.ImportFrom) and node.module == 'solution'
    for alias in node.names
    if alias.name != '*'
  ]


def _called(body: list) -> str:
  """The first name that test methods call and the test code does not define; '' without such methods."""
  defined = (
    {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    | {
      (alias.asname or alias.name).split('.')[0]
      for node in body
      if isinstance(node, (ast.Import, ast.ImportFrom))
      for alias in node.names
    }
    | set(dir(builtins))
  )
  calls = (node.func for case in filter(_is_case, body) for node in ast.walk(case) if isinstance(node, ast.Call))
  return next((call.id for call in calls if isinstance(call, ast.Name) and call.id not in defined), '')


def _uses(body: list, name: str) -> bool:
  return any(isinstance(node, ast.Name) and node.id == name for part in body for node in ast.walk(part))


def _is_test(node) -> bool:
  return isinstance(node, ast.FunctionDef) and node.name.startswith('test')


def _is_case(node) -> bool:
  return isinstance(node, ast.ClassDef) and any(map(_is_test, node.body))


def _tried(case: ast.ClassDef) -> list:
  """A class of test methods as statements that run them, each with its setUp.

  Raises:
    Unusable: it needs more of unittest than the calls and values of the program.
  """
  code, names = ast.unparse(case), [node.name for node in case.body if _is_test(node)]
  if any(getattr(node, 'decorator_list', None) for node in [case, *case.body]) or re.search(
    r'\b(?:mock|patch)\b', code
  ):
    raise Unusable('its tests replace or skip parts of the program (decorators, mock)')
  used = {
    node.attr
    for node in ast.walk(case)
    if isinstance(node, ast.Attribute)
    and isinstance(node.value, ast.Name)
    and node.value.id == 'self'
    and (node.attr.startswith('assert') or node.attr in ('fail', 'skipTest', 'subTest'))
  }
  if missing := sorted(used - _OF_UNITTEST):
    raise Unusable(f'its tests use {missing[0]} of unittest')
  case.bases = [ast.Name('TestCase', ast.Load())]
  return [case] + [ast.parse(f'assert {case.name}().tried({name!r})').body[0] for name in names]


def _is_main(node) -> bool:
  return isinstance(node, ast.If) and '__name__' in ast.unparse(node.test)


def _is_class(name: str, starter: str, body: list) -> bool:
  if starter:
    try:
      return any(isinstance(node, ast.ClassDef) and node.name == name for node in ast.parse(starter).body)
    except (SyntaxError, ValueError):
      pass
  return name[:1].isupper() and name != 'Solution'


def _run(test: ast.FunctionDef) -> list:
  """A test function as statements that run it: its asserts alone, or a call for each of its parameters' values."""
  arguments = [argument.arg for argument in test.args.args]
  marks, test.decorator_list = test.decorator_list, []
  rows = [({}, [])]
  for mark in marks:
    rows = [(values | dict(zip(names, row)), []) for values, _ in rows for names, row in _parameters(mark)]
  missing = set(arguments) - set(rows[0][0] if rows else ())
  if missing:
    raise Unusable(f'its tests need fixtures of pytest ({", ".join(sorted(missing))})')
  if not arguments and all(isinstance(node, ast.Assert) for node in test.body):
    return test.body
  calls = [', '.join(f'{name}={ast.unparse(value)}' for name, value in values.items()) for values, _ in rows]
  # As an assert, so that what cannot yet be told of one test does not hide the next from the verifier's first round.
  return [test] + [ast.parse(f'assert ({test.name}({call}), True)[1]').body[0] for call in calls]


def _parameters(mark) -> list[tuple]:
  """[(names, values)] of a decorator pytest.mark.parametrize.

  Raises:
    Unusable: it is another decorator, or its values stand elsewhere.
  """
  if not (isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith('parametrize') and len(mark.args) > 1):
    raise Unusable(f'its tests have the decorator {ast.unparse(mark)[:40]}')
  names, values = mark.args[:2]
  if isinstance(names, ast.Constant) and isinstance(names.value, str):
    names = [name.strip() for name in names.value.split(',') if name.strip()]
  elif isinstance(names, (ast.List, ast.Tuple)):
    names = [name.value for name in names.elts]
  if not isinstance(values, (ast.List, ast.Tuple)) or not isinstance(names, list):
    raise Unusable('the values of its parametrize are no list')
  found = []
  for value in values.elts:
    if isinstance(value, ast.Call) and ast.unparse(value.func) == 'pytest.param':
      value = ast.Tuple(value.args, ast.Load())
      value = value.elts[0] if len(names) == 1 else value
    row = [value] if len(names) == 1 else getattr(value, 'elts', [])
    if len(row) != len(names):
      raise Unusable(f'a row of its parametrize has {len(row)} values for {len(names)} names')
    found.append((names, row))
  return found


def _check_pytest(code: str) -> None:
  for name in set(re.findall(r'\bpytest\.(\w+)', code)) - {'raises', 'approx', 'fail'}:
    raise Unusable(f'its tests use pytest.{name}')
  if re.search(r'raises\([^\n]*\)\s+as\s+', code):
    raise Unusable('its tests look at the text of an exception, which does not leave the program')
