"""The recipe's evaluation keeps each response as soon as it is complete, and goes on from there."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from vibethinker_jax import main
from vibethinker_jax.eval.journal import Journal


def evaluation(toy, **changes) -> dict:
  """The toy recipe with the last stage alone, of a random model: 15 problems, 2 responses each."""
  config = toy.config()
  for name in config['stages'][:-1]:
    del config[name]
  config['stages'] = ('evaluate',)
  config['evaluate'].update({'models': ('init',)} | changes)
  return config


def run(toy, config, workdir):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(main, 'Pool', toy.CoinPool)
    main.run(config, workdir)
  return workdir


@pytest.fixture(scope='module')
def whole(toy, tmp_path_factory):
  return run(toy, evaluation(toy), tmp_path_factory.mktemp('whole'))


def lines(workdir, model='init'):
  return (workdir / 'evaluate' / model / 'responses.jsonl').read_bytes().splitlines(keepends=True)


def outcome(workdir, model='init') -> tuple:
  """All that a model's evaluation decides, as bytes, and the stage's result without its time."""
  stage = workdir / 'evaluate'
  result = json.loads((stage / 'result.json').read_text())
  assert result.pop('seconds') >= 0
  return lines(workdir, model), (stage / f'scores_{model}.json').read_bytes(), json.dumps(result)


def test_every_response_is_kept_with_its_verdict(whole):
  found = [json.loads(line) for line in lines(whole)]
  assert len(found) == 30 and {row['status'] for row in found} <= {'correct', 'wrong', 'invalid'}
  assert all(row['set'] == 'evaluate' and row['response'] is not None and row['tokens'] > 0 for row in found)
  assert json.loads((whole / 'evaluate/init/timing.json').read_text())['responses'] == 30
  scores = json.loads((whole / 'evaluate/scores_init.json').read_text())
  right = sum(row['status'] == 'correct' for row in found)
  assert sum(s['pass@1'] * s['problems'] * 2 for d, s in scores['domains'].items() if d != 'maths') == pytest.approx(
    right
  )
  assert scores['lengths']['tokens'] == sum(row['tokens'] for row in found)
  assert scores['lengths']['truncated'] == pytest.approx(sum(row['cut_off'] for row in found) / 30)


def test_stopped_in_the_middle_it_goes_on(toy, whole, tmp_path, monkeypatch):
  append = Journal.append

  def stopped(self, row):
    if len(self.known) == 11:
      self._file.write(json.dumps(row).encode()[:25])
      self._file.flush()
      raise RuntimeError('pulled the plug')
    append(self, row)

  with monkeypatch.context() as patch:
    patch.setattr(Journal, 'append', stopped)
    with pytest.raises(RuntimeError, match='plug'):
      run(toy, evaluation(toy), tmp_path)
  kept = lines(tmp_path)
  assert len(kept) == 12 and not kept[-1].endswith(b'\n') and not (tmp_path / 'evaluate/result.json').exists()
  sampled = []
  monkeypatch.setattr(Journal, 'append', lambda self, row: (sampled.append(row), append(self, row)))
  run(toy, evaluation(toy), tmp_path)
  assert len(sampled) == 19 and outcome(tmp_path) == outcome(whole)


def test_other_problems_are_refused(toy, whole, tmp_path):
  """The config names the file; what is in it may change."""
  rows = [{'problem': f'What is {i} + {i}?', 'answer': 2 * i, 'id': 'same'} for i in range(3)]
  data = tmp_path / 'held_out.jsonl'
  write = lambda: data.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  write()
  config = evaluation(toy, data=toy.config()['evaluate']['data'] | {'files': str(data)}, problems=0)
  run(toy, config, tmp_path / 'run')
  ids = [json.loads(line)['id'] for line in lines(tmp_path / 'run')]
  assert ids == [i for i in ('same', 'same#2', 'same#3') for _ in range(2)]
  for name in ('result.json', 'scores_init.json'):
    (tmp_path / 'run/evaluate' / name).unlink()
  rows[0]['answer'] = 7
  write()
  with pytest.raises(ValueError, match='(?s)another evaluation.*digest.*Remove .*evaluate/init to evaluate again'):
    run(toy, config, tmp_path / 'run')


def test_a_failure_before_the_first_response_leaves_nothing(toy, tmp_path, monkeypatch):
  def fails(self, row):
    raise RuntimeError('no disk')

  with monkeypatch.context() as patch:
    patch.setattr(Journal, 'append', fails)
    with pytest.raises(RuntimeError, match='no disk'):
      run(toy, evaluation(toy), tmp_path)
  with monkeypatch.context() as patch:
    patch.setattr(Journal, 'append', fails)
    with pytest.raises(RuntimeError, match='no disk'):  # the config may be corrected, as of every stage
      run(toy, evaluation(toy, samples=3), tmp_path)


@pytest.mark.slow
def test_killed_and_started_again(toy, tmp_path):
  outcomes, command = [], [sys.executable, __file__]
  for kills in ((), (7, 20)):
    workdir = tmp_path / str(len(kills))
    for kill in map(str, kills):
      done = subprocess.run([*command, str(workdir), kill], capture_output=True, text=True, timeout=900)
      assert done.returncode == -signal.SIGKILL, done.stderr
      assert len(lines(workdir)) == int(kill) + 1  # half a line
    done = subprocess.run([*command, str(workdir)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    outcomes.append(outcome(workdir))
  assert outcomes[1] == outcomes[0]


def die_at(count: int) -> None:
  """SIGKILL in the middle of writing that response: nothing is flushed, no handler runs."""
  append = Journal.append

  def deadly(self, row):
    if len(self.known) == count:
      self._file.write(json.dumps(row).encode()[:25])
      self._file.flush()
      os.kill(os.getpid(), signal.SIGKILL)
    append(self, row)

  Journal.append = deadly


if __name__ == '__main__':
  os.environ['JAX_PLATFORMS'] = 'cpu'
  spec = importlib.util.spec_from_file_location('toy', pathlib.Path(__file__).with_name('toy.py'))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  for count in sys.argv[2:]:
    die_at(int(count))
  run(module, evaluation(module), pathlib.Path(sys.argv[1]))
