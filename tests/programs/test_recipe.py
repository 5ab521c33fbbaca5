"""The whole recipe at toy size: every stage, its results, a second start, and kill -9 in the middle."""

import json
import pathlib
import signal
import subprocess
import sys

import pytest

from vibethinker_jax import checkpoint, main
from vibethinker_jax.runtime import storage

TOY = pathlib.Path(__file__).with_name('toy.py')
TRAINED = ('sft', 'merge', 'rl_math_16k', 'rl_math_32k', 'rl_code')


@pytest.fixture(scope='module')
def finished(toy, tmp_path_factory):
  """The workdir of a whole run, on eight devices."""
  workdir = tmp_path_factory.mktemp('recipe')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(main, 'Pool', toy.CoinPool)
    main.run(toy.config(), workdir)
  return workdir


def result(workdir, stage):
  return json.loads((workdir / stage / 'result.json').read_text())


def lines(workdir, stage, name='metrics.jsonl'):
  return [json.loads(line) for line in (workdir / stage / name).read_text().splitlines()]


def files(workdir):
  return {path: path.stat().st_mtime_ns for path in workdir.rglob('*') if path.is_file()}


def test_every_stage_leaves_its_result(toy, finished):
  config = toy.config()
  for stage in config['stages']:
    assert result(finished, stage)['seconds'] >= 0
    assert json.loads((finished / stage / 'config.json').read_text())['program'] == config[stage]['program']
  page = (finished / 'report.html').read_text()
  assert len(page) > 1000 and 'Goodput:' in page and 'rl_code: seconds of a step' in page


def test_the_time_of_every_stage_is_accounted_for(toy, finished):
  for stage in toy.config()['stages']:
    marks = lines(finished, stage, 'timeline.jsonl')
    assert marks[0]['what'] == 'start' and marks[-1]['what'] == 'end'
    spent = sum(sum(mark['seconds'].values()) for mark in marks[1:])
    assert abs(spent - (marks[-1]['time'] - marks[0]['time'])) < 0.05 + 0.01 * spent
  for stage, phases in (
    ('sft', 'train checkpoint compile'),
    ('rl_code', 'train rollout checkpoint'),
    ('probe', 'rollout'),
  ):
    seconds = [mark['seconds'] for mark in lines(finished, stage, 'timeline.jsonl')]
    assert all(sum(s[phase] for s in seconds) > 0 for phase in phases.split())
  assert 0 < lines(finished, 'rl_code')[-1]['goodput'] < 1
  assert checkpoint.steps(finished / 'sft' / 'checkpoints') == [2, 4, 6]  # all are kept, for probing
  assert checkpoint.steps(finished / 'rl_code' / 'checkpoints') == [4, 5]  # the newest two


def test_sft_result(finished):
  found = result(finished, 'sft')
  assert found['steps'] == 6 and found['resumed_at'] == 0
  metrics = lines(finished, 'sft')
  assert [m['step'] for m in metrics] == [1, 2, 3, 4, 5, 6]
  assert found['final_loss'] == metrics[-1]['loss'] < metrics[0]['loss'] < 7
  assert {'entropy', 'grad_norm', 'skipped', 'learning_rate', 'tokens_per_second'} <= metrics[0].keys()


def test_probe_and_merge_results(toy, finished):
  probed, merged = result(finished, 'probe'), result(finished, 'merge')
  domains = toy.config()['domains']
  assert list(probed['scores']) == ['2', '4', '6'] and tuple(probed['chosen']) == domains
  for domain, step in probed['chosen'].items():
    scores = {int(t): s[domain]['pass@k']['2'] for t, s in probed['scores'].items()}
    best = max(scores.values())
    assert step == min(t for t in scores if scores[t] == best)  # the earliest of equals
  assert merged['specialists'] == probed['chosen'] and set(merged['weights'].values()) == {1 / 5}
  assert tuple(merged['merged']) == domains and merged['k'] == 2


def test_merged_parameters_are_the_average(finished):
  import jax
  import numpy as np

  from vibethinker_jax import sharding
  from vibethinker_jax.programs import stage as stage_lib

  mesh = sharding.make_mesh()
  load = lambda path: jax.device_get(stage_lib.load(finished / path, mesh).params)
  chosen = result(finished, 'merge')['specialists'].values()
  average = sum(load(f'sft/checkpoints/{step}')['embedding'] / len(chosen) for step in chosen)
  np.testing.assert_allclose(load('merge')['embedding'], average, atol=1e-6)


@pytest.mark.parametrize('stage', ['rl_math_16k', 'rl_math_32k', 'rl_code'])
def test_rl_result(finished, stage):
  found, metrics = result(finished, stage), lines(finished, stage)
  assert found['steps'] == 5 and [m['step'] for m in metrics] == [1, 2, 3, 4, 5]
  assert sum(found['group_accuracy_histogram']) == sum(m['sampled_groups'] for m in metrics)
  assert len(found['group_accuracy_histogram']) == 5 and found['strength'] == 4.0
  for m in metrics:
    assert 0 < m['useful_groups'] <= 12 and m['useful_groups'] <= m['sampled_groups']
    assert m['skipped'] == 0 and m['grad_norm'] > 0 and 0 < m['weight'] <= 1
    # on-policy: the trainer sees the log-probabilities that the sampler drew with
    assert abs(m['ratio'] - 1) < 1e-4 and m['logp_gap'] < 1e-4 and m['clip_fraction'] == 0
  assert [e['step'] for e in lines(finished, stage, 'examples.jsonl')] == [1, 1, 2, 2, 4, 4]


def test_every_stage_trains(finished):
  digests = [checkpoint.read_model(checkpoint.find(finished / stage))['digests'] for stage in TRAINED]
  names = [name for name in digests[0] if name.startswith('params/')]
  assert names
  for before, after in zip(digests, digests[1:]):
    assert any(before[name] != after[name] for name in names)


def test_evaluate_result(toy, finished):
  found = result(finished, 'evaluate')
  assert tuple(found['models']) == toy.config()['evaluate']['models'] == tuple(found['lengths'])
  for scores in found['models'].values():
    assert set(scores) == {*toy.config()['domains'], 'maths'}
    assert scores['maths']['problems'] == 12 and scores['maths']['samples'] == 2
    assert scores['maths']['pass@k'].keys() == {'1', '2'}


def test_second_start_does_nothing(toy, finished, monkeypatch):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  for program in main.PROGRAMS.values():
    monkeypatch.setattr(program, 'run', lambda *_: pytest.fail('a finished stage ran again'))
  before = files(finished)
  main.run(toy.config(), finished)
  assert files(finished) == before


@pytest.mark.parametrize(
  'change, message',
  [
    (lambda c: c['sft'].update(steps=7), "(?s)stage 'sft'.*steps: 6 -> 7"),
    (lambda c: c.update(seed=1), '(?s)seed: 0 -> 1'),
  ],
)
def test_another_config_is_refused(toy, finished, monkeypatch, change, message):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  config = toy.config()
  change(config)
  with pytest.raises(ValueError, match=message):
    main.run(config, finished)


def test_errors_come_before_anything_runs(toy, tmp_path, monkeypatch):
  monkeypatch.setattr(main, 'Pool', lambda *_, **__: pytest.fail('started'))
  config = toy.config()
  config['evaluate']['problms'] = 3  # in the last stage
  with pytest.raises(ValueError, match='evaluate.problms'):
    main.run(config, tmp_path)
  with pytest.raises(ValueError, match='--stages'):
    main.run(toy.config(), tmp_path, ('sfft',))


def test_a_stage_needs_the_one_before(toy, tmp_path, monkeypatch):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  needs = {'probe': 'run --stages=sft first', 'merge': '--stages=probe', 'rl_code': 'rl_math_32k'}
  for stage, message in needs.items():
    with pytest.raises(ValueError, match=message):
      main.run(toy.config(), tmp_path, (stage,))


STAGES = ('sft', 'probe', 'merge', 'rl_math_16k')


def run(workdir, *kills):
  command = [sys.executable, str(TOY), str(workdir), ','.join(STAGES), *kills]
  return subprocess.run(command, capture_output=True, text=True, timeout=900)


def outcome(workdir):
  """All that a run decides: digests of every checkpoint, metrics without times, results without seconds."""
  timed = (
    'time',
    'seconds',
    'tokens_per_second',
    'rollout_tokens_per_second',
    'resumed_at',
    'tokens_this_process',
    'goodput',
  )
  clean = lambda values: {k: v for k, v in values.items() if k not in timed and not k.startswith(('seconds/', 'time/'))}
  found = {}
  for stage in STAGES:
    found[stage] = {
      'result': clean(result(workdir, stage)),
      'digests': {
        step: checkpoint.read_model(workdir / stage / 'checkpoints' / str(step))['digests']
        for step in checkpoint.steps(workdir / stage / 'checkpoints')
      },
    }
    if (workdir / stage / 'metrics.jsonl').exists():
      found[stage]['metrics'] = [clean(line) for line in lines(workdir, stage)]
  found['examples'] = lines(workdir, 'rl_math_16k', 'examples.jsonl')
  return found


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('uninterrupted')
  done = run(workdir)
  assert done.returncode == 0, done.stderr
  return outcome(workdir)


@pytest.mark.slow
@pytest.mark.parametrize(
  'kills', [('sft:5',), ('probe:4',), ('rl_math_16k:5',), ('sft:1', 'rl_math_16k:1', 'rl_math_16k:4')], ids=','.join
)
def test_killed_and_started_again_is_bit_equal(tmp_path, uninterrupted, kills):
  for kill in kills:
    killed = run(tmp_path, kill)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    stage, step = kill.split(':')
    if step == '5':  # then it does not just start from the beginning
      assert checkpoint.steps(tmp_path / stage / 'checkpoints')
  done = run(tmp_path)
  assert done.returncode == 0, done.stderr
  found = outcome(tmp_path)
  for stage in found:
    assert found[stage] == uninterrupted[stage], stage


@pytest.mark.slow
def test_in_a_bucket_killed_in_three_places_is_bit_equal(bucket, uninterrupted):
  """Each start finds nothing but the bucket, as on another machine."""
  for kill in ('sft:5', 'probe:4', 'rl_math_16k:5'):
    killed = run(f'{bucket.url}/run', kill)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
  done = run(f'{bucket.url}/run')
  assert done.returncode == 0, done.stderr
  found = outcome(storage.far(f'{bucket.url}/run'))
  for stage in found:
    assert found[stage] == uninterrupted[stage], stage
  assert not [name for name in bucket.names('run/') if name.endswith('.tmp')]


def test_a_start_that_failed_may_be_corrected(toy, tmp_path, monkeypatch):
  """A stage that wrote nothing does not hold on to its config; one that did is refused as before."""
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  monkeypatch.setattr(main.PROGRAMS['sft'], 'run', lambda *_: (_ for _ in ()).throw(ValueError('stopped')))
  config = toy.config()
  for seed in (0, 1):
    with pytest.raises(ValueError, match='stopped'):
      main.run(config | {'seed': seed}, tmp_path)
  (tmp_path / 'sft' / 'metrics.jsonl').write_text('')
  with pytest.raises(ValueError, match='seed: 1 -> 2'):
    main.run(config | {'seed': 2}, tmp_path)
