"""A row in each layout in which training sets are published: what is asked, what is trained on, what is right and wrong."""

import json
import logging

import pytest

from vibethinker_jax.data import layouts, sources
from vibethinker_jax.data.sources import DataOptions
from vibethinker_jax.verify.response import verify

Q, R = 'A hen lays 2 eggs a day. How many in 6 days?', '<think>\n2 a day, 6 days.\n</think>\n\nIt is \\boxed{12}.'
THOUGHT, SAID, OFF = '2 a day, 6 days.', 'It is \\boxed{12}.', '<think>\n2 + 6.\n</think>\n\nIt is \\boxed{8}.'
USER, GOOD = {'role': 'user', 'content': Q}, {'role': 'assistant', 'content': R}


def write(path, *rows):
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def examples(tmp_path, *rows, **fields):
  found = sources.FileExamples(DataOptions(write(tmp_path / 'e.jsonl', *rows), **fields))
  return [found[i] for i in range(len(found))]


def problem(tmp_path, row, **fields):
  found, = sources.read_problems(DataOptions(write(tmp_path / 'p.jsonl', row), **fields))
  return found


SFT = {
    'sharegpt': {'conversations': [{'from': 'human', 'value': Q}, {'from': 'gpt', 'value': R}], 'source': 's'},
    'sharegpt as text': {'conversations': json.dumps([{'from': 'user', 'value': Q}, {'from': 'assistant', 'value': R}])},
    'pairs': {'conversation': [{'human': Q, 'assistant': R}]},
    'messages': {'messages': [USER, GOOD], 'num_tokens': 9, 'source': 's'},
    'deepseek turn': {'messages': [USER, {'role': 'assistant', 'content': SAID, 'reasoning_content': THOUGHT}]},
    'thinking turn': {'messages': [USER, {'role': 'assistant', 'content': SAID, 'thinking': THOUGHT, 'tool_calls': None}]},
    'am': {'messages': [USER | {'info': {'source': 's', 'reference_answer': '12', 'think_content': None}}, {
        'role': 'assistant', 'content': f'<think>{THOUGHT}</think>\n<answer>{SAID}</answer>',
        'info': {'think_content': THOUGHT, 'answer_content': SAID}}]},
    'am by text': {'conversations': [{'from': 'human', 'value': Q}, {
        'from': 'assistant', 'value': f'<think>\n{THOUGHT}\n</think>\n<answer>\n{SAID}\n</answer>'}]},
    'stratos': {'conversations': [{'from': 'user', 'value': Q}, {
        'from': 'assistant', 'value': f'<|begin_of_thought|>\n\n{THOUGHT}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n'
                                      f'{SAID}\n\n<|end_of_solution|>'}]},
    'trl texts': {'prompt': Q, 'completion': R},
    'trl messages': {'prompt': [USER], 'completion': [GOOD]},
    'trl reasoning': {'prompt': [USER], 'completion': [{'role': 'assistant', 'content': SAID,
        'reasoning_content': THOUGHT}]},
    'alpaca': {'instruction': 'A hen lays 2 eggs a day.', 'input': 'How many in 6 days?', 'output': R},
    'nemotron text': {'input': Q, 'output': R, 'category': 'math', 'reasoning': 'on', 'system_prompt': ''},
    'opencodereasoning': {'id': '1', 'input': Q, 'output': R, 'solution': 'print(12)', 'source': 's', 'license': 'l'},
    'opencodereasoning 2': {'question': Q, 'r1_generation': R, 'judgement': 'right', 'pass_rate': -1.0, 'solution': 'x'},
    'deepmath': {'question': Q, 'final_answer': '12', 'r1_solution_1': R, 'r1_solution_2': '', 'r1_solution_3': None},
    'openr1': {'problem': Q, 'solution': '2*6', 'answer': '12', 'generations': [OFF, R, R], 'is_reasoning_complete': [
        True, True, False], 'correctness_math_verify': [False, True, True], 'correctness_llama': None},
    'openr1 llama': {'problem': Q, 'generations': json.dumps([OFF, R]), 'correctness_math_verify': [False, False],
                     'correctness_llama': [False, True]},
    'openmath': {'problem': Q, 'generated_solution': R, 'expected_answer': '12', 'pass_rate_72b_tir': '0.5'},
    's1': {'question': Q, 'solution': '12', 'thinking_trajectories': [THOUGHT], 'attempt': SAID, 'cot_type': 'math'},
    's1.1': {'question': Q, 'solution': '12', 'gemini_thinking_trajectory': 'g', 'gemini_attempt': 'g',
             'deepseek_thinking_trajectory': THOUGHT, 'deepseek_attempt': SAID, 'deepseek_grade': 'Yes',
                 'gemini_grade': 'No'},
    'limo': {'question': Q, 'solution': R, 'answer': '12'},
    'openthoughts metadata': {'problem': Q, 'deepseek_reasoning': THOUGHT, 'deepseek_solution': SAID, 'test_cases': None,
                              'ground_truth_solution': '12', 'domain': 'math', 'starter_code': None},
    'kodcode sft': {'question': Q, 'solution': 'x = 12', 'r1_solution': R, 'r1_correctness': 'True', 'conversations': [
        {'from': 'human', 'value': Q}, {'from': 'gpt', 'value': 'other'}]},
    'congliu': {'input': Q, 'reasoning_content': THOUGHT, 'content': SAID, 'repo_name': 'r', 'score': 8},
    'medical o1': {'Question': Q, 'Complex_CoT': THOUGHT, 'Response': SAID},
    'generalthought': {'question': Q, 'reference_answer': '12', 'model_reasoning': THOUGHT, 'model_answer': SAID,
                       'verifier_score': 1.0, 'prev_messages': None},
    'synthetic 1': {'prompt': Q, 'llm_response': R, 'score': 1.0, 'verification_info': '{"ground_truth": "12"}'},
    'dolphin': {'messages': [USER], 'reasoning': THOUGHT, 'answer': SAID, 'model': 'm'},
    'natural reasoning': {'question': Q, 'reference_answer': '12', 'responses': [{'response_model': 'm', 'response': R}]},
    'openorca': {'id': 'x', 'system_prompt': '', 'question': Q, 'response': R},
    'codeforces cots': {'id': '1/A', 'description': 'd', 'prompt': Q, 'generation': R, 'finish_reason': 'stop'},
    'aqua': {'question': Q, 'options': ['A)12', 'B)8'], 'rationale': R, 'correct': 'A'},
    'nulls of other rows': {'messages': None, 'conversations': [], 'prompt': None, 'input': Q, 'output': R, 'response': ''},
}


@pytest.mark.parametrize('name', SFT)
def test_examples(tmp_path, name):
  (found,) = examples(tmp_path, SFT[name])
  asked = found['prompt'] if isinstance(found['prompt'], str) else found['prompt'][-1]['content']
  assert asked.replace('\n\n', ' ') == Q and found['response'] == R
  trace, = sources.read_traces(DataOptions(str(tmp_path / 'e.jsonl')))
  again = examples(tmp_path, trace)  # as a stage writes it for the next one
  assert [example['response'] for example in again] == [R] and again[0]['prompt'] == found['prompt']


@pytest.mark.parametrize('row', [
    {'system': 'Think.', 'conversations': [{'from': 'user', 'value': Q}, {'from': 'assistant', 'value': R}]},
    {'system_prompt': 'Think.', 'question': Q, 'response': R}, {'system_prompt': 'Think.', 'input': [USER], 'output': R},
    {'messages': [{'role': 'system', 'content': 'Think.'}, USER, GOOD], 'system': 'Another.'},
    {'conversations': [{'from': 'system', 'value': 'Think.'}, {'from': 'human', 'value': Q}, {'from': 'gpt', 'value': R}]}])
def test_system_turns(tmp_path, row):
  assert examples(tmp_path, row) == [{'prompt': [{'role': 'system', 'content': 'Think.'}, USER], 'response': R}]


def test_marks_of_thought_that_the_system_turn_asks_for_stay(tmp_path):
  marked = '<|begin_of_thought|> a <|end_of_thought|> <|begin_of_solution|> b <|end_of_solution|>'
  row = {'conversations': [{'from': 'user', 'value': Q}, {'from': 'assistant', 'value': marked}]}
  assert examples(tmp_path, row)[0]['response'] == '<think>\na\n</think>\n\nb'
  assert examples(tmp_path, row | {'system': 'Use <|begin_of_thought|>.'})[0]['response'] == marked


WRONG = [{'problem': Q, 'generations': [OFF], 'correctness_math_verify': [False], 'correctness_llama': [None]},
         {'problem': Q, 'generations': [R], 'correctness_math_verify': [True], 'is_reasoning_complete': [False]},
         {'problem': Q, 'generated_solution': OFF, 'is_correct': False}, {'prompt': Q, 'generation': R,
             'finish_reason': 'length'},
         {'question': Q, 'r1_generation': OFF, 'judgement': 'wrong'}, {'question': Q, 'r1_generation': OFF,
             'pass_rate': 0.7},
         {'question': Q, 'r1_solution': OFF, 'r1_correctness': 'incorrect'},
         {'question': Q, 'model_reasoning': 'x', 'model_answer': 'y', 'verifier_score': 0.0},
         {'prompt': Q, 'llm_response': OFF, 'score': 0.0, 'verification_info': '{}'},
         {'question': Q, 'deepseek_thinking_trajectory': 'x', 'deepseek_attempt': 'y', 'deepseek_grade': 'No'},
         {'question': Q, 'responses': [{'response': OFF, 'correct': False}]}]


@pytest.mark.parametrize('row', WRONG)
def test_wrong_and_unfinished_responses_are_left_out_aloud(tmp_path, row, caplog):
  with caplog.at_level(logging.INFO, 'vibethinker_jax'):
    assert [x['response'] for x in examples(tmp_path, row, {'prompt': 'p', 'response': 'r'}, row)] == ['r']
  (said,) = [record.message for record in caplog.records if record.levelname == 'WARNING']
  assert said.startswith('left out: 2 of 3 rows: no response in') and 'line 1' in said
  with pytest.raises(ValueError, match=r'e.jsonl, line 1: an example needs .*no response in .*1 more rows'):
    examples(tmp_path, row, row)


def test_verdicts_that_do_not_fit(tmp_path):
  with pytest.raises(ValueError, match="line 1: .*'correctness_math_verify' has 1 verdicts on 2 responses"):
    examples(tmp_path, {'problem': Q, 'generations': [R, R], 'correctness_math_verify': [True]})


def test_a_question_that_the_set_leaves_out(tmp_path):
  with pytest.raises(ValueError, match='line 1: .*leaves its questions out'):
    examples(tmp_path, {'input': '-', 'output': R})


def test_programs_as_solutions_become_blocks(tmp_path):
  row = {'question': 'Add.', 'solutions': '["a = 1\\nprint(a)", "print(2)"]', 'input_output': '{"inputs": ["1"], "outputs": ["2"]}'}
  assert [x['response'] for x in examples(tmp_path, row)] == ['```python\na = 1\nprint(a)\n```', '```python\nprint(2)\n```']


MATHS = {
    'dapo': {'data_source': 'd', 'prompt': [USER], 'reward_model': {'ground_truth': '12', 'style': 'rule'}},
    'verl as text': {'prompt': [USER], 'reward_model': '{"ground_truth": "12", "style": "rule"}'},
    'skywork': {'prompt': [USER], 'reward_model': {'ground_truth': '["12"]'}},
    'skywork twice': {'prompt': [USER], 'reward_model': {'ground_truth': '["12", "12.0"]'}},
    'orz': [{'from': 'human', 'value': Q}, {'from': 'assistant', 'ground_truth': {'value': '12', 'pass_at_n': 0.5}}],
    'nvidia': {'problem': Q, 'expected_answer': '12'}, 'general': {'question': Q, 'reference_answer': '12'},
    'correct answer': {'question': Q, 'correct_answer': '12'}, 'capitals': {'Problem': Q, 'Answer': 12},
    'rlvr': {'messages': [USER], 'ground_truth': '12', 'dataset': 'gsm8k'},
    'rlvr lists': {'messages': [USER], 'ground_truth': ['12'], 'dataset': ['gsm8k']},
    'synthetic': {'prompt': Q, 'verification_info': '{"ground_truth": "12"}', 'task_type': 'verifiable_math'},
    'synthetic repr': {'prompt': Q, 'verification_info': "{'ground_truth': '12'}", 'score': None},
    'ii thought': {'problem': Q, 'verification_info': {'answer': {'value': '12'}, 'type': 'math_verifiable'}},
    'am': {'messages': [USER | {'info': {'reference_answer': '12', 'test_case': None}}, GOOD]},
    'numina': {'problem': Q, 'solution': 'So \\boxed{12}.', 'messages': [USER, GOOD]},
}


@pytest.mark.parametrize('name', MATHS)
def test_answers(tmp_path, name):
  row = problem(tmp_path, MATHS[name])
  assert Q in json.dumps(row['prompt']) and row['answer'] == '12' and row['tests'] is None
  assert verify('\\boxed{12}', row).status == 'correct' and verify('\\boxed{13}', row).status == 'wrong'


def test_lists_of_turns_in_columns():
  row = layouts.known({'0': {'from': 'human', 'value': Q}, '1': {'from': 'assistant', 'ground_truth': {'value': '12'}}})
  assert (row['problem'], row['answer']) == ([USER], '12')


def test_domains(tmp_path):
  for domain in (['Mathematics -> Algebra'], '["Mathematics -> Algebra"]', ['Mathematics -> Algebra', 'Other']):
    assert problem(tmp_path, {'problem': Q, 'answer': '12', 'domain': domain})['domain'] == 'Mathematics -> Algebra'
  assert problem(tmp_path, {'problem': Q, 'answer': '12', 'tags': ['a']}, domain='tags')['domain'] == 'a'
  with pytest.raises(ValueError, match='line 1: .*domain must be text'):
    problem(tmp_path, {'problem': Q, 'answer': '12', 'domain': {'a': 1}})


def test_several_answers_are_each_right(tmp_path):
  row = problem(tmp_path, {'prompt': [USER], 'reward_model': {'ground_truth': '["12", "a dozen", "12.0"]'}})
  assert (row['answer'], row['alternatives']) == ('12', ['a dozen'])
  for response, status in (('\\boxed{12}', 'correct'), ('\\boxed{\\text{a dozen}}', 'correct'), ('\\boxed{13}', 'wrong')):
    assert verify(response, row).status == status


ADD, SUB = 'a, b = map(int, input().split())\nprint(a + b)\n', 'a, b = map(int, input().split())\nprint(a - b)\n'
FUNCTION = 'def add(a, b):\n  return a + b\nclass Solution:\n  def add(self, a, b):\n    return a + b\n'
IO = {'inputs': ['1 2\n', '3 4\n'], 'outputs': ['3\n', '7\n']}
CASES = [{'input': '1 2\n', 'output': '3\n'}, {'input': '3 4\n', 'output': '7\n'}]
CALLS = {'fn_name': 'add', 'inputs': [[1, 2], [3, 4]], 'outputs': [[3], [7]]}
verl = lambda tests: {'prompt': [{'role': 'user', 'content': 'Add, as add.'}], 'reward_model': {'ground_truth': tests}}
STDIN = {
    'eurus': verl(json.dumps(IO)), 'guru object': verl(IO), 'skywork cases': verl(json.dumps(CASES)),
    'taco': {'question': 'Add.', 'solutions': '[]', 'starter_code': '', 'input_output': json.dumps(IO)},
    'lists of lines': {'question': 'Add.', 'input_output': json.dumps({'inputs': [['1 2']], 'outputs': [['3']]})},
    'contests': {'description': 'Add.', 'public_tests': {'input': ['1 2\n'], 'output': ['3\n']}, 'private_tests': {
        'input': [], 'output': []}, 'generated_tests': {'input': ['3 4\n'], 'output': ['7\n']},
            'time_limit': {'seconds': 2}},
    'prime': {'prompt': 'Add.', 'verification_info': {'language': 'python', 'test_cases': [
        case | {'type': 'stdin_stdout', 'fn_name': None} for case in CASES]}},
    'prime repr': {'prompt': 'Add.', 'verification_info': repr({'language': 'python', 'test_cases': [
        case | {'type': 'stdin_stdout'} for case in CASES]})},
    'deepcoder prime': {'problem': 'Add.', 'tests': json.dumps([case | {'type': 'stdin_stdout'} for case in CASES])},
    'deepcoder taco': {'problem': 'Add.', 'tests': json.dumps(IO)},
    'deepcoder lcb': {'problem': 'Add.', 'tests': json.dumps([case | {'testtype': 'stdin', 'metadata': {
        'func_name': None}} for case in CASES])},
    'codeforces': {'title': 'Sum', 'description': 'Add.', 'input_format': 'Two numbers.', 'output_format': 'Their sum.',
                   'examples': [CASES[0]], 'official_tests': CASES, 'time_limit': 1.0, 'generated_checker': None},
    'ground truth': {'messages': [{'role': 'user', 'content': 'Add.'}], 'ground_truth': json.dumps(CASES)},
    'am': {'messages': [{'role': 'user', 'content': 'Add.', 'info': {'test_case': json.dumps(IO)}}, GOOD]},
    'test_cases': {'question': 'Add.', 'test_cases': json.dumps(IO), 'answer': None},
}
PYTEST = '''import pytest
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
'''
CALLED = {
    'taco': {'question': 'Add, as add.', 'input_output': json.dumps(CALLS)},
    'apps plain': {'question': 'Add.', 'input_output': json.dumps(CALLS | {'outputs': [3, 7]})},
    'eurus': verl(json.dumps(CALLS)), 'text lines': verl(json.dumps({'fn_name': 'add', 'inputs': ['1\n2'],
        'outputs': ['3']})),
    'functional': verl('{"functional": "def check(candidate):\\n    assert candidate(1, 2) == 3\\n\\ncheck(add)"}'),
    'prime': {'prompt': 'Add.', 'verification_info': json.dumps({'language': 'python', 'test_cases': [
        {'type': 'function_call', 'fn_name': 'add', 'input': [1, 2], 'output': [3]}]})},
    'lcb': {'problem': 'Add.', 'starter_code': 'class Solution:\n    def add(self, a, b):\n        ', 'tests': json.dumps([
        {'input': '1\n2', 'output': '3', 'testtype': 'functional'}])},
    'acecoder': {'question': 'Add.', 'test_cases': ['assert add(1, 2) == 3', 'assert add(0, 0) == 0'], 'inferences': []},
    'assert text': verl('assert add(1, 2) == 3'),
    'pytest': {'question': 'Write add.', 'solution': FUNCTION, 'test': PYTEST},
    'leetcodedataset': {'task_id': 't', 'problem_description': 'Add.', 'prompt': 'import math\n',
        'starter_code': 'class Sol',
                        'entry_point': 'Solution().add', 'test': 'def check(candidate):\n    assert candidate(a=1, b=2) == 3\n'},
}


@pytest.mark.parametrize('row, right, wrong', [
    *((row, ADD, SUB) for row in STDIN.values()), *((row, FUNCTION, FUNCTION.replace('+', '-')) for row in CALLED.values())],
    ids=[*STDIN, *(f'call {name}' for name in CALLED)])
def test_programs(tmp_path, row, right, wrong):
  row = problem(tmp_path, row)
  assert 'Add' in json.dumps(row['prompt']) or 'Write add.' == row['prompt']
  assert row['answer'] == '' and verify(f'```python\n{right}```', row).status == 'correct', row['tests']
  assert verify(f'```python\n{wrong}```', row).status == 'wrong'
  if row['tests'].get('function'):  # a model sees the name somewhere
    assert 'add' in json.dumps(row['prompt']) + row.get('starter_code', '') or 'entry_point' in row


def test_each_test_of_pytest_counts(tmp_path):
  row = problem(tmp_path, CALLED['pytest'])
  for bad in ('def add(a, b):\n  return 3', 'def add(a, b):\n  return int(a + b)', 'def add(a, b):\n  return a + b if b != "x" else 0'):
    assert verify(f'```python\n{bad}\n```', row).status == 'wrong'


@pytest.mark.parametrize('test, reason', [
    ('from solution import Stack\ndef test_a():\n  s = Stack()\n  assert s.pop() == 1', 'objects of the program'),
    ('from solution import f, g\ndef test_a():\n  assert f(1) == g(1)', 'several functions of the program: f, g'),
    ('from solution import f\ndef test_a(capsys):\n  assert f(1) == 1', r'fixtures of pytest \(capsys\)'),
    ('from solution import f\nimport pytest\n@pytest.fixture\ndef test_a():\n  assert f(1) == 1', 'the decorator'),
    ('from solution import f\nimport pytest\ndef test_a():\n  with pytest.raises(ValueError) as e:\n    f(1)\n  assert e',
        'text of'),
    ('from solution import f\ndef test_a():\n  assert f(1) ==', 'not Python')])
def test_tests_that_cannot_be_run(tmp_path, test, reason, caplog):
  row = {'question': 'Write it.', 'test': test, 'solution': ''}
  with pytest.raises(ValueError, match=f'p.jsonl, line 1: a problem needs .*{reason}'):
    problem(tmp_path, row)
  path = write(tmp_path / 'p.jsonl', CALLED['pytest'], row)
  assert len(sources.read_problems(path)) == 1 and 'left out: 1 of 2 rows' in caplog.text


@pytest.mark.parametrize('row, reason', [
    ({'question': 'q', 'input_output': ''}, 'no tests'), ({'question': 'q', 'input_output': '{"inputs": [], "outputs": []}'}, 'no tests'),
    ({'description': 'q', 'public_tests': {'input': [], 'output': []}, 'private_tests': None}, 'no tests'),
    ({'description': 'q', 'public_tests': {'input': ['1'], 'output': ['1']}, 'private_tests': None,
        'input_file': 'in.txt'}, 'files'),
    ({'description': 'q', 'input_format': 'i', 'official_tests': CASES, 'generated_checker': 'def check'}, 'checker'),
    ({'prompt': 'q', 'verification_info': '{"language": "rust", "test_cases": [{"input": "1", "output": "1"}]}'},
        'programs in rust'),
    ({'prompt': 'q', 'verification_info': '{"rubric": "long"}'}, r'verification_info \(rubric\)'),
    ({'messages': [USER], 'ground_truth': '{"func_name": "validate_x", "N": 3}'}, 'nothing here can judge'),
    ({'prompt': 'q', 'reward_model': {'ground_truth': '{"inputs": ["1"], "outputs": []}'}}, '1 and 0'),
    ({'prompt': 'q', 'answer': '[{"a": 1}]'}, 'no answer but data')])
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
  row = {'question': 'As f.', 'starter_code': 'def f(x: int) -> List[int]:', 'input_output': json.dumps(
      {'fn_name': 'f', 'inputs': [[1], [2]], 'outputs': [[1], [2]]})}
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
    'openbook original': {'question': {'stem': 'Fruit?', 'choices': [{'text': 'apple', 'label': 'A'}, {
        'text': 'dog', 'label': 'B'}]}, 'answerKey': 'A'},
    'medqa': {'question': 'Fruit?', 'options': {'A': 'dog', 'B': 'apple'}, 'answer': 'apple', 'answer_idx': 'B'},
    'medqa list': {'question': 'Fruit?', 'options': [{'key': 'A', 'value': 'dog'}, {'key': 'B', 'value': 'apple'}],
        'answer': 'apple'},
    'medmcqa': {'question': 'Fruit?', 'opa': 'dog', 'opb': 'apple', 'opc': 'sky', 'opd': 'chair', 'cop': 1, 'exp': 'x'},
    'sciq': {'question': 'Fruit?', 'correct_answer': 'apple', 'distractor1': 'dog', 'distractor2': 'sky',
        'distractor3': 'tin'},
    'aqua': {'question': 'Fruit?', 'options': ['A)dog', 'B)apple', 'C)sky'], 'rationale': 'r', 'correct': 'B'},
    'supergpqa': {'question': 'Fruit?', 'options': ['apple', 'dog'], 'answer': 'apple', 'answer_letter': 'A',
        'discipline': 'd'},
    'race': {'article': 'Of food.', 'question': 'Fruit?', 'options': ['dog', 'apple'], 'answer': 'B'},
    'cmmlu': {'question': 'Fruit?', 'A': 'dog', 'B': 'apple', 'C': 'sky', 'D': 'tin', 'answer': 'B'},
    'siqa': {'context': 'Of food.', 'question': 'Fruit?', 'answerA': 'dog', 'answerB': 'apple', 'answerC': 'sky',
        'label': '2'},
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


@pytest.mark.parametrize('row, reason', [
    ({'options': ['a', 'b'], 'answer_index': 2}, 'no index of 2'), ({'options': ['apple', 'dog'], 'answer': 'cat'},
        'neither a letter'),
    ({'options': ['apple', 'dog'], 'answer': 'A', 'answer_index': 1}, "disagree: answer_index=1 is option B,
        answer='A' is option A"),
    ({'options': {'A': 'x', 'B': 'y'}, 'answer_idx': 'C'}, 'neither a letter'),
    ({'opa': 'a', 'opb': 'b', 'cop': 4}, 'no index'), ({'choices': {'text': ['a', 'b'], 'label': ['A', 'B']},
        'answerKey': 'D'}, 'neither')])
def test_answers_that_disagree_with_the_options(tmp_path, row, reason):
  with pytest.raises(ValueError, match=f'p.jsonl, line 1: .*{reason}'):
    problem(tmp_path, {'question': 'q'} | row)


def test_options_of_examples(tmp_path):
  assert layouts.known(CHOICES['mmlu'])['choices'] == ['apple', 'chair', 'dog']
  assert layouts.read(CHOICES['arc'] | {'response': 'r', 'answerKey': 'Z'}, ('prompt',
      'response')).fields['choices'] == ['dog', 'apple']


def test_the_start_says_what_was_taken(tmp_path, caplog):
  row = {'problem': Q, 'solution': 'short', 'generations': [R, OFF], 'correctness_math_verify': [True, False]}
  with caplog.at_level(logging.INFO, 'vibethinker_jax'):
    assert len(examples(tmp_path, row)) == 1
  assert "e.jsonl: 1 rows (OpenR1-Math): prompt from 'problem'; response from 'generations'" in caplog.text
  assert "'solution' is there too: data.response='solution' takes it" in caplog.text and 'The first row' in caplog.text
  assert examples(tmp_path, row, response='solution')[0]['response'] == 'short'
  caplog.clear()
  with caplog.at_level(logging.INFO, 'vibethinker_jax'):
    problem(tmp_path, STDIN['eurus'])
  assert "p.jsonl: 1 rows (verl): prompt from 'prompt'; tests from 'reward_model.ground_truth'" in caplog.text


def test_conversations_by_name(tmp_path):
  row = {'prompt': 'other', 'response': 'other', 'dialog': [{'from': 'human', 'value': Q}, {'from': 'gpt', 'value': R}]}
  assert examples(tmp_path, row, prompt='dialog', response='dialog') == [{'prompt': [USER], 'response': R}]
