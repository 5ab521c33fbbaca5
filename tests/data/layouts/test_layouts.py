"""Benchmarks as they ship become rows that verify can judge; prompts say what the preset says."""

import json

import pytest

from vibethinker_jax.data import presets, sources
from vibethinker_jax.data.layouts import families
from vibethinker_jax.verify.parts import parse
from vibethinker_jax.verify.response import verify

HUMANEVAL = {
  'task_id': 'HumanEval/0',
  'prompt': 'def add(a, b):\n    """Sum."""\n',
  'entry_point': 'add',
  'canonical_solution': '    return a + b\n',
  'test': 'def check(candidate):\n  assert candidate(2, 3) == 5\n  assert candidate(0, 0) == 0\n',
}
MBPP = {
  'text': 'Add two numbers.',
  'code': 'def add(a, b):\r\n  return a + b',
  'task_id': 11,
  'test_setup_code': '',
  'test_list': ['assert add(2, 3) == 5', 'assert add(0, 0) == 0'],
  'challenge_test_list': [],
}
LEETCODE = {
  'problem': 'Complete this.\n```python\nclass Solution:\n  def add(self, a, b):\n```',
  'solutions': 'class Solution:\n  def add(self, a: int, b: int) -> int:\n    return a + b\n',
  'tests': {'functional': 'def check(candidate):\n  assert candidate(a = 2, b = 3) == 5\n\ncheck(Solution().add)'},
}
WRONG = (
  '```python\ndef add(*a, **k): return 987654321\nclass Solution:\n  def add(self, *a, **k): return 987654321\n```'
)
HOSTILE = (
  '```python\nimport os\nclass Yes:\n  def __eq__(self, other): return True\ndef add(*a, **k): return Yes()\n'
  'class Solution:\n  def add(self, *a, **k): return Yes()\nprint("ok")\n```'
)


def read(tmp_path, *rows):
  path = tmp_path / 'set.jsonl'
  path.write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return sources.read_problems(str(path))


@pytest.mark.parametrize('raw', [HUMANEVAL, MBPP, LEETCODE], ids=['humaneval', 'mbpp', 'leetcode'])
def test_reference_right_others_wrong(tmp_path, raw):
  (row,) = read(tmp_path, raw)
  assert verify(families.reference(row), row).status == 'correct'
  for bad in (WRONG, HOSTILE, 'no code'):
    assert verify(bad, row).status == 'wrong'


def test_prompts_of_code(tmp_path):
  human, mbpp, leet = read(tmp_path, HUMANEVAL, MBPP, LEETCODE)
  assert HUMANEVAL['prompt'] in presets.prompt(human, 'code') and human['id'] == 'HumanEval/0'
  assert 'assert add(2, 3) == 5' in presets.prompt(mbpp, 'code') and 'assert add(2, 3) == 5' in mbpp['prompt']
  assert presets.prompt(leet, 'code') == LEETCODE['problem']  # says itself how to answer
  with pytest.raises(ValueError, match='for maths'):
    presets.prompt(human, 'maths')


def test_gpqa_options_are_shuffled_but_fixed(tmp_path):
  raw = [
    {
      'Question': f'What is {i}?',
      'Correct Answer': f'{i} m',
      'Incorrect Answer 1': 'a',
      'Incorrect Answer 2': 'b',
      'Incorrect Answer 3': 'c',
      'Record ID': f'rec{i}',
      'High-level domain': 'Physics',
    }
    for i in range(40)
  ]
  rows = read(tmp_path, *raw)
  assert rows == read(tmp_path, *raw) and {row['answer'] for row in rows} == set('ABCD')
  for i, row in enumerate(rows):
    assert row['choices']['ABCD'.index(row['answer'])] == f'{i} m' and row['subject'] == 'Physics'
  asked = presets.prompt(rows[0], 'choice')
  assert all(f'{letter}) {option}' in asked for letter, option in zip('ABCD', rows[0]['choices']))
  assert verify(f'\\boxed{{{rows[0]["answer"]}}}', rows[0]).status == 'correct'


def test_csv(tmp_path):
  (tmp_path / 'gpqa_diamond.csv').write_text(
    'Record ID,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3\n'
    'r1,"Two, or\nthree?",two,three,four,five\n'
  )
  (row,) = sources.read_problems(str(tmp_path / '*.csv'))
  assert row['problem'] == 'Two, or\nthree?' and row['id'] == 'r1'
  assert row['choices']['ABCD'.index(row['answer'])] == 'two'


def test_numbered_choices(tmp_path):
  (row,) = read(tmp_path, {'problem': 'x?', 'choices': ['p', 'q'], 'answer': 1})
  assert row['answer'] == 'B'


def test_presets_are_the_papers():
  """VibeThinker-1.5B, its table of results."""
  table = {name: (p.problems, p.samples, p.temperature, p.top_p, p.max_tokens) for name, p in presets.PRESETS.items()}
  for name, problems, samples, temperature in (
    ('aime24', 30, 64, 1.0),
    ('aime25', 30, 64, 1.0),
    ('hmmt25', 30, 64, 1.0),
    ('math500', 500, 64, 1.0),
    ('gpqa_diamond', 198, 16, 1.0),
    ('livecodebench_v5', 279, 8, 0.6),
    ('livecodebench_v6', 131, 8, 0.6),
  ):
    assert table[name] == (problems, samples, temperature, 0.95, 40_960)
  with pytest.raises(ValueError, match='aime24'):
    presets.find('aime99')


def test_mbpp_takes_its_test_part(tmp_path):
  rows = read(tmp_path, MBPP | {'task_id': 10}, MBPP, MBPP | {'task_id': 511})
  assert [row['id'] for row in presets.select(rows, presets.find('mbpp'))] == ['11']


def test_code_is_found_in_a_reference():
  assert parse(families.reference(HUMANEVAL)).program.startswith('def add')
