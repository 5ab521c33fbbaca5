"""Whole studies at toy size: what is run, what is run again, what an arm is beside its recipe alone."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from vibethinker_jax import config as config_lib, main, study
from vibethinker_jax.eval import trials
from vibethinker_jax.programs import arms, position

RL = 'rl_math_16k'
ROOT = pathlib.Path(__file__).parents[2]


def base(toy) -> dict:
  c = toy.config()
  c['stages'] = ('sft', 'probe', 'merge', RL, 'evaluate')
  c['evaluate'] = c['evaluate'] | {'models': ('merge', RL)}
  c['sft'] = c['sft'] | {'steps': 4}
  c[RL] = c[RL] | {'steps': 3, 'warmup_steps': 0, 'learning_rate': 0.02}  # so much that three steps are seen
  return {name: value for name, value in c.items() if name not in ('rl_math_32k', 'rl_code')}


def config(toy, **more) -> dict:
  changes = {'mgpo': {}, 'grpo': {RL: {'loss': {'strength': 0.0}}}} | more
  claim = dict(says='MGPO is better than GRPO', better='mgpo', than='grpo', metric=f'{RL}.pass@1')
  return dict(
    recipe=base(toy),
    seeds=(3, 5),
    arms={name: dict(change=change) for name, change in changes.items()},
    claims={'mgpo': claim},
    baseline='mgpo',
  )


def run(workdir, values, seeds=(), chosen=()):
  options, joined = arms.bind(values)
  return study.run(options, joined, workdir, seeds or options.seeds, chosen or tuple(options.arms))


@pytest.fixture
def coins(toy, monkeypatch):
  """How many responses the verifiers of each recipe that was run have judged."""
  pools = []

  class Pool(toy.CoinPool):
    def __init__(self, *rest, **named):
      super().__init__(*rest, **named)
      pools.append(self)

  monkeypatch.setattr(main, 'Pool', Pool)
  return pools


@pytest.mark.slow
def test_what_is_done_is_not_done_again(toy, tmp_path, coins):
  first = run(tmp_path, config(toy), seeds=(3,))
  assert list(first['arms']['mgpo']) == ['3'] and first['claims']['mgpo']['n'] == 1
  assert 11 < first['arms']['mgpo']['3'][f'{RL}.tokens'] <= 12 and first['failed'] == {}
  shared = coins[1].judged  # of the second arm: its own stage, nothing that it shares
  assert 0 < shared < coins[0].judged and len(coins) == 2
  assert run(tmp_path, config(toy), seeds=(3,)) == first and len(coins) == 2
  page = (tmp_path / 'report.html').read_text()
  assert 'MGPO is better than GRPO' in page and 'unfinished' in page and '<svg' in page
  assert json.loads((tmp_path / 'result.json').read_text()) == first
  # An arm is what its recipe gives by itself, bit by bit.
  grpo = base(toy) | {'seed': 3}
  grpo[RL] = grpo[RL] | {'loss': grpo[RL]['loss'] | {'strength': 0.0}}
  main.run(grpo, tmp_path / 'alone')
  alone, arm = (
    json.loads((tmp_path / x / 'result.json').read_text()) for x in ('alone/evaluate', f'seed_3/evaluate-{RL}-grpo')
  )
  assert alone['models'][RL] == arm['models'][f'{RL}-grpo']
  lines = lambda path: [json.loads(x) for x in (tmp_path / path / 'metrics.jsonl').read_text().splitlines()]
  same = ('loss', 'accuracy', 'entropy', 'grad_norm', 'sampled_tokens')
  assert [[x[n] for n in same] for x in lines(f'alone/{RL}')] == [
    [x[n] for n in same] for x in lines(f'seed_3/{RL}-grpo')
  ]
  assert lines(f'seed_3/{RL}-grpo')[-1]['grad_norm'] != lines(f'seed_3/{RL}')[-1]['grad_norm']


def test_an_arm_that_fails_is_told_and_others_go_on(toy, tmp_path, coins, monkeypatch):
  values = config(toy, late={RL: {'steps': 2}}, budget={RL: {'token_budget': 1}})
  ran = study.run_recipe

  def fruitless(recipe, directory, stages):
    if f'{RL}-late' in stages:
      raise position.Fruitless('no group was useful')
    ran(recipe, directory, stages)

  monkeypatch.setattr(study, 'run_recipe', fruitless)
  result = run(tmp_path, values, seeds=(3,), chosen=('late', 'budget'))
  assert result['failed'] == {'seed 3, arm late': 'no group was useful'}
  assert result['arms']['budget']['3'][f'{RL}.steps'] == 1 and not result['arms']['late']
  assert 'no group was useful' in (tmp_path / 'report.html').read_text()
  monkeypatch.setattr(study, 'run_recipe', ran)
  again = run(tmp_path, values, seeds=(3,), chosen=('budget',))  # what failed before is still told
  assert again == result
  assert run(tmp_path, values, seeds=(3,), chosen=('late',))['failed'] == {}


def test_what_is_no_result_of_an_arm_ends_the_study(toy, tmp_path, coins, monkeypatch):
  monkeypatch.setattr(main, 'check_early', lambda *_: config_lib.refuse(['there is no such base']))
  with pytest.raises(ValueError, match='no such base'):
    run(tmp_path, config(toy), seeds=(3,))


def test_stages_of_before_may_not_change(toy, tmp_path):
  _, joined = arms.bind(config(toy))
  study.same_stages(tmp_path / 'stages.json', joined)
  _, more = arms.bind(config(toy, last={'merge': {'select': 'newest'}}))
  study.same_stages(tmp_path / 'stages.json', more)
  study.same_stages(tmp_path / 'stages.json', joined)  # fewer are no change
  _, other = arms.bind(config(toy, grpo={RL: {'loss': {'strength': 1.0}}}))
  study.same_stages(tmp_path / 'begun' / 'stages.json', joined)
  study.same_stages(tmp_path / 'begun' / 'stages.json', other)  # nothing of it was begun
  (tmp_path / 'seed_5' / f'{RL}-grpo').mkdir(parents=True)
  with pytest.raises(ValueError, match=f'{RL}-grpo.loss.strength: 0.0 -> 1.0'):
    study.same_stages(tmp_path / 'stages.json', other)


def test_selected():
  assert study.selected('seeds', ['5'], (3, 5)) == (5,) and study.selected('arms', [], ('a', 'b')) == ('a', 'b')
  with pytest.raises(ValueError, match="--arms: 'grp' is none of mgpo, grpo"):
    study.selected('arms', ['grp'], ('mgpo', 'grpo'))


@pytest.mark.slow
def test_the_quick_study(tmp_path):
  """The real config, its arms and seeds in two processes, then the page of both."""
  start = [sys.executable, '-m', 'vibethinker_jax.study', '--config=configs/study.py:quick', f'--workdir={tmp_path}']
  env = {name: value for name, value in os.environ.items() if name != 'XLA_FLAGS'}
  both = [subprocess.Popen([*start, f'--seeds={seed}'], cwd=ROOT, env=env) for seed in (0, 1)]
  assert [process.wait() for process in both] == [0, 0]
  done = subprocess.run(start, cwd=ROOT, env=env, capture_output=True, text=True)
  assert done.returncode == 0 and 'seed 0, arm' not in done.stderr, done.stderr
  result = json.loads((tmp_path / 'result.json').read_text())
  assert {arm: list(seeds) for arm, seeds in result['arms'].items()} == dict.fromkeys(
    ('paper', 'newest', 'grpo'), ['0', '1']
  )
  for seed, metrics in result['arms']['paper'].items():
    assert metrics['rl.steps'] == 6 and 0 < metrics['rl.pass@1'] <= metrics['rl.pass@8'] < 1
    assert metrics['merge.pass@8'] == result['arms']['grpo'][seed]['merge.pass@8']  # the same start
    assert metrics['rl.accuracy'] != result['arms']['grpo'][seed]['rl.accuracy']
    assert sum(metrics[f'rl.{name}'] for name in trials.DIFFICULTY) == pytest.approx(1)
  assert {claim['n'] for claim in result['claims'].values()} == {2}
  assert 'MGPO ends higher than GRPO\n  undecided: rl.pass@1 of paper minus that of grpo is' in done.stdout
