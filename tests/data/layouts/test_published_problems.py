"""A row in each layout in which sets of problems are published: what is asked, which responses are right and wrong."""

import json

import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.data.layouts import families
from vibethinker_jax.data.sources import DataOptions
from vibethinker_jax.verify.response import verify

Q, R = 'A hen lays 2 eggs a day. How many in 6 days?', '<think>\n2 a day, 6 days.\n</think>\n\nIt is \\boxed{12}.'
USER, GOOD = {'role': 'user', 'content': Q}, {'role': 'assistant', 'content': R}


def write(path, *rows):
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def problem(tmp_path, row, **fields):
  (found,) = sources.read_problems(DataOptions(write(tmp_path / 'p.jsonl', row), wording='none', **fields))
  return found


MATHS = {
  'dapo': {'data_source': 'd', 'prompt': [USER], 'reward_model': {'ground_truth': '12', 'style': 'rule'}},
  'verl as text': {'prompt': [USER], 'reward_model': '{"ground_truth": "12", "style": "rule"}'},
  'skywork': {'prompt': [USER], 'reward_model': {'ground_truth': '["12"]'}},
  'skywork twice': {'prompt': [USER], 'reward_model': {'ground_truth': '["12", "12.0"]'}},
  'orz': [{'from': 'human', 'value': Q}, {'from': 'assistant', 'ground_truth': {'value': '12', 'pass_at_n': 0.5}}],
  'nvidia': {'problem': Q, 'expected_answer': '12'},
  'general': {'question': Q, 'reference_answer': '12'},
  'correct answer': {'question': Q, 'correct_answer': '12'},
  'capitals': {'Problem': Q, 'Answer': 12},
  'rlvr': {'messages': [USER], 'ground_truth': '12', 'dataset': 'gsm8k'},
  'rlvr lists': {'messages': [USER], 'ground_truth': ['12'], 'dataset': ['gsm8k']},
  'synthetic': {'prompt': Q, 'verification_info': '{"ground_truth": "12"}', 'task_type': 'verifiable_math'},
  'synthetic repr': {'prompt': Q, 'verification_info': "{'ground_truth': '12'}", 'score': None},
  'ii thought': {'problem': Q, 'verification_info': {'answer': {'value': '12'}, 'type': 'math_verifiable'}},
  'am': {'messages': [USER | {'info': {'reference_answer': '12', 'test_case': None}}, GOOD]},
  'areal': {'prompt': Q, 'task': 'math', 'query_id': '1', 'solutions': ['\\boxed{12}']},
  'megascience': {'question': Q, 'answer': 'Two a day for six days makes a dozen. ' * 5, 'reference_answer': '12'},
  'medical': {'Open-ended Verifiable Question': Q, 'Ground-True Answer': '12'},
  'numina': {'problem': Q, 'solution': 'So \\boxed{12}.', 'messages': [USER, GOOD]},
}


@pytest.mark.parametrize('name', MATHS)
def test_answers(tmp_path, name):
  row = problem(tmp_path, MATHS[name])
  assert Q in json.dumps(row['prompt']) and row['answer'] == '12' and row['tests'] is None
  assert verify('\\boxed{12}', row).status == 'correct' and verify('\\boxed{13}', row).status == 'wrong'


def test_lists_of_turns_in_columns():
  row = families.known(
    {'0': {'from': 'human', 'value': Q}, '1': {'from': 'assistant', 'ground_truth': {'value': '12'}}}
  )
  assert (row['problem'], row['answer']) == ([USER], '12')


def test_domains(tmp_path):
  for domain, name in (
    (['Mathematics -> Algebra'], 'Mathematics -> Algebra'),
    ('["Algebra"]', 'Algebra'),
    (['Algebra', 'Other', 'Algebra'], 'Algebra, Other'),
    ('Algbera', 'Algbera'),
    ([], 'p.jsonl'),
  ):
    assert problem(tmp_path, {'problem': Q, 'answer': '12', 'domain': domain})['domain'] == name
  assert problem(tmp_path, {'problem': Q, 'answer': '12', 'tags': ['a']}, domain='tags')['domain'] == 'a'
  with pytest.raises(ValueError, match='line 1: .*domain must be text'):
    problem(tmp_path, {'problem': Q, 'answer': '12', 'domain': {'a': 1}})


def test_several_answers_are_each_right(tmp_path):
  row = problem(tmp_path, {'prompt': [USER], 'reward_model': {'ground_truth': '["12", "a dozen", "12.0"]'}})
  assert (row['answer'], row['accepted_answers']) == ('12', ['a dozen'])
  for response, status in (
    ('\\boxed{12}', 'correct'),
    ('\\boxed{\\text{a dozen}}', 'correct'),
    ('\\boxed{13}', 'wrong'),
  ):
    assert verify(response, row).status == status


ADD, SUB = 'a, b = map(int, input().split())\nprint(a + b)\n', 'a, b = map(int, input().split())\nprint(a - b)\n'
FUNCTION = 'def add(a, b):\n  return a + b\nclass Solution:\n  def add(self, a, b):\n    return a + b\n'
IO = {'inputs': ['1 2\n', '3 4\n'], 'outputs': ['3\n', '7\n']}
CASES = [{'input': '1 2\n', 'output': '3\n'}, {'input': '3 4\n', 'output': '7\n'}]
CALLS = {'fn_name': 'add', 'inputs': [[1, 2], [3, 4]], 'outputs': [[3], [7]]}
verl = lambda tests: {'prompt': [{'role': 'user', 'content': 'Add, as add.'}], 'reward_model': {'ground_truth': tests}}
STDIN = {
  'eurus': verl(json.dumps(IO)),
  'guru object': verl(IO),
  'skywork cases': verl(json.dumps(CASES)),
  'taco': {'question': 'Add.', 'solutions': '[]', 'starter_code': '', 'input_output': json.dumps(IO)},
  'lists of lines': {'question': 'Add.', 'input_output': json.dumps({'inputs': [['1 2']], 'outputs': [['3']]})},
  'contests': {
    'description': 'Add.',
    'public_tests': {'input': ['1 2\n'], 'output': ['3\n']},
    'private_tests': {'input': [], 'output': []},
    'generated_tests': {'input': ['3 4\n'], 'output': ['7\n']},
    'time_limit': {'seconds': 2},
  },
  'prime': {
    'prompt': 'Add.',
    'verification_info': {
      'language': 'python',
      'test_cases': [case | {'type': 'stdin_stdout', 'fn_name': None} for case in CASES],
    },
  },
  'prime repr': {
    'prompt': 'Add.',
    'verification_info': repr(
      {'language': 'python', 'test_cases': [case | {'type': 'stdin_stdout'} for case in CASES]}
    ),
  },
  'deepcoder prime': {'problem': 'Add.', 'tests': json.dumps([case | {'type': 'stdin_stdout'} for case in CASES])},
  'deepcoder taco': {'problem': 'Add.', 'tests': json.dumps(IO)},
  'deepcoder lcb': {
    'problem': 'Add.',
    'tests': json.dumps([case | {'testtype': 'stdin', 'metadata': {'func_name': None}} for case in CASES]),
  },
  'codeforces': {
    'title': 'Sum',
    'description': 'Add.',
    'input_format': 'Two numbers.',
    'output_format': 'Their sum.',
    'examples': [CASES[0]],
    'official_tests': CASES,
    'time_limit': 1.0,
    'generated_checker': None,
  },
  'ground truth': {'messages': [{'role': 'user', 'content': 'Add.'}], 'ground_truth': json.dumps(CASES)},
  'am': {'messages': [{'role': 'user', 'content': 'Add.', 'info': {'test_case': json.dumps(IO)}}, GOOD]},
  'rstar': {'question': 'Add.', 'inputs': '["1 2"]', 'outputs': '["3"]', 'func_name': None},
  'test_cases': {'question': 'Add.', 'test_cases': json.dumps(IO), 'answer': None},
}
PYTEST = """import pytest
from solution import add

def test_two():
    assert add(1, 2) == 3

def test_loop():
    for a in range(3):
        total = add(a, 1)
        assert total == a + 1

@pytest.mark.parametrize('a, b, total', [(1, 1, 2), (0.1, 0.2, 0.3)])
def test_many(a, b, total):
    assert add(a, b) == pytest.approx(total)

def test_error():
    with pytest.raises(TypeError):
        add(1, 'x')
"""
CALLED = {
  'taco': {'question': 'Add, as add.', 'input_output': json.dumps(CALLS)},
  'apps plain': {'question': 'Add.', 'input_output': json.dumps(CALLS | {'outputs': [3, 7]})},
  'eurus': verl(json.dumps(CALLS)),
  'text lines': verl(json.dumps({'fn_name': 'add', 'inputs': ['1\n2'], 'outputs': ['3']})),
  'functional': verl('{"functional": "def check(candidate):\\n    assert candidate(1, 2) == 3\\n\\ncheck(add)"}'),
  'prime': {
    'prompt': 'Add.',
    'verification_info': json.dumps(
      {
        'language': 'python',
        'test_cases': [{'type': 'function_call', 'fn_name': 'add', 'input': [1, 2], 'output': [3]}],
      }
    ),
  },
  'lcb': {
    'problem': 'Add.',
    'starter_code': 'class Solution:\n    def add(self, a, b):\n        ',
    'tests': json.dumps([{'input': '1\n2', 'output': '3', 'testtype': 'functional'}]),
  },
  'lcb metadata': {
    'problem': 'Add.',
    'starter_code': '',
    'metadata': '{"func_name": "add"}',
    'tests': json.dumps([{'input': '1\n2', 'output': '3', 'testtype': 'functional'}]),
  },
  'asserts of a name': {'input': 'Add.', 'unit_tests': '["\\nassert add(1, 2) == 3\\n"]', 'output': 'x'},
  'acecoder': {'question': 'Add.', 'test_cases': ['assert add(1, 2) == 3', 'assert add(0, 0) == 0'], 'inferences': []},
  'assert text': verl('assert add(1, 2) == 3'),
  'pytest': {'question': 'Write add.', 'solution': FUNCTION, 'test': PYTEST},
  'leetcodedataset': {
    'task_id': 't',
    'problem_description': 'Add.',
    'prompt': 'import math\n',
    'starter_code': 'class Sol',
    'entry_point': 'Solution().add',
    'test': 'def check(candidate):\n    assert candidate(a=1, b=2) == 3\n',
  },
}


@pytest.mark.parametrize(
  'row, right, wrong',
  [
    *((row, ADD, SUB) for row in STDIN.values()),
    *((row, FUNCTION, FUNCTION.replace('+', '-')) for row in CALLED.values()),
  ],
  ids=[*STDIN, *(f'call {name}' for name in CALLED)],
)
def test_programs(tmp_path, row, right, wrong):
  row = problem(tmp_path, row)
  assert 'Add' in json.dumps(row['prompt']) or 'Write add.' == row['prompt']
  assert row['answer'] == '' and verify(f'```python\n{right}```', row).status == 'correct', row['tests']
  assert verify(f'```python\n{wrong}```', row).status == 'wrong'
  if row['tests'].get('function'):  # a model sees the name somewhere
    assert 'add' in json.dumps(row['prompt']) + row.get('starter_code', '') or 'entry_point' in row


def test_each_test_of_pytest_counts(tmp_path):
  row = problem(tmp_path, CALLED['pytest'])
  for bad in ('3', 'int(a + b)', 'a + b if b != "x" else 0'):
    assert verify(f'```python\ndef add(a, b):\n  return {bad}\n```', row).status == 'wrong'


@pytest.mark.parametrize(
  'test, reason',
  [
    ('from solution import Stack\ndef test_a():\n  s = Stack()\n  assert s.pop() == 1', 'objects of the program'),
    ('from solution import f, g\ndef test_a():\n  assert f(1) == g(1)', 'several functions of the program: f, g'),
    ('from solution import f\ndef test_a(capsys):\n  assert f(1) == 1', r'fixtures of pytest \(capsys\)'),
    ('from solution import f\nimport pytest\n@pytest.fixture\ndef test_a():\n  assert f(1) == 1', 'the decorator'),
    (
      'from solution import f\nimport pytest\ndef test_a():\n  with pytest.raises(ValueError) as e:\n    f(1)\n  '
      'assert e',
      'text of',
    ),
    ('from solution import f\ndef test_a():\n  assert f(1) ==', 'not Python'),
  ],
)
def test_tests_that_cannot_be_run(tmp_path, test, reason, caplog):
  row = {'question': 'Write it.', 'test': test, 'solution': ''}
  with pytest.raises(ValueError, match=f'p.jsonl, line 1: a problem needs .*{reason}'):
    problem(tmp_path, row)
  path = write(tmp_path / 'p.jsonl', CALLED['pytest'], row)
  assert len(sources.read_problems(path)) == 1 and 'left out: 1 of 2 rows' in caplog.text


@pytest.mark.parametrize(
  'row, reason',
  [
    ({'question': 'q', 'input_output': ''}, 'no tests'),
    ({'question': 'q', 'input_output': '{"inputs": [], "outputs": []}'}, 'no tests'),
    ({'description': 'q', 'public_tests': {'input': [], 'output': []}, 'private_tests': None}, 'no tests'),
    (
      {
        'description': 'q',
        'public_tests': {'input': ['1'], 'output': ['1']},
        'private_tests': None,
        'input_file': 'in.txt',
      },
      'files',
    ),
    ({'description': 'q', 'input_format': 'i', 'official_tests': CASES, 'generated_checker': 'def check'}, 'checker'),
    (
      {'prompt': 'q', 'verification_info': '{"language": "rust", "test_cases": [{"input": "1", "output": "1"}]}'},
      'programs in rust',
    ),
    ({'prompt': 'q', 'verification_info': '{"rubric": "long"}'}, r'verification_info \(rubric\)'),
    ({'prompt': 'q', 'reward_model': {'ground_truth': {'target': 98, 'numbers': [44, 19]}}}, 'nothing here can judge'),
    ({'messages': [USER], 'ground_truth': '{"func_name": "validate_x", "N": 3}'}, 'nothing here checks'),
    ({'prompt': 'q', 'reward_model': {'ground_truth': '{"inputs": ["1"], "outputs": []}'}}, '1 and 0'),
    ({'prompt': 'q', 'answer': '[{"a": 1}]'}, 'no answer but data'),
    ({'prompt': 'q', 'answer': '{"inputs": ["1 2'}, 'no answer but data'),
    ({'prompt': 'q', 'answer': "{'a': [1]"}, 'no answer but data'),
  ],
)
def test_what_cannot_judge_is_no_answer(tmp_path, row, reason):
  with pytest.raises(ValueError, match=f'p.jsonl, line 1: .*{reason}'):
    problem(tmp_path, row)
  if 'answer' in row:
    with pytest.raises(ValueError, match=reason):
      problem(tmp_path, row, answer='answer')


def test_a_field_that_is_named_may_hold_tests(tmp_path):
  row = problem(tmp_path, STDIN['eurus'] | {'answer': '3'}, answer='reward_model.ground_truth')
  assert len(row['tests']['cases']) == 2
  row = problem(tmp_path, STDIN['eurus'] | {'answer': '3'}, answer='answer')
  assert (row['tests'], row['answer']) == (None, '3')


def test_a_list_stays_a_list_where_the_function_gives_one(tmp_path):
  row = {
    'question': 'As f.',
    'starter_code': 'def f(x: int) -> List[int]:',
    'input_output': json.dumps({'fn_name': 'f', 'inputs': [[1], [2]], 'outputs': [[1], [2]]}),
  }
  assert [case['expected'] for case in problem(tmp_path, row)['tests']['cases']] == [[1], [2]]
  row['input_output'] = json.dumps({'fn_name': 'f', 'inputs': [[1], [2]], 'outputs': [[[1]], [[2]]]})
  assert [case['expected'] for case in problem(tmp_path, row)['tests']['cases']] == [[1], [2]]


def test_every_part_of_a_statement_is_shown(tmp_path):
  asked = problem(tmp_path, STDIN['codeforces'] | {'note': 'Small.'})['prompt']
  for part in ('Sum', 'Add.', 'Two numbers.', 'Their sum.', '1 2', 'Small.', '1.0 seconds'):
    assert part in asked


CHOICES = {
  'mmlu': {'question': 'Fruit?', 'subject': 's', 'choices': ['apple', 'chair', 'dog'], 'answer': 0},
  'mmlu pro': {'question': 'Fruit?', 'options': ['dog', 'apple'], 'answer': 'B', 'answer_index': 1, 'cot_content': ''},
  'arc': {'question': 'Fruit?', 'choices': {'text': ['dog', 'apple'], 'label': ['1', '2']}, 'answerKey': '2'},
  'commonsense': {'question': 'Fruit?', 'choices': {'label': ['A', 'B'], 'text': ['apple', 'dog']}, 'answerKey': 'A'},
  'openbook': {'question_stem': 'Fruit?', 'choices': {'text': ['dog', 'apple'], 'label': ['A', 'B']}, 'answerKey': 'B'},
  'openbook original': {
    'question': {'stem': 'Fruit?', 'choices': [{'text': 'apple', 'label': 'A'}, {'text': 'dog', 'label': 'B'}]},
    'answerKey': 'A',
  },
  'medqa': {'question': 'Fruit?', 'options': {'A': 'dog', 'B': 'apple'}, 'answer': 'apple', 'answer_idx': 'B'},
  'medqa list': {
    'question': 'Fruit?',
    'options': [{'key': 'A', 'value': 'dog'}, {'key': 'B', 'value': 'apple'}],
    'answer': 'apple',
  },
  'medmcqa': {'question': 'Fruit?', 'opa': 'dog', 'opb': 'apple', 'opc': 'sky', 'opd': 'chair', 'cop': 1, 'exp': 'x'},
  'sciq': {
    'question': 'Fruit?',
    'correct_answer': 'apple',
    'distractor1': 'dog',
    'distractor2': 'sky',
    'distractor3': 'tin',
  },
  'aqua': {'question': 'Fruit?', 'options': ['A)dog', 'B)apple', 'C)sky'], 'rationale': 'r', 'correct': 'B'},
  'supergpqa': {
    'question': 'Fruit?',
    'options': ['apple', 'dog'],
    'answer': 'apple',
    'answer_letter': 'A',
    'discipline': 'd',
  },
  'race': {'article': 'Of food.', 'question': 'Fruit?', 'options': ['dog', 'apple'], 'answer': 'B'},
  'cmmlu': {'question': 'Fruit?', 'A': 'dog', 'B': 'apple', 'C': 'sky', 'D': 'tin', 'answer': 'B'},
  'siqa': {
    'context': 'Of food.',
    'question': 'Fruit?',
    'answerA': 'dog',
    'answerB': 'apple',
    'answerC': 'sky',
    'label': '2',
  },
  'text of options': {'question': 'Fruit?', 'options': '["dog", "apple"]', 'answer': '(B) apple'},
  'verl': {'prompt': 'Fruit?', 'options': ['dog', 'apple'], 'reward_model': {'ground_truth': 'B'}},
}


@pytest.mark.parametrize('name', CHOICES)
def test_multiple_choice(tmp_path, name):
  row = problem(tmp_path, CHOICES[name])
  assert row['prompt'].endswith('Fruit?') and ('Of food.' in row['prompt']) == (name in ('race', 'siqa'))
  assert row['choices']['ABCD'.index(row['answer'])] == 'apple' and 'dog' in row['choices']
  assert verify(f'\\boxed{{{row["answer"]}}}', row).status == 'correct'
  assert verify(f'\\boxed{{{"BA"["AB".find(row["answer"])]}}}', row).status == 'wrong'


@pytest.mark.parametrize(
  'row, reason',
  [
    ({'options': ['a', 'b'], 'answer_index': 2}, 'no index of 2'),
    ({'options': ['apple', 'dog'], 'answer': 'cat'}, 'neither a letter'),
    (
      {'options': ['apple', 'dog'], 'answer': 'A', 'answer_index': 1},
      "disagree: answer_index=1 is option B, answer='A'",
    ),
    ({'options': {'A': 'x', 'B': 'y'}, 'answer_idx': 'C'}, 'neither a letter'),
    ({'opa': 'a', 'opb': 'b', 'cop': 4}, 'no index'),
    ({'choices': {'text': ['a', 'b'], 'label': ['A', 'B']}, 'answerKey': 'D'}, 'neither'),
  ],
)
def test_answers_that_disagree_with_the_options(tmp_path, row, reason):
  with pytest.raises(ValueError, match=f'p.jsonl, line 1: .*{reason}'):
    problem(tmp_path, {'question': 'q'} | row)


def test_options_of_examples(tmp_path):
  assert families.known(CHOICES['mmlu'])['choices'] == ['apple', 'chair', 'dog']
  assert families.read(CHOICES['arc'] | {'response': 'r', 'answerKey': 'Z'}, ('prompt', 'response')).fields[
    'choices'
  ] == ['dog', 'apple']
