"""Sample tests read from statements: AtCoder's form, LeetCode's, and what must not be taken for one."""

import json

import pytest

from vibethinker_jax.data import sources, wording
from vibethinker_jax.data.layouts import samples
from vibethinker_jax.eval import sets
from vibethinker_jax.verify.response import verify

STDIN = wording.STDIN.format(
  problem=(
    'Print A + B.\n\nInput\n\nThe input is given from Standard Input in the following format:\nA B\n\nOutput\n\n'
    'Print it.\n\n'
    'Sample Input 1\n\n1 2\r\n\nSample Output 1\n\n3\r\n\nSince 1 + 2 = 3.\n\n'
    'Sample Input 2\n\n2\n3 4\n\nSample Output 2\n\n7\n8'
  )
)
STARTER = 'class Solution:\n    def addTwo(self, s: str, nums: List[int]) -> bool:\n        '
METHOD = wording.STARTER.format(
  starter_code=STARTER,
  problem=(
    'You are given s and nums.\n \nExample 1:\n\nInput: s = "a, nums = 3", nums = [1,2]\nOutput: true\nExplanation:\n'
    'Input s is '
    'short.\n\n\nExample 2:\n\nInput: s = "b", nums = []\nOutput: false\n\n \nConstraints:\n\n1 <= s.length <= 100'
  ),
)


def row(prompt, **changes):
  return {
    'question_id': 'abc1_a',
    'contest_id': 'abc1',
    'contest_date': '2025-03-01T00:00:00',
    'prompt': prompt,
  } | changes


def read(tmp_path, *rows, reader=sources.read_problems):
  path = tmp_path / 'v6.jsonl'
  path.write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return reader(str(path))


def test_standard_input(tmp_path):
  (problem,) = read(tmp_path, row(STDIN))
  assert [(case['input'], case['output']) for case in problem['tests']['cases']] == [
    ('1 2\n', '3\n'),
    ('2\n3 4\n', '7\n8\n'),
  ]
  assert (problem['id'], problem['date'], problem['tests_are'], problem['prompt']) == (
    'abc1_a',
    '2025-03-01',
    'sample',
    STDIN,
  )
  right = 'import sys\nd = sys.stdin.read().split()\nprint(3 if len(d) == 2 else "7\\n8")'
  assert verify(f'```python\n{right}\n```', problem).status == 'correct'
  assert verify('```python\nprint(3)\n```', problem).status == 'wrong'


def test_methods(tmp_path):
  (problem,) = read(tmp_path, row(METHOD))
  assert problem['tests']['function'] == 'addTwo' and problem['starter_code'].startswith('class Solution:')
  assert problem['tests']['cases'] == [
    {'args': ['a, nums = 3', [1, 2]], 'expected': True},
    {'args': ['b', []], 'expected': False},
  ]
  right = 'class Solution:\n  def addTwo(self, s, nums):\n    return bool(nums)'
  assert verify(f'```python\n{right}\n```', problem).status == 'correct'
  assert verify(f'```python\n{right.replace("bool(nums)", "True")}\n```', problem).status == 'wrong'


def test_the_score_says_what_it_is(tmp_path):
  found = read(
    tmp_path,
    row(STDIN),
    row(METHOD, question_id='3'),
    row(STDIN, question_id='4', contest_date='2024-01-01'),
    reader=lambda path: sets.read(sources.DataOptions(path), 'livecodebench_v6', sets.OF_PRESET),
  )
  assert [r['id'] for r in found.rows] == ['abc1_a', '3'] and found.rows[0]['prompt'] == STDIN
  assert found.score_name(8) == 'avg@8 (sample tests only)' and 'sample tests only' in found.notes()
  mixed = found._replace(rows=[found.rows[0], found.rows[1] | {'tests_are': 'public'}])
  assert mixed.score_name(8) == 'avg@8 (public tests only for 1 problems, sample tests only for 1 problems)'
  assert found._replace(rows=[r | {'tests_are': 'all'} for r in found.rows]).score_name(8) == 'avg@8'


def test_an_official_row_that_has_lost_its_tests(tmp_path):
  lost = {'question_content': STDIN, 'public_test_cases': '[]', 'private_test_cases': '', 'question_id': 'a'}
  (problem,) = read(tmp_path, lost)
  assert problem['tests_are'] == 'sample' and len(problem['tests']['cases']) == 2
  case = json.dumps([{'input': '1\n', 'output': '1\n', 'testtype': 'stdin'}])
  assert read(tmp_path, lost | {'public_test_cases': case})[0]['tests_are'] == 'public'


def test_rows_without_samples_are_listed(tmp_path):
  bare = row('Print A + B.', question_id='x')
  with pytest.raises(
    ValueError, match=r'^2 of 3 rows have no tests, .*\(.*line 2, .*line 3\): .*code_generation_lite$'
  ):
    read(tmp_path, row(STDIN), bare, row(METHOD.replace('nums = [1,2]', 'nums = [1,2')))
  assert read(tmp_path, bare | {'answer': '3'})[0]['answer'] == '3'  # not a row without anything to judge by


@pytest.mark.parametrize(
  'statement, expected',
  [
    ('Sample Input 1:\n1\nSample Output 1:\n2', [('1\n', '2\n')]),
    ('-----Sample Input-----\n1\n\n-----Sample Output-----\n2\n\nIt is so.', [('1\n', '2\n')]),
    ('### Sample Input 1\n```\n1\n\n2\n```\n### Sample Output 1\n```\n3\n```\n\nx', [('1\n\n2\n', '3\n')]),
    ('**Example Input 1**\n1\n**Example Output 1**\n2\n', [('1\n', '2\n')]),
    # The second sample prints nothing; what stands there explains it.
    (
      'Sample Input 1\n\n1\n\nSample Output 1\n\n1\n\nSample Input 2\n\n2\n\n'
      'Sample Output 2\n\n\nNothing is to be printed here.\n',
      [('1\n', '1\n')],
    ),
    ('Sample Input 1\n\n1\n\nSample Output 1\n\n\n8\n\nSo the answer is 8.', [('1\n', '8\n')]),
    # Two blocks of numbers: where the output ends is not certain.
    ('Sample Input 1\n\n1\n\nSample Output 1\n\n1 2\n\n3 4\n', []),
    ('Sample Input 1\n\n1\n', []),
    ('', []),
    ('Sample Input 1\n\n1\n\nSample Output 2\n\n1\n', []),
  ],
  ids=range(10),
)
def test_forms_of_standard_input(statement, expected):
  assert [(case['input'], case['output']) for case in samples.cases(statement)] == expected


@pytest.mark.parametrize(
  'given, names, values',
  [
    ('n = 5', 'n: int', [5]),
    ('nums = [1,\n2], k = 1', 'nums, k', [[1, 2], 1]),
    ('b = 2, a = 1', 'a, b', [1, 2]),
    ('s = "x = 1, a = 2", a = 3', 's, a', ['x = 1, a = 2', 3]),
    ("s = 'q'", 's', ['q']),
    ('a = 1', 'a, b', None),
    ('a = 1, a = 2', 'a', None),
    ('a = what', 'a', None),
    ('a = null, b = -1.5', 'a, b', [None, -1.5]),
  ],
)
def test_forms_of_arguments(given, names, values):
  starter = f'class Solution:\n    def f(self, {names}) -> int:\n        '
  found = samples.cases(f'Example 1:\n\nInput: {given}\nOutput: 1\n', starter)
  assert ([[json.loads(line) for line in case['input'].split('\n')] for case in found] or [None]) == [values]
  assert samples.cases(f'**Example 1:**\n\n**Input:** {given}\n**Output:** 1\n**Explanation:** x\n', starter) == found
