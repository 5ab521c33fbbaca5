"""What a step of RL collects: distinct groups with unequal rewards, within the budget of rounds."""

import json
import types

import numpy as np
import pytest

from vibethinker_jax import config
from vibethinker_jax.data.sources import DataOptions
from vibethinker_jax.programs import rl, rollouts
from vibethinker_jax.rl.loss import LossOptions
from vibethinker_jax.sampler.engine import Options, Responses
from vibethinker_jax.verify import default

GROUP = 4


@pytest.fixture
def collect(monkeypatch):
  """(correct of each prompt, prompts, rounds, cursor) -> (Rollout, cursor, picked prompts of each round)."""

  def run(correct_of, prompts, max_rounds=3, cursor=0, long2short=0.0, rehearsal=False):
    picked = []

    def sample_and_verify(model, rows, samples, options, **_):
      picked.append([row['id'] for row in rows])
      correct = np.array([np.arange(samples) < correct_of[row['id']] for row in rows])
      shape = (len(rows), samples)
      tokens = np.broadcast_to(np.array([row['id'] for row in rows])[:, None, None], (*shape, 2))
      responses = Responses(tokens, np.zeros((*shape, 2)), np.full(shape, 2), *[np.ones(shape, bool)] * 2, 0)
      return types.SimpleNamespace(
        responses=responses,
        correct_PG=correct,
        valid_PG=np.ones(shape, bool),
        rewards_PG=correct.astype(float),
        parts_PG=[[{}] * samples] * len(rows),
        texts_PG=[[''] * samples] * len(rows),
        prompts=[[row['id']] for row in rows],
        seconds=(1.0, 0.0, 0.5),
      )

    monkeypatch.setattr(rollouts.benchmarks, 'sample_and_verify', sample_and_verify)
    recipe = config.Recipe(0, default.NAME, {}, ('rl',), rehearsal=rehearsal)
    stage = types.SimpleNamespace(recipe=recipe, name='rl', mesh=None, pool=None)
    options = types.SimpleNamespace(
      prompts=prompts,
      max_rounds=max_rounds,
      group=GROUP,
      sampler=Options(2),
      loss=LossOptions(long2short=long2short),
      oversample=1.0,
      carry=0,
    )
    rows = [{'id': i} for i in range(len(correct_of))]
    rollout, cursor, carried = rollouts.collect(stage, options, None, rows, cursor, 0, rollouts.nothing(options))
    assert not carried.indices_P.size
    return rollout, cursor, picked

  return run


@pytest.mark.parametrize(
  'change, message',
  [
    (dict(row_length=30), 'row_length=30 must be at least'),
    (dict(share_prompts=True, micro_batch=1), 'micro_batch of at least 2'),
    (dict(share_prompts=True, row_length=19), 'row_length of at least prompt_columns'),
    (dict(share_prompts=True, attention='splash'), "these are 20, 40, 4, 'splash'"),
    (dict(share_prompts=True, sampler=Options(20)), 'prompt_columns > 0'),
  ],
)
def test_options_that_do_not_fit(change, message):
  options = dict(
    program='rl',
    init_from='sft',
    data=DataOptions(),
    domains=('code',),
    levels=(1,),
    problems=1,
    steps=1,
    prompts=1,
    group=2,
    sampler=Options(20, prompt_columns=20),
    loss=LossOptions(),
    row_length=40,
    micro_batch=4,
    learning_rate=1.0,
    checkpoint_steps=1,
  )
  assert list(rl.Options(**options).conflicts()) == []
  assert list(rl.Options(**options | dict(share_prompts=True, row_length=20)).conflicts()) == []
  assert message in ' '.join(rl.Options(**options | change).conflicts())


def test_prompts_from_files_and_from_stages(tmp_path, monkeypatch):
  monkeypatch.setattr(rl.asked, 'show', lambda *_: None)
  for name in ('a.jsonl', 'hard/data.jsonl'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(json.dumps({'q': name, 'answer': '1'}) + '\n')
  stage = types.SimpleNamespace(recipe=config.Recipe(0, default.NAME, {}, ('hard', 'rl')), name='rl', workdir=tmp_path)
  options = types.SimpleNamespace(
    data=DataOptions(f'{tmp_path}/a.jsonl, hard', prompt='Solve {q}'),
    filter_samples=0,
    domains=(),
    levels=(),
    problems=0,
  )
  rows = rl.starting_prompts(stage, options, types.SimpleNamespace(tokenizer=None))
  assert [(row['prompt'], row['id']) for row in rows] == [
    ('Solve a.jsonl', 'a.jsonl:1'),
    ('Solve hard/data.jsonl', 'data.jsonl:1'),
  ]


def test_one_round_where_all_are_useful(collect):
  rollout, cursor, picked = collect([2] * 10, prompts=4)
  assert (len(picked), cursor, len(rollout.rows)) == (1, 4, 4)
  assert rollout.sampled['histogram'].tolist() == [0, 0, 4, 0, 0] and rollout.sampled['accuracy'] == 0.5


def test_useless_groups_are_replaced(collect):
  correct = [0, 4, 1, 2] * 10
  rollout, cursor, picked = collect(correct, prompts=6, max_rounds=10)
  assert len(rollout.rows) == 6 and cursor == sum(map(len, picked)) == rollout.sampled['groups']
  kept = [row['id'] for row in rollout.rows]
  assert all(0 < correct[i] < GROUP for i in kept) and len(set(kept)) == 6
  assert [len(p) for p in picked][1:] and all(
    len(p) == 6 - sum(0 < correct[i] < GROUP for q in picked[:n] for i in q) for n, p in enumerate(picked)
  )
  assert (rollout.tokens[:, 0, 0] == kept).all()
  assert rollout.correct.sum(1).tolist() == [correct[i] for i in kept]


def test_the_budget_is_bounded(collect):
  rollout, cursor, picked = collect([0] * 20, prompts=4, max_rounds=3)
  assert (len(picked), cursor, rollout.rows) == (3, 12, [])


def test_brevity_makes_all_correct_groups_useful(collect):
  rollout, _, picked = collect([4] * 10, prompts=4, long2short=0.2)
  assert (len(picked), len(rollout.rows)) == (1, 4)


def test_it_ends_when_every_prompt_was_tried(collect):
  rollout, cursor, picked = collect([0] * 9 + [2], prompts=4, max_rounds=100)
  assert [row['id'] for row in rollout.rows] == [9] and cursor == 10
  assert sorted(i for round_ in picked for i in round_) == list(range(10))


def test_a_round_across_an_epoch_has_no_prompt_twice(collect):
  """The draws depend on the prompt and the round: a prompt twice in a round would be the same group twice."""
  for start in range(3, 11):
    _, cursor, (picked,) = collect([2] * 10, prompts=6, cursor=start)
    assert len(set(picked)) == 6 and cursor >= start + 6, picked
