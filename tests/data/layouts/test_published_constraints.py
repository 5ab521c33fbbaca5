"""Instructions that a text can be checked for, as their sets publish them."""

import json

import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.data.layouts import constraint_layouts
from vibethinker_jax.data.sources import DataOptions
from vibethinker_jax.verify import constraints
from vibethinker_jax.verify.response import verify

ARGUMENTS = {  # of all instructions together: each takes its own
  'keywords': ['sea'],
  'keyword': 'sea',
  'frequency': 2,
  'relation': 'at least',
  'forbidden_words': ['land'],
  'letter': 'e',
  'let_frequency': 3,
  'let_relation': 'less than',
  'language': 'ru',
  'num_sentences': 2,
  'num_paragraphs': 2,
  'num_words': 9,
  'nth_paragraph': 1,
  'first_word': 'so',
  'num_placeholders': 1,
  'postscript_marker': 'P.S.',
  'num_bullets': 2,
  'num_highlights': 1,
  'section_spliter': 'Part',
  'num_sections': 2,
  'prompt_to_repeat': 'Why?',
  'end_phrase': 'The end.',
  'capital_frequency': 2,
  'capital_relation': 'at least',
  'keyword_list': ['sea'],
  'word': 'sea',
  'N': 2,
  'quantifier': 'around',
  'i': 1,
  'options': ['yes', 'no'],
  'section_splitter': 'Part',
  'original_prompt': 'Why?',
}
PROMPT = 'Write about the sea without capitals.'


def problem(tmp_path, row):
  (tmp_path / 'p.jsonl').write_text(json.dumps(row) + '\n')
  (found,) = sources.read_problems(DataOptions(str(tmp_path / 'p.jsonl')))
  return found


@pytest.mark.parametrize('name', [*constraint_layouts.IFEVAL, *constraint_layouts.TULU])
def test_every_instruction_is_one_that_can_be_checked(name):
  found = constraint_layouts.read({'instruction_id_list': [name], 'kwargs': [ARGUMENTS | {'unused': None}]})
  constraints.check(found.fields['constraints'])


@pytest.mark.parametrize(
  'row',
  [
    {
      'key': 1,
      'prompt': PROMPT,
      'instruction_id_list': ['change_case:english_lowercase'],
      'kwargs': [{'num_words': None}],
    },
    {
      'messages': [{'role': 'user', 'content': PROMPT}],
      'dataset': 'ifeval',
      'ground_truth': json.dumps([{'instruction_id': ['change_case:english_lowercase'], 'kwargs': [None]}]),
    },
    {
      'messages': [{'role': 'user', 'content': PROMPT}],
      'dataset': ['ifeval'],
      'ground_truth': ["[{'instruction_id': ['change_case:english_lowercase'], 'kwargs': [None]}]"],
    },
    {
      'messages': [{'role': 'user', 'content': PROMPT}],
      'dataset': 'ifeval',
      'constraint': 'lower case',
      'ground_truth': '{"func_name": "validate_lowercase", "N": null}',
    },
  ],
)
def test_rows(tmp_path, row):
  row = problem(tmp_path, row)
  assert verify('the sea is wide.', row).status == 'correct' and verify('The sea.', row).status == 'wrong'
  asked = row['prompt']
  assert (asked if isinstance(asked, str) else asked[0]['content']) == PROMPT


@pytest.mark.parametrize(
  'name, told, said',
  [
    ('length_constraints:number_words', {'num_words': 5, 'relation': 'less than'}, [{'kind': 'words', 'at_most': 4}]),
    ('length_constraints:number_words', {'num_words': 5, 'relation': 'at least'}, [{'kind': 'words', 'at_least': 5}]),
    ('verify_keyword_frequency', {'word': 'sea', 'N': 2}, [{'kind': 'keyword_count', 'exactly': 2, 'word': 'sea'}]),
  ],
)
def test_numbers(name, told, said):
  assert constraint_layouts.read({'instruction_id_list': [name], 'kwargs': [told]}).fields['constraints'] == said


@pytest.mark.parametrize(
  'name, told, reason',
  [
    ('count:words_japanese', {}, 'nothing here checks'),
    ('language:response_language', {'language': 'fr'}, 'letters'),
    ('length_constraints:number_words', {'num_words': None}, 'do not say'),
    ('validate_choice', {'options': 'a'}, 'do not say'),
  ],
)
def test_what_cannot_be_checked_is_left_out(tmp_path, name, told, reason):
  with pytest.raises(ValueError, match=f'p.jsonl, line 1: .*{reason}'):
    problem(tmp_path, {'prompt': PROMPT, 'instruction_id_list': [name], 'kwargs': [told]})
