"""System turns and prefixes of rows, the same for examples, problems and traces."""

import json

import pytest

from vibethinker_jax import config
from vibethinker_jax.data import sources, turns
from vibethinker_jax.data.sources import DataOptions
from vibethinker_jax.eval import sets

ROW = {'prompt': 'Add 1 and 1.', 'answer': '2', 'response': 'It is \\boxed{2}.', 'field_of_study': 'sums', 'level': 3}
USER = {'role': 'user', 'content': 'Add 1 and 1.'}
DOORS = {
  'sft': lambda options: sources.FileExamples(options)[0],
  'rl': lambda options: sources.read_problems(options)[0],
  'filter': lambda options: next(sources.read_traces(options)),
  'evaluate': lambda options: sets.read(options, '', sets.Protocol(1, 1.0, 1.0, 8)).rows[0],
}


def system(text):
  return {'role': 'system', 'content': text}


@pytest.fixture
def write(tmp_path):
  def write(*rows):
    (tmp_path / 'rows.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return str(tmp_path / 'rows.jsonl')

  return write


@pytest.mark.parametrize('door', DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(
  'changes, options, prompt',
  [
    ({}, {}, 'Add 1 and 1.'),
    ({'prompt': [system('Own.'), USER]}, {}, [system('Own.'), USER]),
    ({'system': 'Own.'}, {}, [system('Own.'), USER]),
    ({'system_prompt': 'Own.'}, {}, [system('Own.'), USER]),
    ({'system': ' '}, {}, 'Add 1 and 1.'),
    ({'system': {'os': 'x'}}, {}, 'Add 1 and 1.'),
    ({'prompt': [system('Own.'), USER], 'system': 'Other.'}, {}, [system('Own.'), USER]),
    ({}, {'system': 'Be terse.'}, [system('Be terse.'), USER]),
    ({'prompt': [system('Own.'), USER]}, {'system': 'Be terse.'}, [system('Be terse.'), USER]),
    (
      {'prompt': [{'role': 'developer', 'content': 'Own.'}, USER]},
      {'system': 'Be terse.'},
      [system('Be terse.'), USER],
    ),
    ({'system_prompt': 'Own.'}, {'system': 'Be terse.'}, [system('Be terse.'), USER]),
    (
      {},
      {'system': 'You know {field_of_study} of level {level}, {{x}}.'},
      [system('You know sums of level 3, {x}.'), USER],
    ),
  ],
)
def test_system_turns(write, door, changes, options, prompt):
  assert door(DataOptions(write(ROW | changes), wording='none', **options))['prompt'] == prompt


@pytest.mark.parametrize('door', DOORS.values(), ids=DOORS)
def test_prefix_is_ours_alone(write, door):
  path = write(ROW | {'prefix': 'of a file'})
  assert door(DataOptions(path, prefix='<think>\n'))['prefix'] == '<think>\n'
  assert 'prefix' not in door(DataOptions(path))


@pytest.mark.parametrize('door', DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(
  'template, parts',
  [
    ('Know {subject}.', ["data.system: the template 'Know {subject}.' needs 'subject'"]),
    ('Know {', ['malformed']),
    ('{tags}', ['must name fields that are text']),
    ('field_of_study', ['is the name of a field', "'{field_of_study}'"]),
  ],
)
def test_bad_system_templates_name_file_and_line(write, door, template, parts):
  path = write(ROW | {'tags': ['a', 'b']})
  with pytest.raises(ValueError) as error:
    door(DataOptions(path, system=template))
  assert all(part in str(error.value) for part in ['rows.jsonl', 'line 1', *parts])


@pytest.mark.parametrize(
  'values, part',
  [
    ({'system': 3}, 'data.system=3 must be text'),
    ({'prefix': None}, 'data.prefix=None must be text'),
    ({'system': ' '}, "data.system=' ' must say something"),
    ({'prefix': '<think>\\n'}, 'a line end is meant'),
  ],
)
def test_options_of_a_wrong_kind(values, part):
  with pytest.raises(ValueError, match=part):
    config.bind(DataOptions, values, 'data')


def test_a_preset_words_the_question_below_a_system_turn(write):
  options = DataOptions(write(ROW), system='Be terse.')
  found = sets.read(options, 'aime24', sets.OF_PRESET)
  asked, user = found.rows[0]['prompt']
  assert asked == system('Be terse.') and user['content'].startswith('Add 1 and 1. ') and 'boxed' in user['content']
  assert found.rows[0]['problem'] == 'Add 1 and 1.'


def test_what_is_asked_is_in_the_settings(write):
  path, settings = write(ROW), []
  for options in ({}, {'system': 'Be terse.'}, {'prefix': '<think>\n'}):
    settings.append(sets.read(DataOptions(path, **options), '', sets.Protocol(1, 1.0, 1.0, 8)).settings())
  assert [set(s) - set(settings[0]) for s in settings] == [set(), {'system'}, {'prefix'}]
  assert settings[0]['digest'] != settings[1]['digest'] and settings[2]['prefix'] == '<think>\n'


def test_text_of_a_prompt():
  assert turns.text('x') == 'x' and turns.text([system('Own.'), USER]) == 'system: Own.\n\nuser: Add 1 and 1.'
