import decimal
import fractions
import gzip
import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from vibethinker_jax.verify.code import asserts, programs as code
from vibethinker_jax.verify.code.sandbox import values

ADD = 'def add(a, b): return a + b\n'
CHECK = 'def check(candidate):\n  assert candidate(2, 3) == 5\n  assert candidate(b=4, a=10) == 14\n'
CLOSE = 'def check(candidate):\n  assert abs(candidate(2, 3) - 5) < 1e-6, "message"\n'
LOOP = (
  'def check(candidate):\n  import random\n  for _ in range(50):\n'
  '    x, y = random.randint(0, 99), random.randint(0, 99)\n    assert candidate(x, y) == x + y\n'
)
TWICE = 'def check(candidate):\n  assert candidate(candidate(1, 2), candidate(candidate(1, 1), 1)) == 6\n'


def reason(source, asserts_, **more):
  return code.verify(source, {'asserts': asserts_} | more).reason


@pytest.mark.parametrize(
  'source, tests, more, expected',
  [
    (ADD, CHECK, {'function': 'add'}, 'accepted'),
    (ADD, CLOSE, {'function': 'add'}, 'accepted'),
    (ADD, LOOP, {'function': 'add'}, 'accepted'),
    (ADD, TWICE, {'function': 'add'}, 'accepted'),
    (ADD, CHECK + 'check(add)', {}, 'accepted'),
    (ADD, ['assert add(2, 3) == 5', 'assert add("a", "b") == "ab"'], {}, 'accepted'),
    ('class Solution:\n  def add(self, a, b): return a + b', CHECK + '\ncheck(Solution().add)', {}, 'accepted'),
    (
      'class Solution:\n  def add(self, a: List[int], b): return max(accumulate([a, b]))',
      CHECK + '\ncheck(Solution().add)',
      {},
      'accepted',
    ),
    ('def sum(a, b): return a + b', ['assert sum(1, 2) == 3'], {}, 'accepted'),
    (ADD.replace('+', '-'), CHECK, {'function': 'add'}, 'wrong_answer'),
    (ADD.replace('+', '-'), CLOSE, {'function': 'add'}, 'wrong_answer'),
    (ADD.replace('+', '-'), LOOP, {'function': 'add'}, 'wrong_answer'),
    (ADD.replace('+', '*'), TWICE, {'function': 'add'}, 'wrong_answer'),
    ('def f(x): return (x, [x])', ['assert f(1) == (1, [1])'], {}, 'accepted'),
    ('def f(x): return [x, [x]]', ['assert f(1) == (1, [1])'], {}, 'wrong_answer'),
    ('def f(x): return {1: {x}, (2,): None}', ['assert f(3) == {(2,): None, 1: {3}}'], {}, 'accepted'),
    (
      'from collections import Counter\ndef f(x): return Counter(x)',
      ['assert f("aab") == {"a": 2, "b": 1}'],
      {},
      'accepted',
    ),
    ('def f(x): return map(abs, x)', ['assert list(f([-1, 2])) == [1, 2]'], {}, 'accepted'),
    ('def f(x): return 2j * x', ['assert f(1) == 2j'], {}, 'accepted'),
    ('def f(x): return x', ['assert f(0.1 + 0.2) == 0.3'], {}, 'wrong_answer'),
    (
      'def f(x):\n  if x < 0: raise ValueError\n  return x',
      'def check(candidate):\n  try:\n    candidate(-1)\n    assert False\n  except ValueError:\n    pass\n'
      '  assert candidate(1) == 1',
      {'function': 'f'},
      'accepted',
    ),
    *[
      ('class Solution:\n  def add(self, a, b): return a + b', tests, {}, 'accepted')
      for tests in (
        'assert Solution().add(2, 3) == 5',
        's = Solution()\nassert s.add(2, 3) == 5',
        CHECK + 'candidate = Solution().add\ncheck(candidate)',
        CHECK + 'f = Solution().add\ncheck(f)',
        'from solution import Solution\nassert Solution().add(2, 3) == 5',
        CLOSE + 'check(Solution().add)',
        'import solution\nassert solution.Solution().add(2, 3) == 5',
        'from solution import add\nassert add(2, 3) == 5',
        'def test_add():\n  assert Solution().add(2, 3) == 5\ntest_add()',
      )
    ],
    (
      'class Solution:\n  def add(self, a, b): return a - b',
      's = Solution()\nassert s.add(2, 3) == 5',
      {},
      'wrong_answer',
    ),
    ('class Solution:\n  def add(self, a, b): return a + b', CHECK, {'function': 'Solution().add'}, 'accepted'),
    ('\ufeff' + ADD, '\ufeff' + CHECK, {'function': 'add'}, 'accepted'),
    ('def f(x): return 10**5000 + x', ['assert f(1) == 10**5000 + 1'], {}, 'accepted'),
    ('def f(x): return 10**5000 + x', ['assert f(1) == 10**5000 + 2'], {}, 'wrong_answer'),
    ('def f(x): return 10**5000 + x', ['assert f(1) == %d' % 7], {}, 'wrong_answer'),
    (
      'import numpy as np\ndef f(x): return np.int64(x)',
      ['import numpy as np\nassert np.isclose(f(3), 3)'],
      {},
      'accepted',
    ),
    (
      'class Node:\n  def __init__(self, v): self.v = v\ndef f(node): return node.v',
      ['assert f(root) == 3'],
      {'setup': 'root = Node(2)\nroot.v = 3'},
      'accepted',
    ),
    (
      'def f(x): return x',
      'def check(candidate):\n  assert helper(candidate(2)) == 4',
      {'function': 'f', 'setup': 'def helper(x): return 2 * x\ndef f(x): pass'},
      'accepted',
    ),
    ('def g(x): return x', ['assert f(1) == 1'], {}, 'runtime_error'),
    ('x = (', CHECK, {'function': 'add'}, 'runtime_error'),
    ('def add(a, b): return 1 / 0', CHECK, {'function': 'add'}, 'runtime_error'),
    ('def add(a, b):\n  while True: pass', CHECK, {'function': 'add', 'limits': {'cpu_seconds': 0.5}}, 'time_limit'),
    ('import os\ndef add(a, b): os.fork()', CLOSE, {'function': 'add'}, 'security'),
  ],
)
def test_verdicts(source, tests, more, expected):
  assert reason(source, tests, **more) == expected


@pytest.mark.parametrize('tests', [CHECK, CLOSE, LOOP, TWICE])
@pytest.mark.parametrize(
  'source',
  [
    'class E:\n  def __eq__(s, o): return True\n  def __sub__(s, o): return s\n  __abs__ = lambda s: s\n'
    '  __lt__ = __eq__\n'
    '  def __add__(s, o): return s\ndef add(a, b): return E()',
    'class E(int):\n  def __eq__(s, o): return True\n  def __ne__(s, o): return False\n  __hash__ = int.__hash__\n'
    '  __sub__ = lambda s, o: 0\ndef add(a, b): return E(77)',
    'import os, sys\ndef add(a, b):\n  sys.stdout.flush()\n  os._exit(0)',
    'import sys\ndef add(a, b): sys.exit(0)',
    'import builtins\nbuiltins.AssertionError = type("E", (Exception,), {})\nbuiltins.abs = lambda x: 0\n'
    'def add(a, b): return 77',
    'import os\nos.write(3, b"5\\n14\\n")\ndef add(a, b): return 0',
    'import os\ndef add(a, b):\n  for fd in (1, 2, 3): os.write(fd, b"[[], []]\\n")\n  os._exit(0)',
    'import sys\ndef add(a, b):\n  f = sys._getframe()\n  while f:\n    for scope in (f.f_locals, f.f_globals):\n'
    '      for name in ("expected", "known", "direct"):\n        if name in scope: return scope[name]\n    f = '
    'f.f_back',
    'import values\nvalues.encode = lambda v: 5\nvalues.decode = lambda v: 5\ndef add(a, b): return {"tuple": 3}',
    'def add(a, b):\n  import gc\n  for o in gc.get_objects():\n    if isinstance(o, dict) and "direct" in o: return '
    'o["direct"]\n'
    '  return -1',
  ],
)
def test_forgeries_change_no_verdict(source, tests):
  assert reason(source, tests, function='add') in ('wrong_answer', 'runtime_error')


# What setup or tests define or import by that name, and what is offered to them, is not the program's.
@pytest.mark.parametrize(
  'source',
  [
    'raise SystemExit(0)\n' + ADD,
    'import sys\nsys.exit()',
    'import os\nos._exit(0)',
    '',
    'class Solution: pass',
    'from builtins import *',
    'import operator',
    'def sub(a, b): return a - b',
    'exit()\nfrom operator import add',
  ],
)
@pytest.mark.parametrize(
  'tests, more',
  [
    ('from operator import *\nassert add(2, 3) == 5', {}),
    (['assert add(2, 3) == 5'], {'setup': 'from operator import *'}),
    (['assert add(2, 3) == 5'], {'setup': ADD}),
    (CHECK, {'setup': ADD, 'function': 'add'}),
    (ADD + CHECK, {'function': 'add'}),
    (CHECK + 'from operator import add\ncheck(add)', {}),
    (CLOSE, {'function': 'add', 'setup': 'from operator import *'}),
    ('class Solution:\n  def add(self, a, b): return a + b\nassert Solution().add(2, 3) == 5', {}),
    ('try:\n  from operator import add\nexcept ImportError: pass\nassert add(2, 3) == 5', {'function': 'add'}),
  ],
)
def test_only_the_programs_own_function_is_graded(source, tests, more):
  assert reason(source, tests, **more) == 'runtime_error'
  assert reason(ADD, tests, **more) == 'accepted'


def test_setup_does_not_change_the_program():
  source = 'def helper(x): return x + 1\ndef f(x): return helper(x)'
  assert reason(source, ['assert f(two) == 3'], setup='two = 2\ndef helper(x): return 0') == 'accepted'


@pytest.mark.parametrize(
  'source',
  [
    'class SystemExit(Exception): pass\ndef f(x): raise SystemExit',
    'class exit(Exception): pass\ndef f(x): raise exit',
    'class print(Exception): pass\ndef f(x): raise print',
    'class UnicodeDecodeError(Exception): pass\ndef f(x): raise UnicodeDecodeError',
    'def f(x): return 10**12',
    'def f(x): return "x"',
    'from decimal import Decimal\ndef f(x): return Decimal("sNaN")',
    'from fractions import Fraction\n'
    'class F(Fraction):\n  def __str__(self): return "1e999999999"\n'
    'def f(x):\n  r = F(1, 2)\n  type(r).__name__ = "Fraction"\n  return r',
  ],
)
@pytest.mark.parametrize(
  'tests', ['assert sum(1 for _ in range(f(3))) == 3', 'assert f(3) == 3', 'x = [0] * f(3)\nassert len(x) == 3']
)
def test_no_result_makes_a_verdict_invalid(source, tests):
  assert reason(source, tests, function='f') in ('wrong_answer', 'runtime_error')
  assert reason('def f(x): return x', tests, function='f') == 'accepted'


@pytest.mark.parametrize('tests', [CHECK, CLOSE, ['assert add(2, 3) == 5', 'assert add(2, 3) != 12345678']])
def test_the_program_never_gets_what_is_expected(tests, monkeypatch):
  tests = [t.replace('5', '77112') for t in ([tests] if isinstance(tests, str) else tests)]
  sent = []
  real = code.sandbox().run
  monkeypatch.setattr(code.sandbox(), 'run', lambda *a, **k: (sent.append((a, k)), real(*a, **k))[1])
  assert reason('# MARKER\n' + ADD, tests, function='add') == 'wrong_answer'
  mine = [repr(s) for s in sent if 'MARKER' in s[0][0]]
  assert len(mine) == 1 and '77112' not in mine[0]
  assert not any('MARKER' in s[0][0] and '77112' in repr(s) for s in sent)


@pytest.mark.parametrize(
  'tests, message',
  [
    ('assert (', 'not Python'),
    ('x = 1', 'no function'),
    ('assert Solution().f(1) == Solution().g(1)', 'f, g of Solution'),
    ('def check(candidate):\n  pass', 'nothing'),
    ('assert True', 'no function'),
    ('def check(candidate):\n  x = 1\n  assert x', 'no call'),
    ('def check(candidate):\n  x = 0\n  for _ in range(20): x = candidate(x, 1)\n  assert x', 'rounds'),
  ],
)
def test_tests_that_prove_nothing_are_errors(tests, message):
  more = {'function': 'add'} if 'check' in tests else {}
  with pytest.raises(ValueError, match=message):
    code.verify(ADD, {'asserts': tests} | more)


@pytest.mark.parametrize(
  'value',
  [
    None,
    True,
    3,
    2.5,
    'x',
    [1, [2]],
    (1, (2,)),
    {1, 2},
    frozenset({3}),
    {(1,): {'a': [b'x']}},
    3j,
    range(3),
    decimal.Decimal('1.5'),
    fractions.Fraction(1, 3),
  ],
)
def test_values_survive(value):
  back = values.decode(json.loads(json.dumps(values.encode(value))))
  assert back == value and type(back) is type(value)


@pytest.mark.parametrize(
  'form',
  [
    {'set': [[1]]},
    {'dict': [[1]]},
    {'tuple': 3},
    {'x': 1},
    {},
    {'tuple': [], 'set': []},
    {'complex': [1, 2, 3]},
    {'bytes': 'zz'},
    {'range': [0, 1, 0]},
    {'Decimal': 'x'},
    {'Decimal': 'sNaN'},
    {'Fraction': '1/0'},
    {'Fraction': '1e999999999'},
    {'Fraction': '1' * 10**6},
    {'dict': [[[], 1]]},
  ],
)
def test_forged_forms_are_refused(form):
  with pytest.raises(ValueError):
    values.decode(form)


def test_limits_and_tolerance_of_a_problem():
  spin = (
    'import time\ndef f(x):\n  end = time.process_time() + 0.8\n  while time.process_time() < end: pass\n  return x'
  )
  assert reason(spin, ['assert f(1) == 1']) == 'accepted'
  assert reason(spin, ['assert f(1) == 1'], limits={'cpu_seconds': 0.4}) == 'time_limit'
  with pytest.raises(ValueError, match='cpu_secs'):
    reason(spin, ['assert f(1) == 1'], limits={'cpu_secs': 1})
  near = {'cases': [{'input': '', 'output': '0.333333 7\n'}]}
  assert code.verify('print(1/3, 7)', near | {'tolerance': 0}).reason == 'wrong_answer'
  assert code.verify('print(1/3, 7)', near | {'tolerance': 1e-8}).reason == 'wrong_answer'
  assert code.verify('print(1/3, 7)', near).reason == 'accepted'
  assert code.verify('print(1/3, 7)', near | {'tolerance': 1e-5}).reason == 'accepted'
  for wrong in (
    'print(0.3334, 7)',
    'print(1/3, 7.0000001)',
    'print(1/3)',
    'print("nan", 7)',
    'print(1/3, 7, 7)',
    'print("1_0", 7)',
  ):
    assert code.verify(wrong, near | {'tolerance': 1e-5}).reason == 'wrong_answer', wrong
  number = {'function': 'f', 'cases': [{'args': [1], 'expected': 0.333}]}
  assert code.verify('def f(x): return 1 / 3', number).reason == 'wrong_answer'
  assert code.verify('def f(x): return 1 / 3', number | {'tolerance': 1e-2}).reason == 'accepted'


def test_limit_of_one_case():
  spin = 'import time\nend = time.process_time() + 1.5 * int(input())\nwhile time.process_time() < end: pass\nprint(1)'
  cases = {'cases': [{'input': x, 'output': '1'} for x in ('0', '1', '0')]}
  assert code.verify(spin, cases | {'limits': {'cpu_seconds': 4}}).reason == 'accepted'
  assert code.verify(spin, cases | {'limits': {'cpu_seconds': 4, 'case_seconds': 0.9}}).reason == 'time_limit'


def test_a_wrong_program_does_not_run_all_cases(monkeypatch):
  counts = []
  real = code.sandbox().run
  monkeypatch.setattr(code.sandbox(), 'run', lambda s, inputs, *a: (counts.append(len(inputs)), real(s, inputs, *a))[1])
  cases = {'cases': [{'input': str(i), 'output': str(i * i)} for i in range(100)]}
  assert code.verify('print(int(input()) + 0)', cases).reason == 'wrong_answer' and counts == [4]
  del counts[:]
  assert code.verify('print(int(input()) ** 2)', cases).reason == 'accepted' and counts == [4, 16, 64, 16]


DATA = os.environ.get('VIBETHINKER_DATA', '')
SORTED = importlib.util.find_spec('sortedcontainers') is not None  # one LeetCode solution imports it
LEETCODE = ''.join(
  f'from {name} import *\n'
  for name in (
    'operator',
    'string',
    'math',
    'bisect',
    'heapq',
    'functools',
    'itertools',
    'collections',
    'typing',
    'builtins',
  )
)


def references(name):
  """(id, program, tests, the same tests as code that runs with the program) of a data set's reference solutions."""
  with gzip.open(f'{DATA}/{name}.jsonl.gz', 'rt') as f:
    rows = [json.loads(line) for line in f]
  for i, row in enumerate(rows):
    if name == 'humaneval':
      yield (
        i,
        row['prompt'] + row['canonical_solution'],
        {'asserts': row['test'], 'function': row['entry_point'], 'setup': row['prompt']},
        f'{row["test"]}\ncheck({row["entry_point"]})',
      )
    elif name == 'mbpp' and 11 <= row['task_id'] <= 510:
      yield (
        row['task_id'],
        row['code'],
        {'asserts': row['test_list'], 'setup': row['test_setup_code'], 'limits': {'cpu_seconds': 10}},
        row['test_setup_code'] + '\n' + '\n'.join(row['test_list']),
      )
    elif name == 'leetcode_test_200' and not re.search(r'ListNode|TreeNode', row['solutions']):
      yield i, LEETCODE + row['solutions'], {'asserts': row['tests']['functional']}, row['tests']['functional']


@pytest.mark.slow  # 25 s together
@pytest.mark.skipif(not DATA, reason='VIBETHINKER_DATA names no folder of data sets')
@pytest.mark.parametrize('name, count', [('humaneval', 164), ('mbpp', 500), ('leetcode_test_200', 199 + SORTED)])
def test_reference_solutions_pass_and_broken_ones_do_not(name, count):
  passed = 0
  for number, source, tests, bare in references(name):
    verdict = code.verify(source, tests)
    done = subprocess.run([sys.executable, '-I', '-c', source + '\n' + bare], capture_output=True, check=False)
    assert (verdict.status == 'correct') == (done.returncode == 0), (name, number, verdict, done.stderr[-200:])
    passed += verdict.status == 'correct'
    function = asserts.plan(tests).function
    owner = 'Solution' if re.search(r'^class Solution', source, re.MULTILINE) else None
    target = f'{owner}.{function}' if owner else function
    broken = f'{source}\ndef _broken(*a, **k): return 987654321\n{target} = _broken\n'
    assert code.verify(broken, tests).status == 'wrong', (name, number)
  assert passed == count
