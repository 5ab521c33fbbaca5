"""Further layouts of sets of problems: where options, passages, answers and tests stand."""

import json

import pytest

from vibethinker_jax.data import sources
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


ASKED = 'Which of these swims?'
OPTIONS = ['kite', 'trout', 'spoon']
CHOSEN = {  # the second option is right
  'a text of options': {'question': ASKED, 'options': 'A. kite\nB. trout\nC. spoon', 'answer': 'B'},
  'mathqa': {'Problem': ASKED, 'options': 'a ) kite , b ) trout , c ) spoon', 'correct': 'b'},
  'mathqa list': {'Problem': ASKED, 'options': "['a ) kite', 'b ) trout', 'c ) spoon']", 'correct': 'b'},
  'in a line': {'question': ASKED, 'options': '(A) kite; (B) trout; (C) spoon', 'correct_answer': 'B'},
  'swag': {'sent1': ASKED, 'sent2': '', 'ending0': 'kite', 'ending1': 'trout', 'ending2': 'spoon', 'label': 1},
  'choice_A': {'question': ASKED, 'choice_A': 'kite', 'choice_B': 'trout', 'choice_C': 'spoon', 'answer': 'B'},
  'reclor': {'context': 'A pond.', 'question': ASKED, 'answers': OPTIONS, 'label': 1},
  'one hot': {'question': ASKED, 'choices': OPTIONS, 'labels': [0, 1, 0]},
  'scores': {'input': ASKED, 'target_scores': {'kite': 0, 'trout': 1, 'spoon': 0}},
  'marked': {'question': ASKED, 'options': [{'text': one, 'is_correct': one == 'trout'} for one in OPTIONS]},
  'named': {'question': ASKED, 'options': OPTIONS, 'answer': 'Option 2'},
  'sentence': {'question': ASKED, 'options': OPTIONS, 'answer': 'The answer is B.'},
  'verl': {
    'prompt': [{'role': 'user', 'content': ASKED}],
    'reward_model': {'ground_truth': 'B'},
    'extra_info': {'choices': OPTIONS},
  },
  'gold index': {'question': ASKED, 'choices': OPTIONS, 'gold_index': 1},
}


@pytest.mark.parametrize('name', CHOSEN)
def test_options_wherever_they_stand(tmp_path, name):
  row = problem(tmp_path, CHOSEN[name])
  assert (row['choices'], row['answer']) == (OPTIONS, 'B')


def test_the_right_option_that_is_always_first_is_moved(tmp_path):
  marks = {'choices': ['trout', 'kite', 'spoon', 'oven', 'brick'], 'labels': [1, 0, 0, 0, 0]}
  rows = [problem(tmp_path, {'question': f'{i}: {ASKED}', 'mc1_targets': marks}) for i in range(9)]
  assert len({row['answer'] for row in rows}) > 2
  assert all(row['choices']['ABCDE'.index(row['answer'])] == 'trout' for row in rows)


@pytest.mark.parametrize(
  'row',
  [
    {'Body': 'A hen lays 2 eggs a day.', 'Question': 'How many in 6 days?', 'Answer': 12},
    {'body': 'A hen lays 2 eggs a day.', 'question': 'How many in 6 days?', 'answer': '12 (eggs)', 'formula': '2*6=12'},
    {'narrative': 'A hen lays 2 eggs a day.', 'question': 'How many in 6 days?', 'answer': '12'},
    {'table': 'A hen lays 2 eggs a day.', 'question': 'How many in 6 days?', 'answer': '12', 'choices': None},
    {'context': {'contexts': ['A hen lays 2 eggs a day.']}, 'question': 'How many in 6 days?', 'answer': '12'},
  ],
)
def test_what_a_question_is_about_is_asked_too(tmp_path, row):
  found = problem(tmp_path, row)
  assert found['problem'] == 'A hen lays 2 eggs a day.\n\nHow many in 6 days?' and found['answer'] == '12'


@pytest.mark.parametrize(
  'row',
  [
    {'problem': Q, 'answer': 'A model said 13.', 'gold_answer': '12'},
    {'question': Q, 'answer': 'So they are 12.', 'reference_answer': '12'},
    {'prompt': [USER], 'label': '12'},
    {'prompt': [USER], 'reward_spec': {'method': 'rule', 'ground_truth': '12'}},
    {'messages': [USER, GOOD], 'metadata': '{"expected_answer": "12"}'},
    {'prompt': Q, 'extra_info': {'answer': '#### 12'}},
    {'Problem': Q, 'Short Answer': '12'},
    {'turns': [Q], 'ground_truth': '12'},
    {'question': Q, 'final_ans': '12'},
    {'prompt': [USER], 'reward_model': {'ground_truth': {'target': ['12']}}},
    {'question': Q, 'answer': {'value': '12', 'aliases': ['12', 'a dozen']}},
  ],
)
def test_the_answer_that_is_judged_by(tmp_path, row):
  found = problem(tmp_path, row)
  assert found['answer'] == '12' and Q in json.dumps(found['problem'])


@pytest.mark.parametrize(
  'row, reason',
  [
    ({'prompt': [USER], 'ability': 'logical_reasoning', 'reward_model': {'ground_truth': ['Ann', 'Bo']}}, 'list of 2'),
    ({'prompt': [USER], 'reward_model': {'ground_truth': [[0, 1], [1, 0]]}}, 'list of 2'),
    ({'problem': Q, 'answer': 'proof', 'question_type': 'proof'}, 'no answer'),
    ({'prompt': Q, 'label': True}, 'nothing is there'),
    ({'text': Q, 'label': 'positive'}, 'prompt'),
  ],
)
def test_what_is_no_answer_alone(tmp_path, row, reason):
  with pytest.raises(ValueError, match=reason):
    problem(tmp_path, row)


ADDS = '```python\ndef add(a, b):\n  return a + b\n```'
CASE = (
  'import unittest\nclass TestAdd(unittest.TestCase):\n  def setUp(self):\n    self.sum = 3\n'
  '  def test_add(self):\n    self.assertEqual(add(1, 2), self.sum)\n'
  '  def test_more(self):\n    self.assertTrue(add(2, 2) > 3)\nif __name__ == "__main__":\n  unittest.main()\n'
)
PROGRAMS = {
  'unittest': {'question': 'Write add.', 'test': CASE, 'entry_point': 'add'},
  'unittest alone': {'question': 'Write add.', 'unit_tests': CASE},
  'pytest in verl': {
    'prompt': 'Write add.',
    'reward_model': {
      'ground_truth': json.dumps({'pytest': 'from solution import add\ndef test_add():\n  assert add(1, 2) == 3\n'})
    },
  },
  'a list of one text': {'prompt': 'Write add.', 'ground_truth': ['["assert add(1, 2) == 3"]'], 'dataset': ['code']},
  'beside': {'prompt': 'Write add.', 'metadata': '{"test_cases": ["assert add(1, 2) == 3"]}'},
}


@pytest.mark.parametrize('name', PROGRAMS)
def test_programs_judged_by_code(tmp_path, name):
  row = problem(tmp_path, PROGRAMS[name])
  assert verify(ADDS, row).status == 'correct'
  assert verify(ADDS.replace('+', '-'), row).status == 'wrong'


@pytest.mark.parametrize(
  'row',
  [
    {'problem': 'Add.', 'test_cases': '{"input": ["1 2", "3 4"], "output": ["3", "7"]}'},
    {'problem': 'Add.', 'sample_inputs': ['1 2', '3 4'], 'sample_outputs': ['3', '7']},
    {
      'problem_description': 'Add.',
      'public_tests': [{'input': '1 2', 'output': '3'}],
      'hidden_tests': [{'input': '3 4', 'output': '7'}],
    },
    {'problem': 'Add.', 'tests': [['1 2', '3'], ['3 4', '7']]},
    {
      'messages': [{'role': 'user', 'content': 'Add.'}],
      'ground_truth': [json.dumps([{'input': '1 2', 'output': '3'}, {'input': '3 4', 'output': '7'}])],
    },
    {
      'prompt': 'Add.',
      'verification_info': json.dumps(
        {'language': 'python', 'ground_truth': json.dumps({'inputs': ['1 2', '3 4'], 'outputs': ['3', '7']})}
      ),
    },
  ],
)
def test_cases_wherever_they_stand(tmp_path, row):
  assert problem(tmp_path, row)['tests']['cases'] == [{'input': '1 2', 'output': '3'}, {'input': '3 4', 'output': '7'}]


def test_tests_that_replace_parts_of_the_program_are_left_out(tmp_path):
  with pytest.raises(ValueError, match='mock'):
    problem(
      tmp_path, {'question': 'q', 'unit_tests': CASE.replace('    self.assertTrue', '    mock.x\n    self.assertTrue')}
    )


@pytest.mark.parametrize('choices', ['', 'n/a', [], None])
def test_choices_that_are_none(tmp_path, choices):
  row = problem(tmp_path, {'problem': Q, 'answer': '12', 'choices': choices})
  assert verify('\\boxed{12}', row).status == 'correct' and verify('\\boxed{13}', row).status == 'wrong'


def test_options_without_marks(tmp_path):
  row = problem(tmp_path, {'question': ASKED, 'options': 'kite\ntrout\nspoon', 'answer': 'trout'})
  assert (row['choices'], row['answer']) == (OPTIONS, 'B')
  with pytest.raises(ValueError, match='told apart'):
    problem(tmp_path, {'question': ASKED, 'options': 'a kite or a trout', 'answer': 'B'})


@pytest.mark.parametrize(
  'row, said',
  [
    ({'question': 'Does it?', 'context': {'contexts': ['A pond.']}, 'final_decision': 'maybe'}, 'C'),
    ({'question': 'How many?', 'passage': 'A pond.', 'answers_spans': {'spans': ['12', '12.0']}}, '12'),
    (
      {'question': 'Who?', 'context': 'A pond.', 'answers': {'text': ['Ann', 'Ann Lee'], 'answer_start': [1, 1]}},
      'Ann',
    ),
    ({'problem': Q, 'answers': '\\boxed{12}'}, '12'),
    ({'question': Q, 'solution': '12', 'attempt': 'Long.'}, '12'),
  ],
)
def test_answers_about_passages(tmp_path, row, said):
  row = problem(tmp_path, row)
  assert row['answer'] == said


@pytest.mark.parametrize(
  'row',
  [
    {'prompt': Q, 'label': '12', 'response': R},
    {'problem': Q, 'answers': ['1', '2']},
    {'question': Q, 'passage': 'A pond.', 'answers_spans': {'spans': ['12', '13']}},
  ],
)
def test_what_might_mean_something_else_is_no_answer(tmp_path, row):
  with pytest.raises(ValueError, match='p.jsonl, line 1'):
    problem(tmp_path, row)
