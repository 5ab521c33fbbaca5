"""What a model is asked, by kind: everything that an answer needs, once, and no more."""

import json

import pytest

from vibethinker_jax.data import overlap, sources, wording
from vibethinker_jax.data.sources import DataOptions
from vibethinker_jax.verify.response import verify

MATHS = {'answer': '5'}
CHOICE = {'answer': 'B', 'choices': ['an apple', 'a chair', '3 m']}
STDIN = {'tests': {'cases': [{'input': '1', 'output': '1'}]}}
CALLS = {'tests': {'function': 'addTwo', 'cases': [{'args': [1], 'expected': 1}]}}
STARTER = 'class Solution:\n    def addTwo(self, a: int, b: int) -> int:\n        '
HEAD = 'def add(a, b):\n    """Sum."""\n'
BOX = "Let's think step by step and output the final answer within \\boxed{}."
OPTIONS = 'A) an apple\nB) a chair\nC) 3 m'


def user(*texts, system=''):
  turns = [{'role': 'assistant' if i % 2 else 'user', 'content': text} for i, text in enumerate(texts)]
  return [{'role': 'system', 'content': system}] * bool(system) + turns


@pytest.mark.parametrize(
  'row, kind',
  [
    (MATHS, 'maths'),
    (CHOICE, 'choice'),
    (STDIN, 'stdin'),
    (CALLS, 'function'),
    (STDIN | {'starter_code': STARTER}, 'function'),
    ({'tests': {'asserts': ['assert f(1) == 1']}}, 'function'),
    ({'tests': {'units': 'mine'}}, 'function'),
    ({'tests': CALLS['tests'], 'starter_code': 'Q?'}, 'completion'),
    (MATHS | {'constraints': []}, ''),
    ({'answer': ''}, ''),
    ({}, ''),
    ({'tests': None, 'choices': None, 'answer': 0}, 'maths'),
  ],
)
def test_kinds(row, kind):
  assert wording.kind_of(row, 'Q?') == kind


def test_maths_and_choice():
  assert wording.asked('What is 2+3?', MATHS) == f'What is 2+3? {BOX}'
  assert wording.asked('Which?', CHOICE) == (
    f"Which?\n\n{OPTIONS}\n\nLet's think step by step and output the letter of the right option within \\boxed{{}}."
  )


def test_programs():
  asked = wording.asked('Add them.', STDIN)
  assert asked.startswith('You will be given a question') and 'Question: Add them.\n' in asked and 'from stdin' in asked
  asked = wording.asked('Add them.', CALLS | {'starter_code': STARTER})
  assert asked.count(STARTER) == 1 and 'the following starter code' in asked and asked.count('```python') == 1
  assert wording.asked(
    HEAD, {'tests': {'asserts': 'def check(candidate): pass', 'function': 'add'}, 'starter_code': HEAD}
  ) == (
    f'Complete this Python function. Answer with the whole function, with what it imports, in one ```python block.\n\n'
    f'```python\n{HEAD}```'
  )


@pytest.mark.parametrize(
  'tests, name',
  [
    (CALLS['tests'], 'addTwo'),
    ({'asserts': 'def check(candidate):\n  assert candidate(1)', 'function': 'Solution().addTwo'}, 'addTwo'),
    ({'asserts': 'from solution import addTwo\n\ndef test_it():\n    assert addTwo(1, 2) == 3\n'}, 'addTwo'),
    ({'asserts': ['assert addTwo(1, 2) == 3']}, 'addTwo'),
    ({'asserts': 'def check(candidate):\n  assert same(candidate(1), 2)\n\ncheck(Solution().addTwo)'}, 'addTwo'),
  ],
  ids=str,
)
def test_a_function_is_named_where_the_text_does_not(tests, name):
  """Without its name no program could be right."""
  asked = wording.asked('Add two numbers.', {'tests': tests})
  assert f'The function to write is `{name}`.' in asked and asked.endswith('in one ```python block.')
  assert 'The function' not in wording.asked('Write addTwo.', {'tests': tests})


SAYS = [
  # what says itself how to answer stays as it is
  ('2+3? Put the final answer in \\boxed{}.', MATHS, ''),
  ('Antworte: answer within \\fbox{...}. 2+3?', MATHS, ''),
  ('Please reason step by step, and put your final answer within \\boxed{}.\n2+3?', MATHS, ''),
  ('2+3? 请逐步推理，并将最终答案放在\\boxed{}中。', MATHS, ''),
  ('2+3? Box your final answer.', MATHS, ''),
  ('Return your final response in the form \\boxed{answer}. 2+3?', MATHS, ''),
  # a box that is a part of the problem is no instruction
  ('Let $\\boxed{n}$ be the sum of the digits of n. Find $\\boxed{23}$.', MATHS, f' {BOX}'),
  ('What must be in $4x + \\boxed{\\phantom{2}} = 9$ so that it has one solution?', MATHS, f' {BOX}'),
  ('A box holds 2 and 3 balls. How many?', MATHS, f' {BOX}'),
  # another form stays and its answer is boxed, which is what is read
  (
    'The last line should be of the form Answer: $Answer where $Answer is it.\n\n2+3?\n\nRemember "Answer:".',
    MATHS,
    '\n\nWrite the final answer itself within \\boxed{}.',
  ),
  (
    '2+3? Let\'s think step by step and output the final answer after "####".',
    MATHS,
    '\n\nWrite the final answer itself within \\boxed{}.',
  ),
  ('2+3? Answer in <answer> </answer>.', MATHS, '\n\nWrite the final answer itself within \\boxed{}.'),
  # options that are shown are not shown again
  (
    f'Which?\n{OPTIONS}',
    CHOICE,
    "\n\nLet's think step by step and output the letter of the right option within \\boxed{}.",
  ),
  (f'Which?\n{OPTIONS}\nGive the letter within \\boxed{{}}.', CHOICE, ''),
  ('Which? $\\textbf{(A)}$ an  apple (B): a chair, C. 3 m Answer with the letter in \\boxed{}.', CHOICE, ''),
  ('Which of 3 m, an apple, a chair? Give your answer in \\boxed{}.', CHOICE, f'\n\n{OPTIONS}'),
  (
    'Which?\n(A) a\n(B) b\n(C) c',
    {'answer': 'C'},
    "\n\nLet's think step by step and output the letter of the right option within \\boxed{}.",
  ),
  # programs
  ('Read n. Enclose your code within\n```python\n# YOUR CODE HERE\n```\n', STDIN, ''),
  ('Add. Write addTwo in one ```python block.', CALLS, ''),
  (f'Please complete the following python code:\n```python\n{STARTER}```', CALLS | {'starter_code': STARTER}, ''),
  (
    f'Add.\n\n{STARTER}',
    CALLS | {'starter_code': STARTER},
    '\nAnswer with the whole Python code in one ```python block.',
  ),
  (
    'Add. Answer with a markdown code block.',
    CALLS | {'starter_code': STARTER},
    f'\n\nUse this starter code:\n```python\n{STARTER}\n```',
  ),
  ('Write a poem.', MATHS | {'constraints': [{'kind': 'words', 'max': 5}]}, ''),
  ('Hello', {}, ''),
]


@pytest.mark.parametrize('text, row, added', SAYS, ids=[text[:40] for text, _, _ in SAYS])
def test_only_what_it_lacks(text, row, added):
  assert wording.asked(text, row) == text + added


@pytest.mark.parametrize(
  'text, row',
  [(text, row) for text, row, _ in SAYS]
  + [
    ('2+3?', MATHS),
    ('Which?', CHOICE),
    ('Add.', STDIN),
    ('Add.', CALLS),
    ('Add.', CALLS | {'starter_code': STARTER}),
    (HEAD, {'tests': {'asserts': 'x', 'function': 'add'}, 'starter_code': HEAD}),
    ('Which?', CHOICE | {'choices': ['A. two\nlines', 'B. $x^2$', 'C. (c)']}),
  ],
)
def test_nothing_is_said_twice(text, row):
  once = wording.asked(text, row)
  assert wording.asked(once, row) == once
  assert wording.asked(user(once), row) == user(once)


def test_the_form_that_is_asked_for_is_the_one_that_is_read():
  for form in ('Answer: {}', '<answer>{}</answer>', '#### {}', '{}'):
    assert verify(form.format('\\boxed{5}'), MATHS | {'tests': None}).status == 'correct'
    assert verify(form.format('\\boxed{6}'), MATHS | {'tests': None}).status == 'wrong'


def test_chat_messages():
  turns = user('2+2?', '4', '2+3?', system='Be brief.')
  kept = json.dumps(turns)
  asked = wording.asked(turns, MATHS)
  assert asked == turns[:-1] + [{'role': 'user', 'content': f'2+3? {BOX}'}] and json.dumps(turns) == kept
  assert wording.asked(user('2+3?', system='Put your answer within \\boxed{}.'), MATHS)[-1]['content'] == '2+3?'
  assert wording.asked(user('2+2?', 'The answer is within \\boxed{4}.', '2+3?'), MATHS)[-1]['content'].endswith(BOX)
  assert wording.asked([{'role': 'system', 'content': 'x'}], MATHS) == [{'role': 'system', 'content': 'x'}]
  asked = wording.asked(user(f'Which?\n{OPTIONS}', 'Hm.', 'Well?'), CHOICE)
  assert asked[-1]['content'].startswith('Well?\n\nLet') and OPTIONS not in asked[-1]['content']


def test_options_with_letters_of_their_own():
  assert (
    wording.options(['A. p', 'B. q'])
    == wording.options(['(A) p', '(B) q'])
    == wording.options(['p', 'q'])
    == 'A) p\nB) q'
  )
  assert wording.options(['A. p', 'q', 3]) == 'A) A. p\nB) q\nC) 3'


def write(path, *rows) -> str:
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def test_problems_are_asked_and_stay_bare(tmp_path):
  path = write(tmp_path / 'p.jsonl', {'problem': '2+3?', 'answer': 5}, {'prompt': user('Which?'), **CHOICE})
  maths, choice = sources.read_problems(path)
  assert (maths['problem'], maths['prompt']) == ('2+3?', f'2+3? {BOX}')
  assert choice['problem'] == user('Which?') and OPTIONS in choice['prompt'][0]['content']
  maths, choice = sources.read_problems(DataOptions(path, wording='none'))
  assert (maths['prompt'], choice['prompt']) == ('2+3?', user('Which?'))


def test_a_template_is_all_that_is_asked(tmp_path):
  path = write(tmp_path / 'p.jsonl', {'question': 'Which?', 'options': ['ignored'], **CHOICE})
  (found,) = sources.read_problems(DataOptions(path, prompt='{question} Letter?\n{options}'))
  assert (found['prompt'], found['problem']) == (f'Which? Letter?\n{OPTIONS}', 'Which?')
  (named,) = sources.read_problems(DataOptions(path, prompt='question'))  # this only says where it stands
  assert named['prompt'].startswith(f'Which?\n\n{OPTIONS}\n\nLet')
  path = write(
    tmp_path / 'c.jsonl', {'problem': 'Add.', **CALLS, 'starter_code': STARTER}, {'problem': 'Read.', **STDIN}
  )
  first, second = sources.read_problems(DataOptions(path, prompt='{problem}|{starter_code}|'))
  assert (first['prompt'], second['prompt']) == (f'Add.|{STARTER}|', 'Read.||')


@pytest.mark.parametrize(
  'row',
  [
    {'problem': '2+3?', 'answer': 5},
    {'problem': 'Which?', **CHOICE},
    {'problem': 'Add.', **STDIN},
    {'problem': 'Add.', **CALLS, 'starter_code': STARTER},
    {'prompt': user('2+3?', system='s'), 'answer': '5'},
    {'problem': '2+3?', 'solution': 'It is \\boxed{5}.'},
    {'question': '2+3?', 'solution': 'So\n#### 5'},
    {'prompt': 'Write.', 'constraints': [{'kind': 'words', 'max': 5}]},
  ],
  ids=str,
)
def test_sft_asks_what_rl_asks(tmp_path, row):
  path = write(tmp_path / 'x.jsonl', row | {'responses': ['<think>x</think>one', 'two']})
  options = DataOptions(path, response='responses')
  (problem,) = sources.read_problems(options)
  examples = sources.FileExamples(options)
  assert [examples[i] for i in range(2)] == [
    {'prompt': problem['prompt'], 'response': response} for response in ('<think>x</think>one', 'two')
  ]
  assert [trace['prompt'] for trace in sources.read_traces(options)] == [problem['prompt']] * 2
  assert examples.firsts == {wording.kind_of(problem): 0}


@pytest.mark.parametrize(
  'row',
  [
    {'messages': user('2+3?', 'It is \\boxed{5}.')},
    {'prompt': 'Write a proof.', 'response': 'Since \\boxed{x}'},
    {'problem': 'Prove it.', 'solution': 'It is clear.'},
    {'question': 'Who?', 'answer': 'A poet.', 'mine': 'x'},
  ],
  ids=str,
)
def test_what_nothing_judges_stays_as_it_is(tmp_path, row):
  path = write(tmp_path / 'x.jsonl', row)
  examples = sources.FileExamples(DataOptions(path, response='answer' if 'mine' in row else ''))
  asked = row.get('prompt') or row.get('problem') or row.get('question') or row['messages'][:1]
  assert examples[0]['prompt'] == asked and examples.firsts == {'': 0}


def test_what_a_stage_wrote_is_asked_again_as_it_was(tmp_path):
  row = {'prompt': '2+3? Think hard.', 'problem': '2+3?', 'answer': '5', 'response': 'x', 'worded': True}
  path = write(tmp_path / 'data.jsonl', row)
  for options in (DataOptions(path), DataOptions(path, prompt='{prompt} Now!'), DataOptions(path, prompt='{question}')):
    assert sources.FileExamples(options)[0]['prompt'] == row['prompt']
    (problem,) = sources.read_problems(options)
    assert (problem['prompt'], problem['problem']) == (row['prompt'], '2+3?')
  rows = sources.rows_lib.Rows([path])
  assert overlap.texts(rows, 0, ['prompt'], '') == ['2+3?']  # decontamination compares the bare question
