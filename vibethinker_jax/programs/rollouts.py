"""The groups of an RL step: sampled, verified, and chosen; with over-sampling, those too late are given up or carried
on.

By default a step samples as many prompts as it trains on and waits for the last response: on-policy, but the longest
response decides. With `oversample` more prompts run at once and the step ends when enough groups are useful (APRIL,
arXiv 2509.18521, does so); with `carry` the unfinished ones go on in the next steps, their tokens keeping the
log-probabilities they were sampled with.
"""

import itertools
import logging
import math
import os
import pathlib
from typing import NamedTuple

import jax
import numpy as np

from vibethinker_jax.eval import benchmarks, rewards as rewards_lib
from vibethinker_jax.programs.stage import Model, Stage, refuse_invalid, stage_key
from vibethinker_jax.rl import curriculum
from vibethinker_jax.runtime import disk, hosts, storage
from vibethinker_jax.sampler import engine

LOG = logging.getLogger('vibethinker_jax')
TOTAL, DEVIATION = 'reward', 'reward_std'  # in the metrics; of a part 'reward/NAME' and 'reward_std/NAME'


class Rollout(NamedTuple):
  """The groups of one step: `rows` and what benchmarks.Scored holds of them, plus counts of all that was sampled."""

  rows: list
  prompts: list
  tokens: np.ndarray
  logps: np.ndarray
  lengths: np.ndarray
  correct: np.ndarray
  valid: np.ndarray
  texts: list
  sampled: dict
  rewards: np.ndarray
  stopped: np.ndarray

  def tokens_per_second(self) -> float:
    return self.sampled['tokens'] / self.sampled['seconds'][0]

  def summary(self) -> str:
    sampled = self.sampled
    reward = f'reward {sampled["rewards"][""][0]:.3g}, ' if sampled['rewards'] else ''
    return (
      f'{reward}accuracy {sampled["accuracy"]:.2f}, {sampled["mean_length"]:.0f} tokens, '
      f'{self.tokens_per_second():,.0f} tok/s'
      + (f', {sampled["invalid"]} without a verdict' if sampled['invalid'] else '')
    )


class Carried(NamedTuple):
  """Groups that were not used, or not finished, in the step that began them.

  Attributes:
    indices_P: int, their prompts' places in the list of prompts.
    responses: sampler.engine.Responses.
    versions_PGL: int32, the step whose policy sampled each token.
  """

  indices_P: np.ndarray
  responses: engine.Responses
  versions_PGL: np.ndarray


def nothing(options) -> Carried:
  shape = (0, options.group, options.sampler.max_tokens)
  tokens, flags = np.zeros(shape, np.int32), np.zeros(shape[:2], bool)
  return Carried(
    np.zeros(0, int),
    engine.Responses(tokens, np.zeros(shape, np.float32), np.zeros(shape[:2], np.int32), flags, flags, 0),
    tokens,
  )


class _Group(NamedTuple):
  """A group of a call of sample_and_verify: its place there, its prompt's among all, and who sampled its tokens."""

  scored: benchmarks.Scored
  place: int
  index: int
  versions_GL: np.ndarray


def collect(stage: Stage, options, model: Model, rows: list[dict], cursor: int, step: int, carried: Carried):
  """Samples groups until `prompts` of them have different rewards (in a rehearsal: any), in at most max_rounds rounds.

  Args:
    options: of an rl stage. rows: its prompts. cursor: how many of their endless sequence were drawn.
    step: updates so far: the version of the policy. carried: of the step before.

  Returns:
    (Rollout of at most `prompts` useful groups, the cursor after the prompts used, Carried).
  """
  useful, late, parts, seen = [], [], [], set(carried.indices_P.tolist())
  key = jax.random.fold_in(stage_key(stage), 1 + step)
  good_P = lambda *judged: judged[-1] if stage.recipe.rehearsal else _useful(*judged, options)
  for round_ in range(options.max_rounds):
    missing = options.prompts - len(useful)
    begun = carried if round_ == 0 else nothing(options)
    count = min(math.ceil(missing * options.oversample) - len(begun.indices_P), len(rows) - len(seen))
    drawn, cursor = _draw(count, cursor, seen, len(rows), stage.recipe.seed)
    seen |= set(drawn)
    picked = [*begun.indices_P.tolist(), *drawn]
    if not picked:
      break
    earlier = _filled(begun, len(picked))
    enough = lambda *verdicts, missing=missing: good_P(*verdicts).sum() >= missing
    scored = benchmarks.sample_and_verify(
      model,
      [rows[i] for i in picked],
      options.group,
      options.sampler,
      key=jax.random.fold_in(key, round_),
      mesh=stage.mesh,
      pool=stage.pool,
      partial=benchmarks.Partial(earlier.responses, enough if options.oversample > 1 else None),
    )
    parts.append((scored, int(scored.responses.lengths_PG.sum() - earlier.responses.lengths_PG.sum())))
    ended_P = scored.responses.ended_PG.all(axis=1)
    good_here_P = good_P(scored.rewards_PG, scored.correct_PG, scored.valid_PG, ended_P)
    good = np.flatnonzero(good_here_P & _trains(scored.responses.stopped_PG, scored.valid_PG, options))
    groups = [_Group(scored, *of) for of in zip(range(len(picked)), picked, _versions(earlier, scored.responses, step))]
    useful += [groups[i] for i in good[:missing]]
    late += [groups[i] for i in sorted({*good[missing:], *np.flatnonzero(~ended_P)})]
    if len(useful) >= options.prompts:
      break
  refuse_invalid(stage, f'step {step + 1}', *benchmarks.invalid_of(*(scored for scored, _ in parts)))
  carried, sampled = _carry(late, options, step), _counts(parts, options)
  if not rewards_lib.graded(stage.recipe):  # then they are 1 and 0, as the accuracy says
    sampled['rewards'] = {}
  sampled |= {'stale': _stale(useful, step), 'carried': len(late), 'given_up': len(late) - len(carried.indices_P)}
  return _rollout(useful, rows, sampled), cursor, carried


def _draw(count: int, cursor: int, seen: set[int], total: int, seed: int) -> tuple[list[int], int]:
  """The next `count` prompts of the endless sequence but those `seen`, and the cursor after them.

  A prompt drawn twice in a step (two epochs meet) would give the same responses.
  """
  drawn = []
  while len(drawn) < count:
    index = curriculum.prompt_at(cursor, total, seed)
    cursor += 1
    if index not in seen and index not in drawn:
      drawn.append(index)
  return drawn, cursor


def _on(lengths_PG, T: int) -> np.ndarray:
  """[P, G, T]: where responses have tokens."""
  return np.arange(T) < lengths_PG[..., None]


def _versions(earlier: Carried, responses: engine.Responses, step: int) -> np.ndarray:
  """versions_PGL of what was sampled after `earlier`."""
  T = earlier.versions_PGL.shape[2]
  new = np.where(_on(responses.lengths_PG, T), step, 0)
  return np.where(_on(earlier.responses.lengths_PG, T), earlier.versions_PGL, new)


def _stale(groups: list[_Group], step: int) -> float:
  """The share of tokens that an earlier policy sampled."""
  if not groups:
    return 0.0
  versions_PGL = np.array([group.versions_GL for group in groups])
  on = _on(np.array([group.scored.responses.lengths_PG[group.place] for group in groups]), versions_PGL.shape[2])
  return float((versions_PGL < step)[on].mean())


def _rollout(groups: list[_Group], rows: list[dict], sampled: dict) -> Rollout:
  of = lambda get: [get(group.scored)[group.place] for group in groups]
  array = lambda get: np.array(of(get))
  return Rollout(
    [rows[group.index] for group in groups],
    of(lambda s: s.prompts),
    array(lambda s: s.responses.tokens_PGL),
    array(lambda s: s.responses.logps_PGL),
    array(lambda s: s.responses.lengths_PG),
    array(lambda s: s.correct_PG),
    array(lambda s: s.valid_PG),
    of(lambda s: s.texts_PG),
    sampled,
    array(lambda s: s.rewards_PG),
    array(lambda s: s.responses.stopped_PG),
  )


def accuracy(correct_PG, valid_PG) -> list[float]:
  """Share of correct responses among those with a verdict, per prompt; 0 where none has one."""
  return [float(c[v].mean()) if v.any() else 0.0 for c, v in zip(correct_PG, valid_PG)]


def described(sampled: dict) -> str:
  """What was seen of a step's groups: '24 groups: 20 all wrong, 4 all right'."""
  kinds = ', '.join(f'{n} {kind}' for kind, n in sampled['kinds'].items() if n)
  return f'{sampled["groups"]} groups: {kinds or "none ended"}'


def _kinds(rewards_PG, correct_PG, valid_PG) -> dict[str, int]:
  """How many groups are of which kind; a response without a verdict does not count."""
  known, right = valid_PG.any(axis=1), np.array(accuracy(correct_PG, valid_PG))
  same = (right == 0) | (right == 1)
  graded = same & curriculum.useful_groups(rewards_PG, valid_PG)
  return {
    'right and wrong': int((~same).sum()),
    'of different rewards': int(graded.sum()),
    'all wrong': int((known & (right == 0) & ~graded).sum()),
    'all right': int(((right == 1) & ~graded).sum()),
    'without a verdict': int((~known).sum()),
  }


def _useful(rewards_PG, correct_PG, valid_PG, ended_P, options) -> np.ndarray:
  return curriculum.useful_groups(rewards_PG, valid_PG, correct_PG, options.loss.long2short) & ended_P


def _trains(stopped_PG, valid_PG, options) -> np.ndarray:
  """bool [P]: groups of which something is left to train on where truncated responses are masked. (`enough` of an
  over-sampled step does not know of it: such a step may go on with fewer groups.)"""
  return (stopped_PG & valid_PG).any(axis=1) | (not options.loss.mask_truncated)


def _filled(begun: Carried, count: int) -> Carried:
  """With room for `count` groups, the new ones empty."""
  more = lambda x: np.concatenate([x, np.zeros((count - len(x), *x.shape[1:]), x.dtype)])
  return Carried(
    begun.indices_P, engine.Responses(*(more(x) for x in begun.responses[:5]), 0), more(begun.versions_PGL)
  )


def _carry(late: list[_Group], options, step: int) -> Carried:
  """Of the late groups those that the next step may still go on with: no token is older than `carry` updates."""

  def young(group):
    on = _on(group.scored.responses.lengths_PG[group.place], group.versions_GL.shape[1])
    return step + 1 - (group.versions_GL[on].min() if on.any() else step) <= options.carry

  kept = [group for group in late if options.carry and young(group)]
  if not kept:
    return nothing(options)
  take = lambda field: np.array([getattr(group.scored.responses, field)[group.place] for group in kept])
  return Carried(
    np.array([group.index for group in kept]),
    engine.Responses(*(take(f) for f in engine.Responses._fields[:5]), 0),
    np.array([group.versions_GL for group in kept]),
  )


def _counts(parts, options) -> dict:
  """Of the groups that ended."""
  join = lambda get: np.concatenate([get(scored)[scored.responses.ended_PG.all(axis=1)] for scored, _ in parts])
  correct, valid, rewards = join(lambda s: s.correct_PG), join(lambda s: s.valid_PG), join(lambda s: s.rewards_PG)
  named = [s.parts_PG[p] for s, _ in parts for p in np.flatnonzero(s.responses.ended_PG.all(axis=1))]
  lengths, stopped = join(lambda s: s.responses.lengths_PG), join(lambda s: s.responses.stopped_PG)
  mean = lambda x: float(x.mean()) if x.size else 0.0
  return {
    'kinds': _kinds(rewards, correct, valid),
    'useful': int((_useful(rewards, correct, valid, True, options) & _trains(stopped, valid, options)).sum()),
    'rewards': rewards_lib.spread(rewards[valid].tolist(), itertools.chain(*named)),
    'groups': len(correct),
    'accuracy': mean(correct[valid]),
    'invalid': int((~valid).sum()),
    'tokens': sum(new for _, new in parts),
    'mean_length': mean(lengths),
    'truncated': 1 - mean(stopped) if stopped.size else 0.0,
    'histogram': np.bincount(correct.sum(axis=1), minlength=options.group + 1),
    'seconds': np.sum([scored.seconds for scored, _ in parts], axis=0),
  }


def save(directory: pathlib.Path, step: int, carried: Carried) -> None:
  """Writes carried-<step>.npz, whole or not at all, before the checkpoint of that step; older ones but one go."""
  if not hosts.first():
    return
  path = _path(directory, step)
  with disk.replacing(path, f'the unfinished responses of step {step}') as temporary, temporary.open('wb') as f:
    np.savez_compressed(f, indices=carried.indices_P, versions=carried.versions_PGL, **carried.responses._asdict())
    f.flush()
    os.fsync(f.fileno())
  for old in sorted(directory.glob('carried-*.npz'))[:-3]:
    old.unlink()


def load(directory: pathlib.Path, step: int, options) -> Carried:
  """What the step of a restored checkpoint left.

  Raises:
    ValueError: it is missing, damaged, or of another config.
  """
  path = _path(directory, step)
  try:
    with np.load(storage.here(path)) as saved:
      carried = Carried(
        saved['indices'], engine.Responses(*(saved[f] for f in engine.Responses._fields[:5]), 0), saved['versions']
      )
  except (OSError, KeyError, ValueError, EOFError) as error:
    raise ValueError(
      f'{path}: the groups that step {step} carried on cannot be read ({error}). Delete this checkpoint to go on '
      'from the one before, or set carry=0 in a new workdir'
    ) from error
  if carried.versions_PGL.shape[1:] != (options.group, options.sampler.max_tokens):
    raise ValueError(
      f'{path}: groups of another config: group={options.group} or sampler.max_tokens='
      f'{options.sampler.max_tokens} changed'
    )
  return carried


def _path(directory: pathlib.Path, step: int) -> pathlib.Path:
  return directory / f'carried-{step:08d}.npz'


def scalars(rollout: Rollout, options, weight_P) -> dict:
  """What metrics.jsonl says of the groups of one step."""
  sampled, n = rollout.sampled, len(rollout.rows)
  return {
    'accuracy': sampled['accuracy'],
    'useful_groups': _trained(rollout, options),
    'sampled_groups': sampled['groups'],
    'given_up_groups': sampled['given_up'],
    'stale_tokens': sampled['stale'],
    'invalid': sampled['invalid'],
    **{f'{TOTAL}/{name}'.rstrip('/'): mean for name, (mean, _) in sampled['rewards'].items()},
    **{f'{DEVIATION}/{name}'.rstrip('/'): deviation for name, (_, deviation) in sampled['rewards'].items()},
    'response_tokens': sampled['mean_length'],
    'sampled_tokens': sampled['tokens'],
    'truncated': sampled['truncated'],
    'weight': np.mean(weight_P[:n]) if n else None,
    'seconds/rollout': sampled['seconds'][0],
    'seconds/verify': sampled['seconds'][1],
    'seconds/verify_overlapped': sampled['seconds'][2],  # while others were being decoded: part of rollout
    'rollout_tokens_per_second': rollout.tokens_per_second(),
  }


def trainable(rollout: Rollout, loss) -> np.ndarray:
  """Bool [P, G]: the responses that are trained on; those without a verdict are not."""
  return rollout.valid & rollout.stopped if loss.mask_truncated else rollout.valid


def entropy(rollout: Rollout, loss) -> float | None:
  """Nats per token of what is trained on: minus the mean log-probability of the tokens, which is the entropy of the
  policies that sampled them on average. Known before the update, without another pass. None: there are no tokens."""
  if not rollout.rows:
    return None
  on = _on(rollout.lengths, rollout.logps.shape[2]) & trainable(rollout, loss)[..., None]
  return -float(rollout.logps[on].mean(dtype=np.float64)) if on.any() else None


def warn_idle(stage: Stage, step: int, sampled: dict) -> None:
  """Says what was seen in a step without a useful group."""
  if not sampled['useful']:
    LOG.warning('stage %s, step %d: no group was useful; %s', stage.name, step, described(sampled))


def _trained(rollout: Rollout, options) -> int:
  """Groups that are trained on and teach something: in a rehearsal not all do."""
  if not rollout.rows:
    return 0
  return int(_useful(rollout.rewards, rollout.correct, rollout.valid, True, options).sum())


def padded(rollout: Rollout, options) -> dict:
  """What loss.weighted_advantages takes, as [prompts, G] of one shape in every step; missing groups are all-invalid."""
  shape = (options.prompts, options.group)
  rewards, lengths, valid = np.zeros(shape, np.float32), np.ones(shape, np.int32), np.zeros(shape, bool)
  correct = np.zeros(shape, bool)
  if n := len(rollout.rows):
    rewards[:n], lengths[:n], valid[:n], correct[:n] = rollout.rewards, rollout.lengths, rollout.valid, rollout.correct
  return {'rewards_PG': rewards, 'lengths_PG': lengths, 'valid_PG': valid, 'correct_PG': correct}
