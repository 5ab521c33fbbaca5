"""What a first reading of large files told is used again, until a file, an option or our own code changes."""

import json
import logging
import os

import numpy as np
import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.data.files import index
from vibethinker_jax.data.layouts import readings
from vibethinker_jax.data.sources import DataOptions


@pytest.fixture(autouse=True)
def small_is_large(tmp_path, monkeypatch):
  monkeypatch.setattr(index, 'LARGE', 0)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def write(path, *rows):
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def count_reads(monkeypatch):
  """A list that grows by one for every row that is read."""
  seen, read = [], sources.rows_lib.Rows.__getitem__
  monkeypatch.setattr(sources.rows_lib.Rows, '__getitem__', lambda self, i: seen.append(i) or read(self, i))
  return seen


def test_a_second_start_reads_no_row(tmp_path, monkeypatch, caplog):
  path, seen = (
    write(tmp_path / 'e.jsonl', *({'problem': f'p{i}', 'solutions': ['a'] * (i % 3 + 1)} for i in range(30))),
    [],
  )
  first = sources.FileExamples(DataOptions(path))
  seen = count_reads(monkeypatch)
  readings._say.cache_clear()  # as in another process
  with caplog.at_level(logging.INFO, 'vibethinker_jax'):
    second = sources.FileExamples(DataOptions(path))
  assert (
    seen == [] and len(second) == len(first) == 60 and [second[i] for i in range(60)] == [first[i] for i in range(60)]
  )
  assert "30 rows: prompt from 'problem'; response from 'solutions'" in caplog.text  # said again


@pytest.mark.parametrize('change', ['size', 'time', 'option', 'code', 'damage', 'gone'])
def test_what_changes_is_read_again(tmp_path, monkeypatch, change):
  path = write(tmp_path / 'e.jsonl', {'problem': 'p', 'solution': 's', 'response': 'r'})
  options = DataOptions(path)
  assert len(sources.FileExamples(options)) == 1
  seen = count_reads(monkeypatch)
  if change == 'size':
    write(tmp_path / 'e.jsonl', *[{'problem': 'p', 'response': 'r'}] * 2)
  elif change == 'time':
    os.utime(path, (1, 1))
  elif change == 'option':
    options = options._replace(response='solution')
  elif change == 'code':
    monkeypatch.setattr(index, '_code', lambda: 'another')
  else:
    for kept in (tmp_path / 'cache' / 'vibethinker_jax' / 'index').iterdir():
      kept.write_bytes(kept.read_bytes()[:40]) if change == 'damage' else kept.unlink()
  found = sources.FileExamples(options)
  assert seen and len(found) == (2 if change == 'size' else 1)


def test_a_bad_row_is_found_every_time(tmp_path):
  path = write(tmp_path / 'e.jsonl', {'problem': 'p', 'solution': 's'}, {'problem': 'p'})
  for _ in range(2):
    with pytest.raises(ValueError, match='line 2'):
      sources.FileExamples(DataOptions(path))


def test_a_directory_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
  (tmp_path / 'file').write_text('')
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  assert len(sources.FileExamples(DataOptions(write(tmp_path / 'e.jsonl', {'problem': 'p', 'solution': 's'})))) == 1


def test_small_files_leave_nothing_behind(tmp_path, monkeypatch):
  monkeypatch.setattr(index, 'LARGE', 1 << 20)
  sources.FileExamples(DataOptions(write(tmp_path / 'e.jsonl', {'problem': 'p', 'solution': 's'})))
  assert not (tmp_path / 'cache').exists()


def test_half_written_files_do_not_count(tmp_path, monkeypatch):
  path = write(tmp_path / 'a', {})

  def fail(*args, **kwargs):
    raise OSError('full')

  monkeypatch.setattr(np, 'savez', fail)
  assert index.kept([path], 'x', lambda: {'a': [1]})['a'].tolist() == [1]
  assert list((tmp_path / 'cache' / 'vibethinker_jax' / 'index').iterdir()) == []


def test_wrong_rows_are_told_at_every_start(tmp_path, monkeypatch):
  monkeypatch.setattr(index, 'LARGE', 0)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  path = tmp_path / 'a.jsonl'
  path.write_text('{"prompt": "one", "response": "1"}\n{"prompt": "two"}\n')
  for _ in range(2):
    wrong = []
    assert len(sources.FileExamples(sources.DataOptions(str(path)), wrong)) == 1 and 'line 2' in wrong[0]
    with pytest.raises(ValueError, match='line 2: an example needs prompt and response'):
      sources.FileExamples(sources.DataOptions(str(path)))
