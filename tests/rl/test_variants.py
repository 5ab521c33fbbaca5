"""The variants of the objective against the papers' formulas in float64, value and gradient; the model is a table.

Log-probabilities and entropies are parameters [P, G, T]: what the loss does with them is all that is computed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.rl import loss as loss_lib, penalty, ratio
from vibethinker_jax.rl.batch import Groups, rl_batches
from vibethinker_jax.rl.loss import LossOptions, mgpo_loss, spread, weighted_advantages
from vibethinker_jax.train import step as step_lib

P, G, T, LIMIT, BONUS = 3, 4, 6, 9, 0.03
ROW = 24
LAYOUTS = [((ROW,), 12, 0), ((ROW,), 1, 0), ((6, 12, ROW), 1, 0), ((12,), 2, 6)]  # (row lengths, micro_batch, stem)
SEQUENCE = dict(ratio='sequence', clip_low=0.05, clip_high=0.08)
VARIANTS = {
  'GRPO': dict(),
  'GSPO': SEQUENCE,
  'GSPO by tokens': SEQUENCE | dict(aggregation='token_mean'),
  'CISPO': dict(objective='cispo', aggregation='token_mean', clip_low=1.0, clip_high=0.3),
  'CISPO of sequences': SEQUENCE | dict(objective='cispo'),
  'DAPO': dict(aggregation='token_mean', clip_high=0.28),
  'Dr.GRPO': dict(aggregation='constant'),
  'k1': dict(kl=0.5, kl_estimate='k1'),
  'k2': dict(kl=0.5, kl_estimate='k2'),
  'k3': dict(kl=0.5),
  'TIS': dict(importance_cap=1.1),
  'IcePop': dict(importance_band=(0.8, 1.3)),
  'IcePop, capped': dict(importance_band=(0.8, 1.3), importance_cap=1.1),
  'entropy': dict(entropy=BONUS),
  'all': SEQUENCE
  | dict(aggregation='constant', importance_band=(0.7, 1.4), importance_cap=1.2, kl=0.2, kl_estimate='k1')
  | dict(entropy=BONUS),
}
CORRECTED = [name for name, options in VARIANTS.items() if LossOptions(**options).corrects()]


@pytest.fixture(scope='module')
def case():
  """(Groups, {name: [P, G, T]}, advantages_PG): some ratios leave the clips and the bands."""
  rng = np.random.default_rng(0)
  lengths = rng.integers(1, T + 1, (P, G))
  inside = np.arange(T) < lengths[..., None]
  prompts = [rng.integers(0, 44, n).tolist() for n in (3, 1, 5)]
  logp = -3 + rng.normal(size=inside.shape)
  near = lambda scale: logp + scale * rng.normal(size=inside.shape)
  tables = {'sampler': near(0.3), 'policy': near(0.3), 'reference': near(0.5), 'logp': logp}
  tables['entropy'] = 1 + rng.random(inside.shape)
  tables = {name: np.where(inside, x, 0).astype(np.float32) for name, x in tables.items()}
  use = np.arange(P * G).reshape(P, G) != 5
  groups = Groups(prompts, np.where(inside, rng.integers(0, 44, inside.shape), 0), tables['sampler'], lengths, use)
  return groups, tables, rng.normal(size=(P, G)).astype(np.float32)


def placed(micros, table):
  """[n, rows, L] of a table [P, G, T]."""
  return jnp.asarray(np.asarray(table).reshape(-1, T)[micros['responses'], micros['place']] * micros['mask'])


def packed(case, options, row_lengths=(ROW,), micro_batch=12, stem=0):
  """rl_batches with what a step adds, and the place of each token in its response."""
  groups, tables, advantages = case
  for micros, count in rl_batches(groups, row_lengths=row_lengths, micro_batch=micro_batch, stem=stem):
    micros['place'] = np.zeros_like(micros['mask'])
    for at in np.ndindex(micros['mask'].shape[:2]):
      for response in np.unique(micros['responses'][at][micros['mask'][at] == 1]):
        its = (micros['responses'][at] == response) & (micros['mask'][at] == 1)
        micros['place'][at][its] = np.arange(its.sum())
    micros['advantages'] = spread(advantages, micros['responses'], micros['mask'])
    if options.corrects():
      micros['policy_logps'] = placed(micros, tables['policy'])
    if options.kl:
      micros['reference_logps'] = placed(micros, tables['reference'])
    if options.rewards_entropy():
      micros['entropy_weight'] = np.full(len(micros['mask']), BONUS, np.float32)
    yield micros, count


@pytest.fixture
def table_model(monkeypatch):
  def token_scores(config, params, batch, *_):
    at = batch['responses'], batch['place']
    return tuple(params[name].reshape(-1, T)[at] for name in ('logp', 'entropy'))

  monkeypatch.setattr(loss_lib.train_loss, 'token_scores', token_scores)


def found(case, options, *layout):
  """(gradient {logp, entropy} [P, G, T], count, sums) of the loss over all micro-batches."""
  params = {name: jnp.asarray(case[1][name]) for name in ('logp', 'entropy')}
  accumulate = step_lib.jit_accumulate(None, functools.partial(mgpo_loss, None, options=options, limit=LIMIT))
  total = None
  for micros, count in packed(case, options, *layout):
    total = accumulate(total, params, micros, count)
  return total


def objective(o, x, at, b, length):
  """What a response adds, one line a formula. x: its log-probabilities, at: the same where gradients stop; b: its own
  part of the tables, with advantage A."""
  old = b['policy'] if o.corrects() else b['sampler']
  rho = np.exp(x - old)
  if o.ratio == 'sequence' and o.corrects():  # GSPO-token: masks are of tokens
    r = np.exp((at - old).mean()) * np.exp(x - at)
  else:
    r = np.full(length, np.exp((x - old).mean())) if o.ratio == 'sequence' else rho
  clip = lambda r: np.clip(r, 1 - o.clip_low, 1 + o.clip_high)
  if o.objective == 'cispo':
    stopped = np.full(length, np.exp((at - old).mean())) if o.ratio == 'sequence' else np.exp(at - old)
    value = clip(stopped) * b['A'] * x
  else:
    value = np.minimum(r * b['A'], clip(r) * b['A'])
  k = np.exp(b['policy'] - b['sampler'])
  if o.importance_band:
    low, high = o.importance_band
    value = value * np.where((low <= k) & (k <= high), np.minimum(k, o.importance_cap or np.inf), 0)
  elif o.importance_cap:
    value = value * np.minimum(k, o.importance_cap)
  q = np.exp(b['reference'] - x)
  kl = {'k1': rho * (at - b['reference']), 'k2': np.log(q) ** 2 / 2, 'k3': q - 1 - np.log(q)}[o.kl_estimate]
  value = value - o.kl * kl + (BONUS * b['entropy'] if o.entropy else 0)
  return value.sum() / {'sequence_mean': length, 'token_mean': 1, 'constant': LIMIT}[o.aggregation]


def expected(case, options):
  """(loss sum, count, gradient by the log-probabilities) in float64; the gradient by differences."""
  groups, tables, advantages = case
  loss, count, gradient, h = 0.0, 0, np.zeros((P, G, T)), 1e-6
  for p, g in np.argwhere(groups.use_PG):
    n = groups.lengths_PG[p, g]
    b = {name: x[p, g, :n].astype(float) for name, x in tables.items()} | {'A': float(advantages[p, g])}
    f = lambda x, b=b, n=n: objective(options, x, b['logp'], b, n)
    loss -= f(b['logp'])
    count += n if options.aggregation == 'token_mean' else 1
    for t, unit in enumerate(np.eye(n)):
      gradient[p, g, t] = -(f(b['logp'] + h * unit) - f(b['logp'] - h * unit)) / (2 * h)
  if options.kl_estimate == 'k1' and options.kl:
    assert gradient.any()  # its plain derivative would be the same for every token
  return loss, count, gradient


@pytest.mark.parametrize('name', VARIANTS)
def test_against_the_papers(table_model, case, name):
  options = LossOptions(**VARIANTS[name])
  assert list(options.conflicts()) == []
  loss, count, gradient = expected(case, options)
  got, got_count, sums = found(case, options)
  np.testing.assert_allclose(sums['loss'], loss, rtol=2e-5)
  np.testing.assert_allclose(got_count, count, rtol=1e-6)
  np.testing.assert_allclose(got['logp'], gradient, atol=2e-6)
  assert np.abs(gradient).max() > 1e-3
  assert np.abs(got['entropy']).max() == 0 or options.entropy
  if options.objective == 'clipped' and not options.corrects():
    assert 0 < sums['clip_fraction'] / got_count < 1
  if options.importance_band:
    assert 0 < sums['outside_band'] / got_count < 1


@pytest.mark.parametrize('name', VARIANTS)
def test_variants_differ(table_model, case, name):
  """A gradient that no other variant has: none is an option that does nothing."""
  gradient = lambda options: found(case, LossOptions(**options))[0]['logp']
  others = [gradient(options) for key, options in VARIANTS.items() if key != name]
  own = gradient(VARIANTS[name])
  same = [np.allclose(own, other, atol=1e-6) for other in others]
  # GRPO with a bonus on the entropy has the gradient of GRPO by the log-probabilities
  assert sum(same) == (name in ('GRPO', 'entropy'))


@pytest.mark.parametrize('name', ['GSPO', 'CISPO', 'Dr.GRPO', 'IcePop', 'all'])
def test_the_same_in_every_layout(table_model, case, name):
  """Rows, micro-batches, short rows and shared prompts: a response's ratio is its own wherever it stands."""
  options = LossOptions(**VARIANTS[name])
  whole = found(case, options)
  for layout in LAYOUTS[1:]:
    for a, b in zip(jax.tree.leaves(found(case, options, *layout)), jax.tree.leaves(whole), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_one_response_of_one_token_has_the_ratio_of_its_token(table_model, case):
  """There GSPO is GRPO."""
  groups, *rest = case
  short = groups._replace(lengths_PG=np.ones((P, G), int)), *rest
  of = lambda **o: found(short, LossOptions(**o))
  for a, b in zip(jax.tree.leaves(of(ratio='sequence')), jax.tree.leaves(of()), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('name', CORRECTED)
def test_masked_tokens_have_no_gradient(table_model, case, name):
  options = LossOptions(**VARIANTS[name])._replace(kl=0.0, entropy=0.0)
  gradient = np.asarray(found(case, options)[0]['logp'])
  k = np.exp(case[1]['policy'] - case[1]['sampler'])
  low, high = options.importance_band or (0, np.inf)
  outside = ((k < low) | (k > high)) & (case[1]['sampler'] != 0)
  assert outside.any() == bool(options.importance_band) and not gradient[outside].any()


def test_stale_and_far_tokens_stay_finite(table_model, case):
  """What the padding holds, or an old policy that thought a token impossible."""
  groups, tables, advantages = case
  far = tables | {'sampler': np.where(tables['sampler'] != 0, -60.0, 0).astype(np.float32)}
  for name in ('GSPO', 'CISPO', 'IcePop', 'all'):
    total = found((groups._replace(logps_PGL=far['sampler']), far, advantages), LossOptions(**VARIANTS[name]))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(total)), name


def test_segment_sums():
  x = np.random.default_rng(0).normal(size=(3, 11)).astype(np.float32)
  ids = np.array([[1] * 4 + [2] + [3] * 5 + [0], [1] * 11, [0] * 11])
  sums = [[row[i == j].sum() for j in i] for row, i in zip(x, ids)]
  np.testing.assert_allclose(jax.jit(ratio.segment_sums)(x, ids), sums, rtol=1e-5, atol=1e-6)


def test_on_policy_sequence_ratio_is_exactly_one():
  logp = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32) - 3
  assert (ratio.sequence_ratio(logp, logp, np.full((2, 8), 1 / 8), np.ones((2, 8), int)) == 1).all()


def test_constant_needs_its_limit(table_model, case):
  with pytest.raises(ValueError, match="'constant' with a limit"):
    mgpo_loss(None, {}, {'mask': jnp.zeros(1)}, options=LossOptions(aggregation='constant'))


def test_kl_estimates_are_of_the_divergence():
  """Means under the policy: k1 and k3 are the divergence, k1's and k2's gradients are its gradient."""
  rng = np.random.default_rng(1)
  q, logits = rng.dirichlet(np.ones(9)), rng.normal(size=9)
  p = np.exp(logits) / np.exp(logits).sum()
  exact = (p * np.log(p / q)).sum()
  true_gradient = p * (np.log(p / q) - exact)

  def mean(logits, name):  # tokens are drawn from p: their shares have no gradient
    logp = jax.nn.log_softmax(logits)
    return jnp.sum(p * penalty.kl(name, logp, jnp.log(q), jnp.log(p)))

  for name in ('k1', 'k2', 'k3'):
    value, gradient = jax.value_and_grad(mean)(jnp.asarray(logits), name)
    assert np.isclose(value, exact, rtol=1e-4) == (name != 'k2'), name
    assert np.allclose(gradient, true_gradient, atol=1e-5) == (name != 'k3'), name


def test_overlong_against_the_paper():
  """Equation 13 of DAPO, and the builtin reward of the same name, whose cache is a fifth."""
  from vibethinker_jax.eval import rewards

  def eq13(y, l_max, l_cache):
    if y <= l_max - l_cache:
      return 0.0
    return ((l_max - l_cache) - y) / l_cache if y <= l_max else -1.0

  for y in (0, 16383, 16384, 16385, 18432, 20479, 20480, 20481):
    assert float(penalty.overlong(y, 4096, 20480)) == pytest.approx(eq13(y, 20480, 4096), abs=1e-6)
    row = {rewards.TOKENS: y, rewards.LIMIT: 20480}
    assert rewards.overlong('', row) == pytest.approx(eq13(y, 20480, 4096), abs=1e-6)


def test_overlong_shapes_the_advantages_and_not_the_accuracy():
  rewards, lengths = np.array([[1.0, 1.0, 0.0, 0.0]]), np.array([[10, 7, 10, 5]])
  options = LossOptions(strength=2.0, overlong_cache=4)
  a, p, w = weighted_advantages(rewards, lengths, np.ones((1, 4), bool), options, limit=10)
  shaped = np.array([0.0, 0.75, -1.0, 0.0])
  assert p == 0.5 and w == 1
  np.testing.assert_allclose(a[0], (shaped - shaped.mean()) / shaped.std(), rtol=1e-5)


@pytest.mark.parametrize('strength, target', [(0.0, 0.5), (2.0, 0.25), (8.0, 0.75)])
def test_relative_weight(strength, target):
  """Divided by the mean over the groups that teach something, in float64; groups that do not are not counted."""
  rewards = np.tri(6, 6, -1)  # accuracies 0 to 5 of 6
  valid = np.ones((6, 6), bool)
  valid[4] = False  # as in a step that found fewer groups
  plain, relative = (LossOptions(strength=strength, target=target, relative_weight=x) for x in (False, True))
  a, accuracy, w = weighted_advantages(rewards, np.ones((6, 6), int), valid, plain)
  b, _, v = weighted_advantages(rewards, np.ones((6, 6), int), valid, relative)
  has = [1, 2, 3, 5]
  p = np.asarray(accuracy, float)[has]
  own = np.exp(-strength * (p * np.log(p / target) + (1 - p) * np.log((1 - p) / (1 - target))))
  np.testing.assert_allclose(v[np.array(has)], own / own.mean(), rtol=1e-5)
  np.testing.assert_allclose(b, a / own.mean(), rtol=1e-5, atol=1e-7)
  if not strength:
    assert (v == 1).all() and (a == b).all()
  nothing = weighted_advantages(np.ones((2, 3)), np.ones((2, 3), int), np.ones((2, 3), bool), relative)
  assert np.isfinite(nothing[2]).all() and not nothing[0].any()


def test_the_weight_composes_with_every_normalisation_and_shape():
  rewards, lengths = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]]), np.full((2, 4), 3)
  for change in (dict(), dict(normalise='none'), dict(overlong_cache=2), dict(long2short=0.2)):
    of = lambda s, change=change: weighted_advantages(
      rewards, lengths, np.ones((2, 4), bool), LossOptions(strength=s, target=0.25, **change), limit=4
    )
    (a, _, w), (b, _, ones) = of(3.0), of(0.0)
    np.testing.assert_allclose(a, b * w[:, None], rtol=1e-6)
    assert w[0] == 1 > w[1] and (ones == 1).all()


def test_adaptive_entropy_against_the_paper():
  """c grows while e < target and falls while e > target, within its bounds; the bonus counts while e <= target."""
  options = LossOptions(entropy_target=0.2, entropy_delta=0.01, entropy_max=0.025)
  c, seen = 0.0, []
  for e in (0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.1, 0.5, 0.5, 0.5, None, 0.1):
    weight, c = penalty.entropy_bonus(c, e, options)
    seen.append((round(weight, 6), round(c, 6)))
  assert seen == [
    (0.0, 0.01),
    (0.01, 0.02),
    (0.02, 0.025),
    (0.025, 0.025),
    (0.025, 0.015),  # at the target it counts once more, and falls
    (0.0, 0.005),
    (0.005, 0.015),
    (0.0, 0.005),
    (0.0, 0.0),
    (0.0, 0.0),
    (0.0, 0.0),
    (0.0, 0.01),
  ]
  assert penalty.entropy_bonus(0.3, 9.0, LossOptions(entropy=0.3)) == (0.3, 0.3)
