"""Benchmarks and training sets as they are published: which of their fields hold what.

Recognised by their fields, not by a name: `known(row)` gives the row with our own fields added (`problem`, `system`,
`responses`, `tests` in the form of verify.code, `choices` with a letter as the `answer`, `starter_code`, `domain`) and
leaves every other row as it is. Four things are looked for, each by small functions a family: what is asked
(chat_layouts), what was answered (response_layouts), how it is judged (judge_layouts), and a benchmark's row (here).
"""

import hashlib
import re
from typing import NamedTuple

from vibethinker_jax.data.layouts import chat_layouts, choice_layouts, judge_layouts, livecodebench, response_layouts
from vibethinker_jax.data.layouts.layout_fields import Found, decoded

# What LeetCode's own judge gives a program; reference solutions lean on it.
LEETCODE_IMPORTS = ''.join(
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
_HUMANEVAL = {'task_id', 'prompt', 'entry_point', 'test'}
_LCB = {'question_content', 'public_test_cases'}
_LCB_PROMPT = {'question_id', 'contest_date', 'prompt'}  # as handed around without tests
_JUDGED = (
  'tests',
  'answer',
  'constraints',
  'reward_model',
  'final_answer',
  'ground_truth',
  'target',
  'expected_answer',
  'gold',
)
_GPQA = {'Question', 'Correct Answer', 'Incorrect Answer 1', 'Incorrect Answer 2', 'Incorrect Answer 3'}
PARTS = ('prompt', 'response', 'answer')


class Reading(NamedTuple):
  """What the layouts say about a row.

  Attributes:
    fields: to add to it. parts: by PARTS where each is from; a part that no layout knows is missing.
  """

  fields: dict
  parts: dict[str, Found]


def known(row: dict) -> dict:
  """The row with what its layout says added: problem, system, responses, tests, choices, answer, starter_code, id,
  domain, subject, tests_are.

  Raises:
    ValueError: a row of a known layout that is malformed. fields.Unusable: one that is of no use here.
  """
  return row | read(row).fields


def read(row: dict, parts: tuple[str, ...] = PARTS) -> Reading:
  """What its layout says about a row.

  Args:
    parts: those that are needed: of a problem prompt and answer, of an example prompt and response. Of the others what
      is wrong is no error, and of options alone the answer is not looked at.

  Raises:
    ValueError: as of `known`.
  """
  if chat_layouts.is_columns(row):
    row = row | {'turns': row}
  fields, found = {}, {}
  benchmark = _benchmark(row, 'answer' in parts)
  if benchmark:
    fields |= benchmark.fields
    found |= {'prompt': benchmark, 'answer': benchmark}
  else:
    found['prompt'] = _asked(row, 'prompt' in parts)
    fields |= found['prompt'].fields
  if not benchmark and (judged := _judged(row | fields, 'answer' in parts)):
    found['answer'] = judged
    fields = judged.fields | fields
  if 'response' in parts and (said := response_layouts.responses(row, code='tests' in (row | fields))):
    found['response'] = said
    fields |= said.fields
    if 'prompt' in parts and not benchmark and (pair := chat_layouts.paired(row, said.used[0])):
      found['prompt'] = pair
      fields |= pair.fields
  if isinstance(decoded(row.get('domain')), list):
    fields['domain'] = judge_layouts.one_name(row['domain'])
  return Reading(fields, found)


def _asked(row: dict, needed: bool) -> Found:
  try:
    return chat_layouts.question(row)
  except ValueError:
    if needed:
      raise
    return Found({}, ())


def _judged(row: dict, needed: bool) -> Found | None:
  if needed:
    return judge_layouts.read(row)
  try:  # of an example it says what is asked for
    return judge_layouts.programs_of(row) or choice_layouts.read(row, answered=False)
  except ValueError:
    return None


def _benchmark(row: dict, needed: bool) -> Found | None:
  fields = row.keys()
  try:
    if fields >= _LCB:
      used = ('question_content', 'public_test_cases', 'private_test_cases')
      return Found(livecodebench.official(row), used, 'LiveCodeBench')
    if fields >= _LCB_PROMPT and not any(row.get(name) for name in _JUDGED):
      return Found(livecodebench.from_prompt(row), ('prompt',), 'LiveCodeBench')
    tests = decoded(row.get('tests'))
    typed = isinstance(tests, list) and tests and isinstance(tests[0], dict) and 'testtype' in tests[0]
    if typed and (row.get('starter_code') or fields & {'title', 'question_id', 'contest_date'}):
      asked = chat_layouts.question(row)
      return Found(
        livecodebench.public(row | {'tests': tests}) | asked.fields, asked.used + ('tests',), 'LiveCodeBench'
      )
  except ValueError:
    if needed:
      raise
    return None
  if fields >= _HUMANEVAL and 'problem_description' not in row:
    return Found(
      {
        'problem': row['prompt'],
        'starter_code': row['prompt'],
        'id': str(row['task_id']),
        'tests': {'asserts': row['test'], 'function': row['entry_point'], 'setup': row['prompt']},
      },
      ('prompt', 'test'),
      'HumanEval',
    )
  if 'test_list' in fields:
    return Found(_mbpp(row), ('text' if row.get('text') else 'prompt', 'test_list'), 'MBPP')
  if fields >= _GPQA:
    return Found(_gpqa(row), tuple(sorted(_GPQA)), 'GPQA')
  if isinstance(tests, dict) and isinstance(tests.get('functional'), str):
    return Found(
      {'tests': {'asserts': tests['functional']}, 'style': 'leetcode'} | chat_layouts.question(row).fields,
      chat_layouts.question(row).used + ('tests',),
      'LeetCode',
    )
  return None


def _mbpp(row: dict) -> dict:
  text = row.get('text') or row.get('prompt')
  if not isinstance(text, str) or not isinstance(row['test_list'], list) or not row['test_list']:
    raise ValueError('an MBPP row needs "text" (or "prompt") and "test_list"')
  setup = row.get('test_setup_code') or '\n'.join(row.get('test_imports') or ())
  shown = '\n'.join(row['test_list'])
  asked = f'{text}\nYour code should pass these tests:\n{shown}'
  return {
    'problem': asked,
    'prompt': asked,
    'id': str(row.get('task_id', '')) or None,
    'tests': {'asserts': row['test_list'], 'setup': setup, 'limits': {'cpu_seconds': 10}},
  }


def _gpqa(row: dict) -> dict:
  """The options in an order that is a function of the question alone."""
  wrong = [row[f'Incorrect Answer {i}'].strip() for i in (1, 2, 3)]
  choices, letter = choice_layouts.shuffled(row['Question'], row['Correct Answer'].strip(), wrong)
  return {
    'problem': row['Question'].strip(),
    'choices': choices,
    'answer': letter,
    'id': row.get('Record ID') or hashlib.sha256(row['Question'].encode()).hexdigest()[:16],
    'subject': row.get('High-level domain') or row.get('Subdomain'),
  }


def reference(row: dict) -> str | None:
  """A benchmark's own solution as a response, to check the verifier with; None where the row has none."""
  if 'canonical_solution' in row:
    source = (row.get('starter_code') or row['prompt']) + row['canonical_solution']
  elif 'test_list' in row:
    source = row.get('code')
  else:
    source = row.get('solutions') if row.get('style') == 'leetcode' else None
    source = LEETCODE_IMPORTS + source if source and not re.search(r'ListNode|TreeNode', source) else None
  return f'```python\n{source}\n```' if source else None
