import os
import socket
import time

import pytest

from vibethinker_jax.verify.code import outcome, programs as code
from vibethinker_jax.verify.code.programs import Limits
from vibethinker_jax.verify.verdict import CODE_REASONS, Verdict

STDIN = {'cases': [{'input': '2 3\n', 'output': '5\n'}, {'input': '10 -4\n', 'output': '6\n'}]}
ONE = {'cases': STDIN['cases'][:1]}
ADD = {'function': 'add', 'cases': [{'args': [2, 3], 'expected': 5}, {'args': [10, -4], 'expected': 6}]}
SUM = 'a, b = map(int, input().split())\nprint(a + b)\n'
QUICK = Limits(cpu_seconds=0.5)


def reason(source, tests=STDIN, limits=Limits()):
  verdict = code.verify(source, tests, limits)
  assert verdict.reason in CODE_REASONS
  assert verdict.status == ('correct' if verdict.reason == 'accepted' else 'wrong')
  return verdict.reason


@pytest.mark.parametrize(
  'source',
  [
    SUM,
    SUM + 'exit()',
    SUM + 'import sys\nsys.exit(0)',
    SUM + 'import os, sys\nsys.stdout.flush()\nos._exit(0)',
    'import os\na, b = map(int, os.read(0, 1 << 16).split())\nos.write(1, b"%d\\n" % (a + b))',
    'import io, os\ninput = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\n'
    'print(sum(map(int, input().split())))',
    'print(sum(map(int, open(0).read().split())), end="  \\n\\n")',
    'import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))\nsys.stdin = None',
    'import atexit, sys\nout = []\natexit.register(lambda: sys.stdout.write("".join(out)))\n'
    'out.append(str(sum(map(int, input().split()))))',
    'import sys, threading\nsys.setrecursionlimit(300000)\nthreading.stack_size(128 << 20)\n'
    'def f(n): return 0 if n == 0 else 1 + f(n - 1)\ndef main():\n  a, b = map(int, input().split())\n'
    '  print(a + b + f(20000) - 20000)\nt = threading.Thread(target=main)\nt.start()\nt.join()',
    'import math, collections, heapq, bisect, itertools, functools, re, string, random\n'
    'import decimal, fractions, operator, copy\n'
    'import datetime, statistics, typing, json, array, queue, time, os, sys\n' + SUM,
    'import sys, builtins\ntry:\n  a, b = map(int, input().split())\nfinally:\n  builtins.input = None\nprint(a + b)',
  ],
)
def test_honest_stdin_programs(source):
  assert reason(source) == 'accepted'


@pytest.mark.parametrize(
  'source',
  [
    'def add(a, b): return a + b',
    'class Solution:\n  def add(self, a: int, b: int) -> int:\n    return a + b',
    'from functools import cache\nclass Solution:\n  def add(self, a: List[int], b):\n    print("noise")\n'
    '    return a + b',
  ],
)
def test_honest_functions(source):
  assert reason(source, ADD) == 'accepted'


@pytest.mark.parametrize(
  'source, expected',
  [
    ('print(5)', 'wrong_answer'),
    ('pass', 'wrong_answer'),
    ('for i in range(100): print(i)', 'wrong_answer'),
    ('import os\nos.write(1, b"\\xff\\xfe5\\n")', 'wrong_answer'),
    ('print("\\uff15")', 'wrong_answer'),
    (SUM + '1/0', 'runtime_error'),
    (SUM + 'raise SystemExit(3)', 'runtime_error'),
    ('x = (', 'runtime_error'),
    ('print(1)\0', 'runtime_error'),
    ('"\ud800"', 'runtime_error'),
    ('import ctypes\nctypes.string_at(0)', 'runtime_error'),
    ('import sympy', 'runtime_error'),
    ('#' * (300 << 10), 'runtime_error'),
    ('x = bytearray(6 << 30)', 'memory_limit'),
    ('while True: print("x" * 9999)', 'output_limit'),
    ('import os\nos.fork()\nprint(5)', 'security'),
    ('import socket\nsocket.socket()', 'security'),
    ('import os\nos.execv("/bin/echo", ["echo", "5"])', 'security'),
    ('import subprocess\nprint(subprocess.run(["echo", "5"]))', 'security'),
    ('import ctypes\nctypes.CDLL(None).ptrace(16, 1, 0, 0)', 'security'),
    ('import os\nos.kill(os.getppid(), 9)', 'runtime_error'),
    ('open("/etc/passwd")', 'runtime_error'),
  ],
)
def test_reason_of_a_failing_program(source, expected):
  assert reason(source) == expected


@pytest.mark.parametrize(
  'source',
  [
    'while True: pass',
    'import time\ntime.sleep(60)',
    'x = 9 ** (9 ** 9)',
    'import re\nre.match(r"(a+)+$", "a" * 64 + "b")',
    'import signal\nfor s in range(1, 65):\n  try: signal.signal(s, signal.SIG_IGN)\n'
    '  except (OSError, ValueError): pass\n'
    'while True:\n  try:\n    while True: pass\n  except BaseException: pass',
  ],
)
def test_endless_programs_end(source):
  start = time.monotonic()
  assert reason(source, ONE, QUICK) == 'time_limit'
  assert time.monotonic() - start < 4.0  # 2 x 0.5 + 1 s, and room for a busy machine


def test_cpu_limit_below_the_whole_second_of_the_kernel():
  assert reason('import time\nwhile time.process_time() < 0.75: pass\n' + SUM, ONE, QUICK) == 'time_limit'


def test_cpu_limit_is_for_all_processes_of_a_program():
  spin = 'import os, time\nwhile time.process_time() < 0.3: pass\na, b = map(int, input().split())\n'
  source = spin + 'os.write(1, b"%d" % (a + b))\nos._exit(0)'
  assert reason(source, ONE, QUICK) == 'accepted'
  assert reason(source, {'cases': STDIN['cases'] * 2}, QUICK) == 'time_limit'


def test_cpu_limit_is_for_all_cases_together():
  spin = 'import time\nwhile time.process_time() < {}: pass\n' + SUM
  assert reason(spin.format(0.1), ONE, QUICK) == 'accepted'
  slow = 'import time\nt = time.process_time()\nwhile time.process_time() - t < 0.2: pass\n' + SUM
  assert reason(slow, {'cases': STDIN['cases'] * 4}, QUICK) == 'time_limit'


@pytest.mark.parametrize(
  'source',
  [
    'class E:\n  def __eq__(self, o): return True\ndef add(a, b): return E()',
    'class E(int):\n  def __eq__(self, o): return True\n  def __repr__(self): return "5555"\n'
    'def add(a, b): return E(0)',
    'class L(list):\n  def __eq__(self, o): return True\ndef add(a, b): return L([1])',
    'class F:\n  __class__ = int\n  def __index__(self): return 5\n  def __eq__(self, o): return True\n'
    'def add(a, b): return F()',
    'import os\ndef add(a, b): os._exit(0)',
    'import sys\ndef add(a, b): sys.exit(0)',
    'def add(a, b): return True',
    'import os\nos.write(3, b"5\\n6\\n7\\n")\ndef add(a, b): return a + b',
    'import os\nos.write(3, b\'{"ok": true, "value": true}\\n\')\nos._exit(0)',
    'import os\nos.write(3, b"[" * 60000 + b"\\n")\nos._exit(0)',
    'import json\njson.JSONEncoder.encode = lambda self, o: "true"\njson.dumps = lambda *a: "true"\n'
    'def add(a, b): return 0',
    'import sys\ndef add(a, b):\n  f = sys._getframe()\n  while f:\n'
    '    for k in ("expected", "outputs", "gt_out"):\n      if k in f.f_locals: return f.f_locals[k]\n'
    '    f = f.f_back',
    'def add(a, b):\n  l = []\n  for i in range(200000): l = [l]\n  return l',
    'def add(a, b): return "x" * (64 << 20)',
    'def add(a, b): return float("nan")',
    'def add(a, b): return a + b + 1e-9',
    'def add(a, b): return "5"',
    'print(5)\nprint(6)',
    'add = 5',
    'class Solution:\n  @property\n  def add(self): return 5',
  ],
)
def test_forged_function_results(source):
  assert reason(source, ADD) not in ('accepted', 'time_limit')


@pytest.mark.parametrize(
  'source',
  [
    'import os\nfor fd in range(3, 64):\n  try: os.write(fd, b"k 0\\nk 0\\nk 2\\n")\n  except OSError: pass\n'
    'os._exit(0)',
    'import os\nos.write(3, b"k 99999\\n" * 9)',
    'import os\nos.write(3, b"accepted\\n")',
    'import sys\nsys.exit(0)',
    'class W:\n  def write(self, s): return len(s)\n  def flush(self): pass\nimport sys\nsys.stdout = W()\nprint(5)',
    'import builtins\nbuiltins.all = builtins.any = lambda *a: True\nprint(0)',
    'print("accepted")\nprint(\'{"status": "correct"}\')',
  ],
)
def test_forged_stdin_results(source):
  assert reason(source, STDIN) in ('wrong_answer', 'runtime_error', 'output_limit')


def test_expected_outputs_never_reach_the_sandbox(monkeypatch):
  sent = []
  real = code.sandbox().run
  monkeypatch.setattr(code.sandbox(), 'run', lambda *a: (sent.append(a), real(*a))[1])
  assert reason(SUM, {'cases': [{'input': '1 2', 'output': 'SECRET_1'}]}) == 'wrong_answer'
  assert (
    reason('def f(x): return x', {'function': 'f', 'cases': [{'args': [1], 'expected': 'SECRET_2'}]}) == 'wrong_answer'
  )
  assert len(sent) == 2 and 'SECRET' not in repr(sent)


def test_nothing_is_written_and_no_socket_connects(tmp_path):
  target = tmp_path / 'x'
  os.chmod(tmp_path, 0o777)
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    listener.listen()
    listener.setblocking(False)
    for source in (
      f'open({str(target)!r}, "w").write("x")',
      f'import os\nos.mkdir({str(target)!r})',
      f'import os\nos.symlink("/etc", {str(target)!r})',
      f'import os\nos.chmod({str(tmp_path)!r}, 0)',
      f'import socket\nsocket.create_connection({listener.getsockname()!r})',
    ):
      assert reason(source) in ('runtime_error', 'security')
    with pytest.raises(BlockingIOError):
      listener.accept()
  assert not target.exists() and os.stat(tmp_path).st_mode & 0o777 == 0o777


# A program that never defines what is asked: what Python, its library, a base class or the sandbox would lend is not
# graded.
@pytest.mark.parametrize(
  'source',
  [
    'raise SystemExit(0)',
    'raise SystemExit',
    'import sys\nsys.exit()',
    'exit(0)',
    'import os\nos._exit(0)',
    'quit()',
    '',
    'import sys, threading\nt = threading.Thread(target=sys.exit)\nt.start()\nt.join()',
    'import atexit, os\natexit.register(os._exit, 0)',
    'class Solution: pass',
    'from builtins import *',
    'import builtins',
    'import operator, math',
    'raise SystemExit(0)\nclass Solution:\n  def NAME(self, a, b): return RESULT',
    'def other(a, b): return RESULT',
    'class Solution:\n  def other(self, a, b): return RESULT',
    'class Solution(int): pass',
    'class Solution(list): pass',
    'class Solution:\n  def __getattr__(self, name): return getattr(__import__("operator"), name)',
    'Solution = int',
    'class Solution:\n  def NAME(self, a, b): return RESULT\nexit()',
    'class Solution(str): pass\ndef NAME(a, b): return RESULT',
    'class Solution: pass\ndef NAME(a, b): return RESULT',
    'NAME = None',
    'from collections import *\nclass Solution(Counter): pass',
    'def f():\n  def NAME(a, b): return RESULT',
    'if 0:\n  def NAME(a, b): return RESULT',
    'del NAME',
    'NAME: int',
  ],
)
@pytest.mark.parametrize(
  'name, args, result',
  [('add', [2, 3], 5), ('gcd', [4, 6], 2), ('max', [3, 5], 5), ('index', [7], 7), ('copy', [], [])],
)
def test_only_what_the_program_defined_is_called(source, name, args, result):
  source = source.replace('NAME', name).replace('RESULT', repr(result))
  for rule in ('', 'livecodebench'):
    tests = {'function': name, 'cases': [{'args': args, 'expected': result}], 'compare': rule}
    assert reason(source, tests) == 'runtime_error'


@pytest.mark.parametrize(
  'source',
  [
    'from operator import add',
    'from operator import *',
    'import operator\nadd = operator.add',
    'add = lambda a, b: a + b',
    'class Base:\n  def add(self, a, b): return a + b\nclass Solution(Base): pass',
    'class Solution:\n  def __init__(self): self.add = lambda a, b: a + b',
    'class Solution(dict):\n  def add(self, a, b): return a + b',
    'class Solution:\n  add = staticmethod(lambda a, b: a + b)',
    '__name__ = "__main__"\nclass Solution:\n  def add(self, a, b): return a + b',
    'from dataclasses import dataclass\n@dataclass\nclass Solution:\n  x: int = 0\n  def add(self, a, b): return a + b',
    'try:\n  exit()\nexcept SystemExit: pass\ndef add(a, b): return a + b',
    'if __name__ == "__main__":\n  exit()\ndef add(a, b): return a + b',
    '\ufeffdef add(a, b): return a + b',
    'class Solution:\n  def add(self, a, b): return gcd(0, a) + reduce(lambda x, y: x + y, [b])',
  ],
)
@pytest.mark.parametrize('name', ['add', 'Solution().add', 'Solution.add'])
def test_what_counts_as_the_programs_own(source, name):
  assert reason(source, ADD | {'function': name}) == 'accepted'


def test_long_integers_are_read_and_printed():
  digits = '7' * 20_000
  assert reason('print(int(input()) + 1)', {'cases': [{'input': digits, 'output': digits[:-1] + '8'}]}) == 'accepted'
  tests = {'function': 'f', 'cases': [{'args': [int(digits)], 'expected': [int(digits) + 1]}]}
  for rule in ('', 'livecodebench'):
    assert reason('def f(x): return [x + 1]', tests | {'compare': rule}) == 'accepted'
    assert reason('def f(x): return [x + 2]', tests | {'compare': rule}) == 'wrong_answer'
  assert (
    reason('def f(x): return 10**5000', {'function': 'f', 'cases': [{'args': [0], 'expected': 7}]}) == 'wrong_answer'
  )
  start = time.process_time()  # a million digits take 5 s to become an int
  assert outcome.parse_value(b'9' * 10**6) != 7 and time.process_time() - start < 1


def test_a_byte_order_mark_is_no_part_of_the_source():
  assert reason('\ufeff' + SUM) == 'accepted'


def test_files_of_tempfile_are_refused_but_for_those_in_memory():
  for call in ('TemporaryFile()', 'NamedTemporaryFile()', 'mkstemp()', 'mkdtemp()'):
    assert reason(f'import tempfile\ntempfile.{call}\n' + SUM) == 'runtime_error'
  assert (
    reason('import tempfile\nwith tempfile.SpooledTemporaryFile(mode="w+") as f: f.write("x")\n' + SUM) == 'accepted'
  )


def test_a_run_leaves_nothing_for_the_next():
  assert (
    reason('import builtins, sys, random\nbuiltins.print = None\nsys.modules["json"] = None\nrandom.x = 1')
    == 'wrong_answer'
  )
  assert reason('import json, random\nassert not hasattr(random, "x")\n' + SUM) == 'accepted'


def test_environment_of_the_host_is_not_visible(monkeypatch):
  monkeypatch.setenv('VT_SECRET', 'canary')
  names = 'import os, ctypes\nprint(sorted(set(os.environ) - {"PATH", "LANG", "LC_CTYPE"}))'
  assert reason(names, {'cases': [{'input': '', 'output': '[]'}]}) == 'accepted'


@pytest.mark.parametrize(
  'expected, got, same',
  [
    (5, 5, True),
    (1, True, False),
    (True, 1, False),
    (True, True, True),
    (1, 1.0, True),
    (1.0, 1, True),
    (1.0, True, False),
    (0.3, 0.30000000000000004, True),
    (0.3, 0.31, False),
    ([1, 2], [1, 2], True),
    ([1, 2], [2, 1], False),
    ([1], [True], False),
    ({'a': 1}, {'a': 1}, True),
    ({'a': 1}, {'a': 1, 'b': 2}, False),
    (None, None, True),
    (None, 0, False),
    ('5', 5, False),
    (1.0, 10**400, False),
    (float('nan'), float('nan'), False),
    ([], {}, False),
    ([1, [2.0]], [1.0, [2]], True),
    ([1], [True], False),
    ([False], [0], False),
    (True, 1.0, False),
    (0, False, False),
    (1, 1.0000001, False),
    (1.0, 1.0000005, True),
    (1.0, 1.00001, False),
    (1e9, 1e9 + 500, True),
    (0.0, 5e-7, True),
    (2**53 + 1, float(2**53), False),
    (10**400, 1e300, False),
    (float('inf'), float('inf'), True),
    (float('inf'), 1e308, False),
    (1e308, float('inf'), False),
    (5.0, float('nan'), False),
    (1, '1', False),
    ({'a': [1]}, {'a': [1.0]}, True),
    ({'a': 1}, {'a': True}, False),
    (None, [], False),
    ('1.0', '1', False),
  ],
)
def test_typed_comparison(expected, got, same):
  assert code.same_value(expected, got) is same


@pytest.mark.parametrize(
  'expected, got, same',
  [
    ('5\n', b'5', True),
    ('5', b'5  \n\n', True),
    ('a\nb', b'a \r\nb\r\n', True),
    ('5', b'\n5', False),
    ('5', b'5 6', False),
    ('', b'', True),
    ('é', 'é'.encode(), True),
    ('5', b'\xff', False),
    ('a\n\nb', b'a\nb', False),
    ('0.333333', b'0.3333333333', True),
    ('0.333333', b'0.33334', False),
    ('1e-7 2', b'0.0000001 2', True),
    ('1000000.0', b'1000000.5', True),
    ('1000000.0', b'1000002', False),
    ('0.0', b'-0.0000005', True),
    ('1.0', b'1', True),
    ('1', b'1.0', False),
    ('7', b'7.0000001', False),
    ('1000000007', b'1000000008', False),
    ('x 0.5', b'x 0.5000001', True),
    ('x 0.5', b'y 0.5', False),
    ('0.5 7', b'0.5000001 7.0', False),
    ('0.5 7', b'0.5000001\n7', False),
    ('0.5\n0.25', b'0.5000001\n0.2500001', True),
    ('0.5', b'0.5 0.5', False),
    ('a  b', b'a b', False),
    ('1.0e999', b'2.0e999', False),
    ('1.5', b'inf', False),
    ('1.5', b'nan', False),
    ('nan', b'nan', True),
    ('nan', b'NaN', False),
    ('inf', b'Infinity', False),
    ('10.0', b'1_0', False),
    ('16.0', b'0x10', False),
    ('1.0', '\uff11'.encode(), False),
    ('1.0', '\u0661.0'.encode(), False),
    ('1.0', b'true', False),
    ('1.0', b'--1.0', False),
    ('1.0', b'+1', True),
    ('.5', b'0.5', True),
    ('1.2.3', b'1.2.30', False),
    ('0.5', b'1/2', False),
  ],
)
def test_comparison_of_stdout(expected, got, same):
  assert code.same_text(expected, got) is same


@pytest.mark.parametrize(
  'expected, got, same',
  [
    ('1', b'1.0', True),
    ('1.0', b'1', True),
    ('0.3', b'0.300', True),
    ('0.3', b'0.30000000000000004', False),
    ('0.333333', b'0.3333333333', False),
    ('100000', b'1E5', True),
    ('50000000000000000', b'50000000000000001', False),
    ('1 2', b'1  2.0', True),
    ('1 a', b'1.0 a', False),
    ('1  a', b'1 a', False),
    ('a\n b \n', b'  a  \nb', True),
    ('1\n2', b'1 2', False),
    ('1\n\n2', b'1\n2', False),
    ('1000', b'1_000', True),
    ('1', '\uff11'.encode(), True),
    ('inf', b'Infinity', True),
    ('nan', b'NaN', False),
    ('nan', b'nan', True),
    ('1', b'sNaN', False),
    ('16', b'0x10', False),
    ('1', b'\xff', False),
    ('', b' \n', True),
    ('1', b'', False),
    ('YES', b'yes', False),
  ],
)
def test_livecodebenchs_rule_for_outputs(expected, got, same):
  assert code.same_words(expected, got) is same


@pytest.mark.parametrize(
  'result, expected, accepted',
  [
    ('1.0', 1, True),
    ('True', 1, True),
    ('1', True, True),
    ('0.1 + 0.2', 0.3, False),
    ('(1, 2)', [1, 2], True),
    ('[(1, 2)]', [[1, 2]], False),
    ('{1: 2}', {'1': 2}, False),
    ('[1.0]', [1], True),
    ('"1"', 1, False),
    ('None', [], False),
    ('[float("nan")]', [float('nan')], False),
    pytest.param('10**5000', 10**5000, True, id='long'),
    ('{1}', [1], False),
    ('iter([1])', [1], False),
  ],
)
def test_livecodebenchs_rule_for_results(result, expected, accepted):
  tests = {'function': 'f', 'cases': [{'args': [[1], {'a': 1}], 'expected': expected}], 'compare': 'livecodebench'}
  source = f'class Solution:\n  def f(self, a, b):\n    assert (a, b) == ([1], {{"a": 1}})\n    return {result}'
  assert (code.verify(source, tests).status == 'correct') is accepted


def test_livecodebench_gives_programs_names_and_ignores_the_code_of_an_exit():
  tests = {'cases': [{'input': '3', 'output': '3'}]}
  source = (
    'd = deque([int(input())])\ndef f(n): return n and 1 + f(n - 1)\nprint(f(30_000) - 30_000 + d[0])\nsys.exit(1)'
  )
  assert reason(source, tests | {'compare': 'livecodebench'}) == 'accepted'
  assert reason(source, tests) == 'runtime_error'


@pytest.mark.parametrize(
  'more, message',
  [
    ({'compare': 'lcb'}, 'compare'),
    ({'tolerance': -1}, 'tolerance'),
    ({'tolerance': True}, 'tolerance'),
    ({'tolerance': float('nan')}, 'tolerance'),
    ({'tolerance': 1e-3, 'compare': 'livecodebench'}, 'leave one'),
    ({'types': {'args': ['TreeNode']}}, 'function'),
    ({'function': '1x'}, 'cases|function'),
  ],
)
def test_fields_that_are_wrong_are_errors(more, message):
  with pytest.raises(ValueError, match=message):
    code.verify('print(5)', STDIN | more)


def test_deep_json_is_refused():
  assert outcome.parse_value(b'[' * 150 + b']' * 150) is not None
  assert outcome.parse_value(b'"' + b'[' * 999 + b'"') == '[' * 999
  for text in (b'[' * 201 + b']' * 201, b'[' * 100_000, b'{"a":' * 100_000):
    with pytest.raises(ValueError):
      outcome.parse_value(text)


def test_no_tests_and_malformed_tests():
  assert code.verify('pass', {'cases': []}) == Verdict('invalid', 'no_tests')
  for tests in ({}, {'cases': [{'input': '1'}]}, {'function': 'f', 'cases': [{'input': '', 'output': ''}]}):
    with pytest.raises(ValueError, match='cases'):
      code.verify('pass', tests)
