"""Code templates: every style's function passes its cases, a broken one fails, prompts determine tests."""

import json
import random
import re

from arithmetic import trace_tokens
import pytest

from vibethinker_jax.data.synthetic import code

CASES = [(template, level) for template in code.TEMPLATES for level in (1, 2, 3)]
LONGEST = {1: 70, 2: 90, 3: 130}


def drafts(template, level, count):
  rng = random.Random(f'{template.__name__}/{level}')
  return [template(rng, level) for _ in range(count)]


def source(final):
  """The code of a response that is nothing but one fenced block."""
  return re.fullmatch(r'\n```python\n(.*)\n```', final, re.DOTALL).group(1)


def passes(text, tests):
  """Whether the function gives exactly the expected values and types, on fresh copies of the arguments."""
  scope = {}
  exec(text, scope)
  results = [scope[tests['function']](*json.loads(json.dumps(case['args']))) for case in tests['cases']]
  return json.dumps(results) == json.dumps([case['expected'] for case in tests['cases']])


@pytest.mark.parametrize('template, level', CASES)
def test_functions_pass_their_cases(template, level):
  styles = set()
  for draft in drafts(template, level, 60):
    assert len(draft.tests['cases']) == 6 and draft.answer == ''
    assert json.loads(json.dumps(draft.tests)) == draft.tests
    assert set(draft.final) == set(draft.solutions) and len(draft.final) >= 3
    for style, final in draft.final.items():
      text = source(final)
      assert passes(text, draft.tests), (draft.prompt, style, final, draft.tests)
      assert not passes(re.sub(r'return .*', 'return None', text), draft.tests), (draft.prompt, style)
      assert 1 <= text.count('\n') <= 6
      styles.add(style)
  assert styles >= {'short', 'loop'}


@pytest.mark.parametrize('template, level', CASES)
def test_constants_matter(template, level):
  """The cases tell a problem from its neighbours: another problem's function fails nearly always."""
  known = drafts(template, level, 60)
  wrong = [(a, b) for a, b in zip(known, known[1:]) if a.key != b.key]
  caught = [not passes(source(b.final['short']), a.tests) for a, b in wrong]
  assert sum(caught) >= 0.9 * len(caught)


@pytest.mark.parametrize('template, level', CASES)
def test_lengths_and_keys(template, level):
  prompts, found = {}, {}
  for draft in drafts(template, level, 1500):
    assert all(isinstance(part, (int, str)) for part in draft.key)
    assert prompts.setdefault(draft.prompt, draft.tests) == draft.tests
    assert found.setdefault(draft.key, draft.prompt) == draft.prompt
    assert trace_tokens(draft.prompt) <= 35
  assert len(found) >= 200 and len(prompts) == len(found)
  for draft in drafts(template, level, 200):
    for style, plan in draft.solutions.items():
      assert trace_tokens(plan + draft.final[style]) <= LONGEST[level], (draft.prompt, style)
  assert drafts(template, level, 20) == drafts(template, level, 20)
