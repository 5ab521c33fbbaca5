import json

import pytest

from vibethinker_jax.eval import trials
from vibethinker_jax.programs import arms


def lines(accuracies, tokens=100):
  return [
    {
      'step': i + 1,
      'accuracy': a,
      'sampled_tokens': tokens,
      'seconds/step': 2.0,
      'entropy': a / 2,
      'useful_groups': 3,
      'sampled_groups': 4,
    }
    for i, a in enumerate(accuracies)
  ]


def test_of_training():
  """By hand: means of five steps are 0.1, 0.2, ..., and 0.35 is reached in the sixth step."""
  found = trials.of_training(lines([0.1, 0.3, 0.2, 0.2, 0.2, 0.9, 0.9]), reach=0.35)
  assert found['accuracy'] == pytest.approx((0.2 + 0.2 + 0.2 + 0.9 + 0.9) / 5)
  assert found['entropy'] == pytest.approx(found['accuracy'] / 2) and found['useful'] == 0.75
  assert (found['sampled_tokens'], found['seconds'], found['steps']) == (700, 14, 7)
  assert (found['tokens_to'], found['seconds_to']) == (600, 12)
  assert 'tokens_to' not in trials.of_training(lines([0.1, 0.9, 0.2, 0.2, 0.2]), reach=0.35)  # one step is no mean


def test_difficulty():
  """Groups of 8: 1 and 2 right are up to a quarter, 6 and 7 from three quarters on."""
  found = trials.difficulty([10, 1, 2, 3, 4, 5, 6, 7, 12])
  assert found == pytest.approx({'p=0': 0.2, 'p<=1/4': 0.06, 'p<3/4': 0.24, 'p<1': 0.26, 'p=1': 0.24})
  assert list(found) == list(trials.DIFFICULTY) and sum(trials.difficulty([0, 0]).values()) == 0


def test_of_training_without_a_useful_group():
  """A step that trained on nothing has no entropy."""
  found = trials.of_training([line | {'entropy': None} for line in lines([0.0, 0.0])], 0.5)
  assert 'entropy' not in found and found['accuracy'] == 0


def domain(one, two):
  return {'pass@1': one, 'pass@k': {'1': one, '2': two}}


def test_of_evaluation():
  result = {
    'models': {'rl': {'algebra': domain(0.2, 0.4), 'code': domain(0.0, 0.1), 'maths': domain(0.3, 0.5)}},
    'lengths': {'rl': {'mean': 40.0, 'truncated': 0.1}},
  }
  found = trials.of_evaluation(result, 'rl')
  assert (found['pass@1'], found['pass@2'], found['code.pass@2'], found['tokens']) == (0.3, 0.5, 0.1, 40.0)


CLAIMS = {
  'better': dict(says='a is better than b', better='a', than='b', metric='rl.pass@1'),
  'shorter': dict(says='a is shorter', better='a', than='b', metric='rl.tokens', direction='smaller'),
  'wide': dict(says='wide is good', over=('a', 'b', 'c'), metric='rl.pass@1', beside='merge.pass@8'),
}
VALUES = {  # arm -> {metric: of seeds 0, 1, 2}
  'a': {'rl.pass@1': (0.5, 0.6, 0.55), 'rl.tokens': (90, 80, 85), 'merge.pass@8': (0.8, 0.9, 0.85)},
  'b': {'rl.pass@1': (0.4, 0.51, 0.44), 'rl.tokens': (91, 80, 86), 'merge.pass@8': (0.7, 0.8, 0.75)},
  'c': {'rl.pass@1': (0.3, 0.39, 0.36), 'rl.tokens': (90, 80, 85), 'merge.pass@8': (0.6, 0.65, 0.66)},
}


def study(**change):
  values = dict(
    recipe={},
    seeds=(0, 1, 2),
    arms={a: arms.Arm() for a in VALUES},
    baseline='a',
    claims={n: arms.Claim(**c) for n, c in CLAIMS.items()},
  )
  return arms.Study(**values | change)


def found():
  return {arm: {s: {m: v[s] for m, v in of.items()} for s in range(3)} for arm, of in VALUES.items()}


def test_judged():
  told = trials.judged(study(), found())
  assert [x['verdict'] for x in told.values()] == ['supported', 'undecided', 'supported']
  assert told['better']['mean'] == pytest.approx(0.1) and told['better']['n'] == 3
  assert told['shorter']['mean'] == pytest.approx(-2 / 3) and told['shorter']['low'] < told['shorter']['high']
  assert told['wide']['mean'] > 0.98
  assert told['better']['corrected'] >= told['better']['p']
  assert 'supported: rl.pass@1 of a minus that of b is +10.0 points [' in told['better']['sentence']
  assert 'undecided: rl.tokens of a minus that of b is -0.667' in told['shorter']['sentence']
  assert 'could have been seen' in told['shorter']['sentence']
  json.dumps(told, allow_nan=False)


def test_a_claim_in_the_other_direction_is_refuted():
  claims = {'x': arms.Claim('b is better', 'rl.pass@1', better='b', than='a')}
  assert trials.judged(study(claims=claims), found())['x']['verdict'] == 'refuted'


def test_seeds_that_one_arm_lacks_are_not_paired():
  values = found()
  del values['b'][1], values['a'][2]['rl.pass@1']
  told = trials.judged(study(), values)
  assert told['better']['n'] == 1 and told['better']['sentence'] == 'unfinished: 1 of 3 seeds, two are needed'
  json.dumps(told, allow_nan=False)


def test_two_seeds_that_differ_much_could_have_shown_nothing():
  values = found()
  for arm in 'ab':
    del values[arm][2]
  values['a'][0]['rl.pass@1'] = 0.9
  told = trials.judged(study(seeds=(0, 1)), values)
  assert told['better']['sentence'].endswith('p 0.77; so few seeds could not have shown any effect')
  assert 'tokens' in told['shorter']['sentence'] and 'a difference of' in told['shorter']['sentence']


def test_a_claim_that_lacks_seeds_is_unfinished():
  values = found()
  del values['c'][2], values['b'][2]
  told = trials.judged(study(arms={a: arms.Arm(seeds=2 if a == 'b' else 0) for a in VALUES}), values)
  assert (told['better']['planned'], told['better']['verdict']) == (2, 'undecided')  # b has two seeds, no more
  told = trials.judged(study(), values)
  assert told['better']['verdict'] == 'unfinished' and 'over 2 of 3 seeds' in told['better']['sentence']


def test_families_are_corrected_by_themselves():
  claims = {n: arms.Claim(**c) for n, c in CLAIMS.items()}
  together = trials.judged(study(), found())
  alone = trials.judged(study(claims=claims | {'better': claims['better']._replace(family='x')}), found())
  assert alone['better']['corrected'] == together['better']['p'] < together['better']['corrected']
  assert alone['better']['visible'] < together['better']['visible']


def test_a_margin_is_told():
  """Half a point worse in the mean: by two points it is not."""
  claims = {'kept': arms.Claim('kept', 'rl.pass@1', better='a', than='b', margin=0.02)}
  values = {
    arm: {s: {'rl.pass@1': x} for s, x in enumerate(of)}
    for arm, of in (('a', (0.5, 0.6, 0.55)), ('b', (0.505, 0.606, 0.554)))
  }
  told = trials.judged(study(claims=claims), values)['kept']
  assert told['verdict'] == 'supported' and 'is -0.5 points [-0.7, -0.3]' in told['sentence']
  assert told['sentence'].endswith(' against -2.0 points')


def test_equal_arms_count_once_in_a_correlation():
  values = {
    arm: {0: {'x': x, 'y': y}} for arm, x, y in (('a', 1.0, 1.0), ('b', 2.0, 2.0), ('c', 3.0, 0.0), ('d', 3.0, 0.0))
  }
  (r,) = trials.correlations(values, ('a', 'b', 'c', 'd'), 'x', 'y')
  assert r == pytest.approx(-0.5)


def test_equal_seeds_are_said_so():
  values = found()
  values['b'] = values['a']
  assert 'is +0.0 points with each of 3 seeds' in trials.judged(study(), values)['better']['sentence']
