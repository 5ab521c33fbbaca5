"""JSON lines as problems and as examples: what is kept, and what a bad line says."""

import gzip
import json

import pytest

from vibethinker_jax.data import sources


def write(path, *rows):
  path.write_text(''.join((row if isinstance(row, str) else json.dumps(row)) + '\n' for row in rows))
  return str(path)


def test_problems(tmp_path):
  tests = {'function': 'solve', 'cases': [{'args': [1], 'expected': 2}]}
  path = write(tmp_path / 'p.jsonl', {'prompt': 'a', 'answer': 7, 'extra': [1]}, {'problem': 'b', 'tests': tests, 'id': 'x',
                                                                               'domain': 'code'})
  first, second = sources.read_problems(path)
  assert first == {'prompt': 'a', 'answer': '7', 'tests': None, 'id': '1', 'domain': 'p.jsonl', 'extra': [1]}
  assert (second['prompt'], second['tests'], second['id'], second['domain']) == ('b', tests, 'x', 'code')


def test_gzip(tmp_path):
  path = tmp_path / 'p.jsonl.gz'
  with gzip.open(path, 'wt') as file:
    file.write(json.dumps({'prompt': 'a', 'answer': '1'}) + '\n')
  assert sources.read_problems(str(path))[0]['answer'] == '1'


@pytest.mark.parametrize('row, message', [
    ('{"prompt": "a"', 'line 2: not JSON'), ('[1]', 'line 2: a JSON object'),
    ({'prompt': 'a'}, 'line 2: a problem needs'), ({'prompt': 3, 'answer': '1'}, 'line 2: a problem needs')])
def test_bad_problem_names_its_line(tmp_path, row, message):
  path = write(tmp_path / 'p.jsonl', {'prompt': 'a', 'answer': '1'}, row)
  with pytest.raises(ValueError, match=f'p.jsonl, {message}'):
    sources.read_problems(path)


def test_empty_and_missing_files(tmp_path):
  with pytest.raises(ValueError, match='is empty'):
    sources.read_problems(write(tmp_path / 'p.jsonl'))
  with pytest.raises(ValueError, match='no such data file'):
    sources.read_problems(str(tmp_path / 'none.jsonl'))


def test_examples(tmp_path):
  path = write(tmp_path / 'e.jsonl', {'prompt': 'a', 'response': 'b', 'more': 1}, {'prompt': 'c', 'response': 'd'})
  examples = sources.FileExamples(path)
  assert len(examples) == 2 and examples[1] == {'prompt': 'c', 'response': 'd'}
  with pytest.raises(ValueError, match='line 1: an example needs'):
    sources.FileExamples(write(tmp_path / 'e.jsonl', {'prompt': 'a', 'answer': 'b'}))


def test_synthetic_examples_meet_every_style():
  source = sources.SyntheticExamples(('algebra',), (1,), 0, 1000, ('linear_equation',))
  starts = {source[i]['response'].split('>')[1][:4] for i in range(60)}
  assert len(starts) >= 3 and source[5] == source[5]
