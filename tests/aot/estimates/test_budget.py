"""Hours of a stage, counted by hand."""

import types

import pytest

from vibethinker_jax.aot.compilers import topology
from vibethinker_jax.aot.estimates import budget, rollout, table
from vibethinker_jax.programs import distill


def test_an_update_is_packed_as_the_run_packs_it():
  """64 responses of 1 000 tokens with prompts of 200: rows are not full, and micro-batches are whole."""
  stage = types.SimpleNamespace(
    prompts=16, group=4, row_length=8192, shortest_row=2048, share_prompts=False, micro_batch=2, minibatches=1
  )
  lengths = rollout.Lengths(9000, 1000, sigma=0.01)  # all cut off
  estimate = lambda slow, fast: {'estimate': {'seconds': [slow, fast]}}
  programs = {
    'mgpo_step': estimate(100, 50),
    'mgpo_step_4096': estimate(10, 5),
    'mgpo_step_2048': estimate(1, 0.5),
    'apply': estimate(1000, 500),
  }
  found = budget._updates(programs, stage, lengths)
  # One in a row of 2 048, 8 rows in a micro-batch.
  assert found == {'mgpo_step': {'seconds': [1008, 504], 'tokens': 64 * 1200}}
  # Three in a row of 4 096: 22 rows are 5 micro-batches of 4 rows, and two rows move on to one of 8 192.
  stage.shortest_row = 4096
  programs['score'], programs['score_4096'] = estimate(0.2, 0.1), estimate(0.02, 0.01)
  found = budget._updates(programs, stage, lengths)
  assert found['mgpo_step']['seconds'] == [1150, 575] and found['score']['seconds'] == pytest.approx([0.3, 0.15])
  # With shared prompts all rows are of one length: six in each of 11 rows.
  stage.share_prompts = True
  assert budget._updates(programs, stage, lengths)['mgpo_step']['seconds'] == [1600, 800]


def test_the_sum_without_evaluation():
  sft = types.SimpleNamespace(program='sft', steps=36)
  evaluate = types.SimpleNamespace(
    program='evaluate',
    sampler=types.SimpleNamespace(max_tokens=64),
    data=types.SimpleNamespace(files=''),
    problems=2,
    domains=('maths',),
    samples=4,
    models=('a', 'b', 'c'),
  )
  chip = topology.Chip(flops=1e12, bandwidth=1e9, clock=1e9, ici=1e8, memory=1e9, dimensions=2)
  estimated = {'estimate': {'seconds': [200.0, 100.0]}, 'tokens': 5}
  step = {'core': 0.0, 'weights': 1e9, 'token': 0.0}  # a second a step at full bandwidth
  results = [
    estimated | {'stage': 'sft', 'program': 'sft_step'},
    estimated
    | {'stage': 'evaluate', 'program': 'decode', 'decode_step': step, 'rows_per_device': 8, 'cache_tokens': 10_000},
  ]
  recipe = types.SimpleNamespace(domains=())
  found = budget.plan(
    recipe,
    {'sft': sft, 'evaluate': evaluate},
    ['sft', 'evaluate'],
    results,
    chip,
    2,
    budget.Assumptions(dollars=3.0, median_tokens=9000),
  )
  assert found['training_hours'] == found['stages']['sft']['hours'] == [1.0, 2.0]
  # Three models, each 64 steps for the four responses that each of two devices has at once.
  rollouts = [3 * 64 / bandwidth / 3600 for bandwidth in (0.85, 0.6)]
  assert found['stages']['evaluate']['hours'] == pytest.approx(rollouts)
  assert found['dollars'] == pytest.approx([6 * (1 + rollouts[0]), 6 * (2 + rollouts[1])])
  one, three = (table.budget(found | {'seeds': seeds}, 1).splitlines() for seeds in ({}, {'sft': 3, 'evaluate': 2}))
  (line,) = [line for line in three if line not in one]
  of = {name: stage['hours'] for name, stage in found['stages'].items()}
  hours = [3 * of['sft'][i] + 2 * of['evaluate'][i] for i in (0, 1)]
  three_times = [table.span(*(times * x for x in hours)) for times in (1, 1, 3)]  # hours, chip hours, dollars
  assert line.split() == ' '.join(['sum of 3 seeds', *three_times]).split()


def test_problems_of_a_teacher_and_of_a_probe():
  """Teachers of a distill stage are no stages; a probe of files asks four times the problems it scores."""
  data = lambda files: types.SimpleNamespace(files=files)
  lengths = types.SimpleNamespace(max_tokens=64)
  chip = topology.Chip(flops=1e12, bandwidth=1e9, clock=1e9, ici=1e8, memory=1e9, dimensions=2)
  step = {'core': 0.0, 'weights': 1e9, 'token': 0.0}
  recipe, assumptions = types.SimpleNamespace(domains=()), budget.Assumptions(median_tokens=9000)
  programs = {
    'decode': {'decode_step': step, 'rows_per_device': 8, 'cache_tokens': 10_000},
    'score': {'estimate': {'seconds': [2.0, 1.0]}, 'tokens': 100},
  }
  teacher = distill.TeacherOptions(models=('a', 'b'), data=data('aime25.jsonl'), problems=10)
  stage = types.SimpleNamespace(program='distill', teachers={'maths': teacher}, samples=4, sampler=lengths)
  found = budget._parts(recipe, {}, stage, programs, chip, 1, assumptions)
  assert found['rollout']['tokens'] == pytest.approx(30 * 2 * 4 * 64, rel=0.05)
  assert found['score']['tokens'] == pytest.approx(30 * 2 * 4 * (64 + rollout.PROMPT), rel=0.05)
  probe = types.SimpleNamespace(
    program='probe', data=data('math500.jsonl, unknown.jsonl'), problems=10, samples=4, sampler=lengths, init_from='sft'
  )
  sft = types.SimpleNamespace(steps=30, checkpoint_steps=10)
  found = budget._parts(recipe, {'sft': sft}, probe, programs, chip, 1, assumptions)
  assert found['rollout']['tokens'] == pytest.approx(3 * 40 * 4 * 64, rel=0.05)
