"""metrics.jsonl goes on exactly where a restored checkpoint stands."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.runtime import metrics


def write(directory, steps, at=0, **scalars):
  writer = metrics.Writer(directory, at)
  for step in steps:
    writer.write(step, scalars or {'loss': step / 2})
  writer.close()


def test_one_line_a_step(tmp_path):
  write(tmp_path / 'sft', [1, 2, 3])
  lines = metrics.read(tmp_path / 'sft')
  assert [(line['step'], line['loss']) for line in lines] == [(1, 0.5), (2, 1.0), (3, 1.5)]
  assert all(line['time'] > 1.6e9 for line in lines)
  assert list((tmp_path / 'sft').glob('events.out.tfevents*'))


def test_lines_after_the_restored_step_are_dropped(tmp_path):
  write(tmp_path, [1, 2, 3, 4])
  write(tmp_path, [3, 4, 5], at=2, loss=9.0)
  assert [(line['step'], line['loss']) for line in metrics.read(tmp_path)] == [
    (1, 0.5),
    (2, 1.0),
    (3, 9.0),
    (4, 9.0),
    (5, 9.0),
  ]


def test_start_over_drops_everything(tmp_path):
  write(tmp_path, [1, 2])
  write(tmp_path, [1])
  assert [line['step'] for line in metrics.read(tmp_path)] == [1]


@pytest.mark.parametrize('rest', ['{"step": 3, "ti', '{', '{"step": 3', '{"time": 3}', '', 'x', '3', 'null', '[3]'])
def test_a_half_written_last_line_is_dropped(tmp_path, rest):
  write(tmp_path, [1, 2])
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write(rest)
  write(tmp_path, [4], at=3)
  assert [line['step'] for line in metrics.read(tmp_path)] == [1, 2, 4]


def test_what_is_not_a_number_is_null(tmp_path):
  write(tmp_path, [1], a=float('nan'), b=jnp.float32(jnp.nan), c=np.inf, d=None, e=jnp.int32(3), f=np.float32(0.5))
  (line,) = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  strict = json.loads(line, parse_constant=lambda name: pytest.fail(f'{name} is not JSON'))
  assert {k: strict[k] for k in 'abcdef'} == {'a': None, 'b': None, 'c': None, 'd': None, 'e': 3.0, 'f': 0.5}


def test_lines_are_there_at_once(tmp_path):
  """A killed process loses no line."""
  writer = metrics.Writer(tmp_path)
  writer.write(1, {'x': 1.0})
  assert [line['step'] for line in metrics.read(tmp_path)] == [1]
  writer.close()


def test_nothing_written_yet(tmp_path):
  assert metrics.read(tmp_path) == []
