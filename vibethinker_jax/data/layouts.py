"""Benchmarks as they ship: which fields of HumanEval, MBPP, LeetCode, LiveCodeBench, GPQA hold what.

Recognised by their fields, not by a name: `known(row)` gives the row in our own form (`problem`, `tests` in the form of
verify.code, `choices` with a letter as the `answer`) and leaves every other row as it is.
"""

import hashlib
import json
import random
import re
import string

from vibethinker_jax.data import livecodebench

# What LeetCode's own judge gives a program; reference solutions lean on it.
LEETCODE_IMPORTS = ''.join(f'from {name} import *\n' for name in (
    'operator', 'string', 'math', 'bisect', 'heapq', 'functools', 'itertools', 'collections', 'typing', 'builtins'))
_HUMANEVAL = {'task_id', 'prompt', 'entry_point', 'test'}
_LCB = {'question_content', 'public_test_cases'}
_LCB_PROMPT = {'question_id', 'contest_date', 'prompt'}  # as handed around without tests
_JUDGED = ('tests', 'answer', 'constraints', 'reward_model', 'final_answer', 'ground_truth', 'target',
           'expected_answer', 'gold')
_GPQA = {'Question', 'Correct Answer', 'Incorrect Answer 1', 'Incorrect Answer 2', 'Incorrect Answer 3'}


def known(row: dict) -> dict:
  """The row with what its layout says added: problem, tests, choices, answer, id, subject, starter_code, tests_are.

  Raises:
    ValueError: a row of a known layout that is malformed.
  """
  fields = row.keys()
  if fields >= _LCB:
    return row | livecodebench.official(row)
  if fields >= _LCB_PROMPT and not any(row.get(name) for name in _JUDGED):
    return row | livecodebench.from_prompt(row)
  if fields >= _HUMANEVAL:
    return row | {'problem': row['prompt'], 'starter_code': row['prompt'], 'id': str(row['task_id']), 'tests': {
        'asserts': row['test'], 'function': row['entry_point'], 'setup': row['prompt']}}
  if 'test_list' in fields:
    return row | _mbpp(row)
  if fields >= _GPQA:
    return row | _gpqa(row)
  tests = row.get('tests')
  tests = json.loads(tests) if isinstance(tests, str) and tests else tests
  if isinstance(tests, dict) and isinstance(tests.get('functional'), str):
    return row | {'tests': {'asserts': tests['functional']}, 'style': 'leetcode'}
  if isinstance(tests, list) and tests and isinstance(tests[0], dict) and 'testtype' in tests[0]:
    return row | livecodebench.public(row | {'tests': tests})
  return row


def _mbpp(row: dict) -> dict:
  text = row.get('text') or row.get('prompt')
  if not isinstance(text, str) or not isinstance(row['test_list'], list) or not row['test_list']:
    raise ValueError('an MBPP row needs "text" (or "prompt") and "test_list"')
  setup = row.get('test_setup_code') or '\n'.join(row.get('test_imports') or ())
  shown = '\n'.join(row['test_list'])
  asked = f'{text}\nYour code should pass these tests:\n{shown}'
  return {'problem': asked, 'prompt': asked, 'id': str(row.get('task_id', '')) or None,
          'tests': {'asserts': row['test_list'], 'setup': setup, 'limits': {'cpu_seconds': 10}}}


def _gpqa(row: dict) -> dict:
  """The options in an order that is a function of the question alone."""
  right = row['Correct Answer'].strip()
  options = [right] + [row[f'Incorrect Answer {i}'].strip() for i in (1, 2, 3)]
  digest = hashlib.sha256(row['Question'].encode()).hexdigest()
  random.Random(digest).shuffle(options)
  return {'problem': row['Question'].strip(), 'choices': options,
          'answer': string.ascii_uppercase[options.index(right)], 'id': row.get('Record ID') or digest[:16],
          'subject': row.get('High-level domain') or row.get('Subdomain')}


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
