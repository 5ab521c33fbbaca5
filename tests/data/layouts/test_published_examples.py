"""A row in each layout in which sets of responses are published: what is asked, what is trained on, what is left
out."""

import json
import logging

import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.data.sources import DataOptions

Q, R = 'A hen lays 2 eggs a day. How many in 6 days?', '<think>\n2 a day, 6 days.\n</think>\n\nIt is \\boxed{12}.'
THOUGHT, SAID, OFF = '2 a day, 6 days.', 'It is \\boxed{12}.', '<think>\n2 + 6.\n</think>\n\nIt is \\boxed{8}.'
USER, GOOD = {'role': 'user', 'content': Q}, {'role': 'assistant', 'content': R}


IO = {'inputs': ['1 2\n', '3 4\n'], 'outputs': ['3\n', '7\n']}


def write(path, *rows):
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def examples(tmp_path, *rows, **fields):
  found = sources.FileExamples(DataOptions(write(tmp_path / 'e.jsonl', *rows), wording='none', **fields))
  return [found[i] for i in range(len(found))]


def problem(tmp_path, row, **fields):
  (found,) = sources.read_problems(DataOptions(write(tmp_path / 'p.jsonl', row), wording='none', **fields))
  return found


SFT = {
  'sharegpt': {'conversations': [{'from': 'human', 'value': Q}, {'from': 'gpt', 'value': R}], 'source': 's'},
  'sharegpt as text': {'conversations': json.dumps([{'from': 'user', 'value': Q}, {'from': 'assistant', 'value': R}])},
  'pairs': {'conversation': [{'human': Q, 'assistant': R}]},
  'messages': {'messages': [USER, GOOD], 'num_tokens': 9, 'source': 's'},
  'deepseek turn': {'messages': [USER, {'role': 'assistant', 'content': SAID, 'reasoning_content': THOUGHT}]},
  'thinking turn': {
    'messages': [USER, {'role': 'assistant', 'content': SAID, 'thinking': THOUGHT, 'tool_calls': None}]
  },
  'am': {
    'messages': [
      USER | {'info': {'source': 's', 'reference_answer': '12', 'think_content': None}},
      {
        'role': 'assistant',
        'content': f'<think>{THOUGHT}</think>\n<answer>{SAID}</answer>',
        'info': {'think_content': THOUGHT, 'answer_content': SAID},
      },
    ]
  },
  'am by text': {
    'conversations': [
      {'from': 'human', 'value': Q},
      {'from': 'assistant', 'value': f'<think>\n{THOUGHT}\n</think>\n<answer>\n{SAID}\n</answer>'},
    ]
  },
  'stratos': {
    'conversations': [
      {'from': 'user', 'value': Q},
      {
        'from': 'assistant',
        'value': f'<|begin_of_thought|>\n\n{THOUGHT}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n'
        f'{SAID}\n\n<|end_of_solution|>',
      },
    ]
  },
  'trl texts': {'prompt': Q, 'completion': R},
  'trl messages': {'prompt': [USER], 'completion': [GOOD]},
  'trl reasoning': {
    'prompt': [USER],
    'completion': [{'role': 'assistant', 'content': SAID, 'reasoning_content': THOUGHT}],
  },
  'alpaca': {'instruction': 'A hen lays 2 eggs a day.', 'input': 'How many in 6 days?', 'output': R},
  'nemotron text': {'input': Q, 'output': R, 'category': 'math', 'reasoning': 'on', 'system_prompt': ''},
  'opencodereasoning': {'id': '1', 'input': Q, 'output': R, 'solution': 'print(12)', 'source': 's', 'license': 'l'},
  'opencodereasoning 2': {'question': Q, 'r1_generation': R, 'judgement': 'right', 'pass_rate': -1.0, 'solution': 'x'},
  'deepmath': {'question': Q, 'final_answer': '12', 'r1_solution_1': R, 'r1_solution_2': '', 'r1_solution_3': None},
  'openr1': {
    'problem': Q,
    'solution': '2*6',
    'answer': '12',
    'generations': [OFF, R, R],
    'is_reasoning_complete': [True, True, False],
    'correctness_math_verify': [False, True, True],
    'correctness_llama': None,
  },
  'openr1 llama': {
    'problem': Q,
    'generations': json.dumps([OFF, R]),
    'correctness_math_verify': [False, False],
    'correctness_llama': [False, True],
  },
  'openmath': {'problem': Q, 'generated_solution': R, 'expected_answer': '12', 'pass_rate_72b_tir': '0.5'},
  's1': {'question': Q, 'solution': '12', 'thinking_trajectories': [THOUGHT], 'attempt': SAID, 'cot_type': 'math'},
  's1.1': {
    'question': Q,
    'solution': '12',
    'gemini_thinking_trajectory': 'g',
    'gemini_attempt': 'g',
    'deepseek_thinking_trajectory': THOUGHT,
    'deepseek_attempt': SAID,
    'deepseek_grade': 'Yes',
    'gemini_grade': 'No',
  },
  'limo': {'question': Q, 'solution': R, 'answer': '12'},
  'openthoughts metadata': {
    'problem': Q,
    'deepseek_reasoning': THOUGHT,
    'deepseek_solution': SAID,
    'test_cases': None,
    'ground_truth_solution': '12',
    'domain': 'math',
    'starter_code': None,
  },
  'kodcode sft': {
    'question': Q,
    'solution': 'x = 12',
    'r1_solution': R,
    'r1_correctness': 'True',
    'conversations': [{'from': 'human', 'value': Q}, {'from': 'gpt', 'value': 'other'}],
  },
  'congliu': {'input': Q, 'reasoning_content': THOUGHT, 'content': SAID, 'repo_name': 'r', 'score': 8},
  'medical o1': {'Question': Q, 'Complex_CoT': THOUGHT, 'Response': SAID},
  'generalthought': {
    'question': Q,
    'reference_answer': '12',
    'model_reasoning': THOUGHT,
    'model_answer': SAID,
    'verifier_score': 1.0,
    'prev_messages': None,
  },
  'synthetic 1': {'prompt': Q, 'llm_response': R, 'score': 1.0, 'verification_info': '{"ground_truth": "12"}'},
  'dolphin': {'messages': [USER], 'reasoning': THOUGHT, 'answer': SAID, 'model': 'm'},
  'natural reasoning': {'question': Q, 'reference_answer': '12', 'responses': [{'response_model': 'm', 'response': R}]},
  'openorca': {'id': 'x', 'system_prompt': '', 'question': Q, 'response': R},
  'codeforces cots': {'id': '1/A', 'description': 'd', 'prompt': Q, 'generation': R, 'finish_reason': 'stop'},
  'aqua': {'question': Q, 'options': ['A)12', 'B)8'], 'rationale': R, 'correct': 'A'},
  'nulls of other rows': {
    'messages': None,
    'conversations': [],
    'prompt': None,
    'input': Q,
    'output': R,
    'response': '',
  },
}


@pytest.mark.parametrize('name', SFT)
def test_examples(tmp_path, name):
  (found,) = examples(tmp_path, SFT[name])
  asked = found['prompt'] if isinstance(found['prompt'], str) else found['prompt'][-1]['content']
  assert asked.replace('\n\n', ' ') == Q and found['response'] == R
  (trace,) = sources.read_traces(DataOptions(str(tmp_path / 'e.jsonl'), wording='none'))
  again = examples(tmp_path, trace)  # as a stage writes it for the next one
  assert [example['response'] for example in again] == [R] and again[0]['prompt'] == found['prompt']


@pytest.mark.parametrize(
  'row',
  [
    {'system': 'Think.', 'conversations': [{'from': 'user', 'value': Q}, {'from': 'assistant', 'value': R}]},
    {'system_prompt': 'Think.', 'question': Q, 'response': R},
    {'system_prompt': 'Think.', 'input': [USER], 'output': R},
    {'messages': [{'role': 'system', 'content': 'Think.'}, USER, GOOD], 'system': 'Another.'},
    {
      'conversations': [
        {'from': 'system', 'value': 'Think.'},
        {'from': 'human', 'value': Q},
        {'from': 'gpt', 'value': R},
      ]
    },
  ],
)
def test_system_turns(tmp_path, row):
  assert examples(tmp_path, row) == [{'prompt': [{'role': 'system', 'content': 'Think.'}, USER], 'response': R}]


def test_a_conversation_of_several_turns_is_its_own_prompt(tmp_path):
  turns = [USER, {'role': 'assistant', 'content': '14?'}, {'role': 'user', 'content': 'No.'}]
  assert examples(tmp_path, {'prompt': Q, 'messages': turns + [GOOD]}) == [{'prompt': turns, 'response': R}]
  assert examples(tmp_path, {'problem': Q, 'messages': [USER, GOOD]}) == [{'prompt': Q, 'response': R}]


def test_marks_of_thought_that_the_system_turn_asks_for_stay(tmp_path):
  marked = '<|begin_of_thought|> a <|end_of_thought|> <|begin_of_solution|> b <|end_of_solution|>'
  row = {'conversations': [{'from': 'user', 'value': Q}, {'from': 'assistant', 'value': marked}]}
  assert examples(tmp_path, row)[0]['response'] == '<think>\na\n</think>\n\nb'
  assert examples(tmp_path, row | {'system': 'Use <|begin_of_thought|>.'})[0]['response'] == marked


WRONG = [
  {'problem': Q, 'generations': [OFF], 'correctness_math_verify': [False], 'correctness_llama': [None]},
  {'problem': Q, 'generations': [R], 'correctness_math_verify': [True], 'is_reasoning_complete': [False]},
  {'problem': Q, 'generated_solution': OFF, 'is_correct': False},
  {'prompt': Q, 'generation': R, 'finish_reason': 'length'},
  {'question': Q, 'r1_generation': OFF, 'judgement': 'wrong'},
  {'question': Q, 'r1_generation': OFF, 'pass_rate': 0.7},
  {'question': Q, 'r1_solution': OFF, 'r1_correctness': 'incorrect'},
  {'question': Q, 'model_reasoning': 'x', 'model_answer': 'y', 'verifier_score': 0.0},
  {'prompt': Q, 'llm_response': OFF, 'score': 0.0, 'verification_info': '{}'},
  {'question': Q, 'deepseek_thinking_trajectory': 'x', 'deepseek_attempt': 'y', 'deepseek_grade': 'No'},
  {'messages': [USER, {'role': 'assistant', 'content': None, 'tool_calls': [{}]}]},
  {'messages': [USER, {'role': 'assistant', 'content': '', 'reasoning_content': 'cut off'}]},
  {'question': Q, 'responses': [{'response': OFF, 'correct': False}]},
]


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
  row = {'question': 'Add.', 'solutions': '["a = 1\\nprint(a)", "print(2)"]', 'input_output': json.dumps(IO)}
  assert [x['response'] for x in examples(tmp_path, row)] == [
    '```python\na = 1\nprint(a)\n```',
    '```python\nprint(2)\n```',
  ]


def test_the_start_says_what_was_taken(tmp_path, caplog):
  row = {'problem': Q, 'solution': 'short', 'generations': [R, OFF], 'correctness_math_verify': [True, False]}
  with caplog.at_level(logging.INFO, 'vibethinker_jax'):
    assert len(examples(tmp_path, row)) == 1
  assert "e.jsonl: 1 rows (OpenR1-Math): prompt from 'problem'; response from 'generations'" in caplog.text
  assert "'solution' is there too: data.response='solution' takes it" in caplog.text and 'The first row' in caplog.text
  assert examples(tmp_path, row, response='solution')[0]['response'] == 'short'
  caplog.clear()
  with caplog.at_level(logging.INFO, 'vibethinker_jax'):
    problem(tmp_path, {'prompt': [USER], 'reward_model': {'ground_truth': json.dumps(IO)}})
  assert "p.jsonl: 1 rows (verl): prompt from 'prompt'; tests from 'reward_model.ground_truth'" in caplog.text


def test_conversations_by_name(tmp_path):
  row = {'prompt': 'other', 'response': 'other', 'dialog': [{'from': 'human', 'value': Q}, {'from': 'gpt', 'value': R}]}
  assert examples(tmp_path, row, prompt='dialog', response='dialog') == [{'prompt': [USER], 'response': R}]


SAID = 'Two a day for six days is a dozen.'


@pytest.mark.parametrize(
  'row, said',
  [
    ({'question': Q, 'answer': SAID}, SAID),
    ({'question': Q, 'answer': SAID, 'reference_answer': '12'}, SAID),
    ({'messages': [USER], 'answer': SAID}, SAID),
    ({'id': '1', 'data': [Q, SAID]}, SAID),
    ({'chosen': f'\n\nHuman: {Q}\n\nAssistant: {SAID}', 'rejected': f'\n\nHuman: {Q}\n\nAssistant: No.'}, SAID),
    ({'text': f'### Human: {Q}### Assistant: {SAID}'}, SAID),
    ({'prompt': Q, 'response_0': 'No.', 'response_1': SAID, 'better_response_id': 1}, SAID),
    ({'question': Q, 'reasoning_trace': 'Two.', 'final_response': SAID}, f'<think>\nTwo.\n</think>\n\n{SAID}'),
    ({'question': Q, 'conversations': [USER, GOOD], 'r1_solution': 'def eggs(): pass'}, R),
    ({'problem': Q, 'generations': [R, 'No.', None], 'correctness_math_verify': [True, False, False]}, R),
  ],
)
def test_responses_of_further_sets(tmp_path, row, said):
  (found,) = examples(tmp_path, row)
  assert found['response'] == said and Q in json.dumps(found['prompt'])


@pytest.mark.parametrize(
  'row',
  [
    {'prompt': [USER], 'completion': [GOOD], 'label': False},
    {'prompt': Q, 'completion': R, 'label': False},
    {'conversations': [USER, GOOD], 'kto_tag': False},
  ],
)
def test_what_people_did_not_like_is_left_out(tmp_path, row):
  right = {name: True if value is False else value for name, value in row.items()}
  assert len(examples(tmp_path, row, right)) == 1


def test_a_short_answer_is_no_response(tmp_path):
  for answer in ('12', 'x = 3 or x = 4'):
    with pytest.raises(ValueError, match='response'):
      examples(tmp_path, {'problem': Q, 'answer': answer})


def test_what_others_call_data_or_text_is_no_conversation(tmp_path):
  row = {'instruction': Q, 'output': R, 'data': ['a', 'b'], 'text': 'Human: a\n\nAssistant: b', 'label': 'c'}
  assert examples(tmp_path, row) == [{'prompt': Q, 'response': R}]
