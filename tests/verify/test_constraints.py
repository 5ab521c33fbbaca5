import doctest
import time

import pytest

from vibethinker_jax.verify import constraint_kinds, constraints, response
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.verdict import Verdict


@pytest.mark.parametrize('name', [*constraint_kinds.KINDS, 'within', 'occurrences', 'split_paragraphs'])
def test_example_of_each_kind(name):
  found = doctest.DocTestFinder(recurse=False).find(
    getattr(constraint_kinds, name), name, globs=vars(constraint_kinds).copy()
  )
  assert sum(len(test.examples) for test in found) >= 1
  for test in found:
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize(
  'text, constraint, follows',
  [
    ('one two three', {'kind': 'words', 'at_least': 4}, False),
    ('one two', {'kind': 'words', 'exactly': 2}, True),
    ('One. Two', {'kind': 'sentences', 'at_most': 1}, False),
    ('Dr. No', {'kind': 'characters', 'at_least': 7}, False),
    ('a\n\nb\n \nc', {'kind': 'paragraphs', 'exactly': 3}, True),
    ('a', {'kind': 'paragraph_starts', 'number': 2, 'word': 'a'}, False),
    ('cats', {'kind': 'keywords', 'words': ['cat']}, False),
    ('New\n york', {'kind': 'keywords', 'words': ['new York']}, True),
    ('C++ is', {'kind': 'keywords', 'words': ['C++']}, True),
    ('no', {'kind': 'keyword_count', 'word': 'no', 'at_least': 2}, False),
    ('Very', {'kind': 'forbidden', 'words': ['very']}, False),
    ('ok; fine', {'kind': 'without', 'characters': ','}, True),
    ('then', {'kind': 'order', 'words': ['first', 'then']}, False),
    ('1 + 1', {'kind': 'lowercase'}, False),
    ('A NASA', {'kind': 'capital_words', 'at_least': 2}, False),
    ('[1, 2]', {'kind': 'json_format'}, True),
    ('[1, 2]', {'kind': 'json_format', 'keys': ['a']}, False),
    ('{"a": 1', {'kind': 'json_format'}, False),
    ('{' * 9999, {'kind': 'json_format'}, False),
    ('[' * 99999, {'kind': 'json_format'}, False),
    ('-one\n*two', {'kind': 'bullets', 'at_least': 1}, False),
    ('1. a\n2) b', {'kind': 'bullets', 'exactly': 2}, True),
    ('**Part 1**\nx\nPART', {'kind': 'sections', 'name': 'Part', 'exactly': 1}, True),
    ('#tag', {'kind': 'sections', 'at_least': 1}, False),
    ('<<>>', {'kind': 'title'}, False),
    ('** **', {'kind': 'highlights', 'at_least': 1}, False),
    ('[]', {'kind': 'placeholders', 'at_least': 1}, False),
    ('a ****** ', {'kind': 'responses'}, False),
    ('yes or no', {'kind': 'one_of', 'options': ['yes', 'no']}, False),
    ('Answer: x', {'kind': 'starts_with', 'phrase': 'so'}, False),
    ('The end', {'kind': 'ends_with', 'phrase': 'end.'}, False),
    ('"', {'kind': 'quoted'}, False),
    ('```\nx.', {'kind': 'complete'}, False),
    ('你好，世界', {'kind': 'script', 'name': 'cjk'}, True),
    ('123', {'kind': 'script', 'name': 'latin'}, False),
    ('これは日本', {'kind': 'script', 'name': 'cjk hiragana'}, True),
    ('Why?', {'kind': 'repeats', 'phrase': 'Why not?'}, False),
    ('a b c d ' * 9, {'kind': 'unrepeated'}, False),
    ('', {'kind': 'unrepeated'}, True),
  ],
)
def test_kinds(text, constraint, follows):
  arguments = {k: v for k, v in constraint.items() if k != 'kind'}
  constraints.check([constraint])
  assert constraint_kinds.KINDS[constraint['kind']](text, **arguments) is follows


def test_several_hold_together_and_the_first_broken_is_named():
  rules = [{'kind': 'words', 'at_most': 5}, {'kind': 'forbidden', 'words': ['no']}, {'kind': 'lowercase'}]
  assert constraints.verify('<think>NO NO</think>yes, fine', rules) == Verdict('correct', 'followed')
  assert constraints.verify('yes, No', rules) == Verdict('wrong', 'forbidden')
  assert constraints.verify('Yes', rules) == Verdict('wrong', 'lowercase')


@pytest.mark.parametrize('text', ['', ' \n', '<think>fine', '<think>x</think>', '<think>x</think></think>fine'])
def test_an_empty_response_follows_nothing(text):
  assert constraints.verify(text, [{'kind': 'forbidden', 'words': ['no']}]) == Verdict('wrong', 'no_answer')


@pytest.mark.parametrize(
  'rules, message',
  [
    ([], 'at least one'),
    ([{'kind': 'haiku'}], 'kind'),
    ([{}], 'kind'),
    ([{'kind': 'words'}], 'at_least'),
    ([{'kind': 'words', 'at_lest': 1}], 'at_lest'),
    ([{'kind': 'keywords'}], 'words'),
    ([{'kind': 'title', 'x': 1}], 'x'),
  ],
)
def test_malformed_constraints_are_named(rules, message):
  with pytest.raises(ValueError, match=message):
    response.verify('text', {'constraints': rules})


def test_rows_with_constraints_and_an_answer_need_both():
  row = {'constraints': [{'kind': 'words', 'at_most': 9}], 'answer': '5'}
  assert response.verify('It is \\boxed{5}', row) == Verdict('correct', 'equal')
  assert response.verify('It is \\boxed{6}', row) == Verdict('wrong', 'different')
  assert response.verify('well ' * 9 + '\\boxed{5}', row) == Verdict('wrong', 'words')
  assert response.verify('It is 6', row | {'answer': ''}) == Verdict('correct', 'followed')
  with Pool(workers=1) as pool:
    assert pool.verify([('It is \\boxed{5}', row), ('It is \\boxed{6}', row)]) == [
      Verdict('correct', 'equal'),
      Verdict('wrong', 'different'),
    ]
    with pytest.raises(ValueError, match='haiku'):
      pool.submit('text', {'constraints': [{'kind': 'haiku'}]})


def test_hostile_text_takes_linear_time():
  start = time.monotonic()
  for unit in (
    '.',
    '*',
    '<<',
    '\n',
    ' ',
    '[',
    '"',
    '- ',
    '#',
    "a'",
    'a\n\n',
    '```\n',
    '{"a":',
    '**a',
    'P.S. ',
    'é',
    '!"',
  ):
    text = unit * (100_000 // len(unit)) + 'x'
    for kind in ('sentences', 'highlights', 'placeholders', 'bullets', 'sections', 'paragraphs', 'words'):
      constraint_kinds.KINDS[kind](text, at_least=1)
    for kind in ('title', 'postscript', 'json_format', 'quoted', 'complete', 'unrepeated', 'responses'):
      constraint_kinds.KINDS[kind](text)
    constraint_kinds.keywords(text, ['a b', 'x'])
  assert time.monotonic() - start < 10  # 1.5 s measured; one quadratic pattern takes minutes
