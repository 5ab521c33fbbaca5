"""The groups of an RL step: sampled, verified, and chosen; with over-sampling, those too late are given up or carried on.

By default a step samples as many prompts as it trains on and waits for the last response: on-policy, but the longest
response decides. With `oversample` more prompts run at once and the step ends when enough groups are useful (APRIL, arXiv
2509.18521, does so); with `carry` the unfinished ones go on in the next steps, their tokens keeping the log-probabilities
they were sampled with.
"""

import math
import os
import pathlib
from typing import NamedTuple

import jax
import numpy as np

from vibethinker_jax.eval import benchmarks
from vibethinker_jax.programs.stage import Model, Stage, stage_key
from vibethinker_jax.rl import curriculum
from vibethinker_jax.runtime import disk, hosts
from vibethinker_jax.sampler import engine


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
  return Carried(np.zeros(0, int), engine.Responses(tokens, np.zeros(shape, np.float32), np.zeros(shape[:2], np.int32),
                                                    flags, flags, 0), tokens)


def collect(stage: Stage, options, model: Model, rows: list[dict], cursor: int, step: int, carried: Carried):
  """Samples groups until `prompts` of them have unequal rewards (in a rehearsal: any), in at most max_rounds rounds.

  Args:
    options: of an rl stage. rows: its prompts. cursor: how many of their endless sequence were drawn.
    step: updates so far: the version of the policy. carried: of the step before.

  Returns:
    (Rollout of at most `prompts` useful groups, the cursor after the prompts used, Carried).
  """
  useful, parts, late, seen = [], [], [], set(carried.indices_P.tolist())
  key = jax.random.fold_in(stage_key(stage), 1 + step)
  for round_ in range(options.max_rounds):
    missing = options.prompts - len(useful)
    begun = carried if round_ == 0 else nothing(options)
    wanted = min(math.ceil(missing * options.oversample) - len(begun.indices_P), len(rows) - len(seen))
    picked = begun.indices_P.tolist()
    while wanted > 0:  # a prompt drawn twice in a step (two epochs meet) would give the same responses
      index = curriculum.prompt_at(cursor, len(rows), stage.recipe.seed)
      cursor += 1
      if index not in seen:
        seen.add(index)
        picked.append(index)
        wanted -= 1
    if not picked:
      break
    wanted_of = lambda correct_PG, valid_PG, ended_P: (
        ended_P if stage.recipe.rehearsal else _useful(correct_PG, valid_PG, ended_P, options))
    enough = lambda *verdicts: wanted_of(*verdicts).sum() >= missing
    earlier = _filled(begun, len(picked))
    scored = benchmarks.sample_and_verify(
        model.config, model.params, model.tokenizer, [rows[i] for i in picked], options.group, options.sampler,
        key=jax.random.fold_in(key, round_), mesh=stage.mesh, pool=stage.pool, earlier=earlier.responses,
        enough=enough if options.oversample > 1 else None)
    on = np.arange(options.sampler.max_tokens) < scored.responses.lengths_PG[..., None]
    old = np.arange(options.sampler.max_tokens) < earlier.responses.lengths_PG[..., None]
    versions = np.where(old, earlier.versions_PGL, np.where(on, step, 0))
    parts.append((scored, int(scored.responses.lengths_PG.sum() - earlier.responses.lengths_PG.sum())))
    ended = scored.responses.ended_PG.all(axis=1)
    good = np.flatnonzero(wanted_of(scored.correct_PG, scored.valid_PG, ended))
    useful += [(scored, versions, i, picked[i]) for i in good[:missing]]
    late += [(scored, versions, i, picked[i]) for i in sorted({*good[missing:], *np.flatnonzero(~ended)})]
    if len(useful) >= options.prompts:
      break
  take = lambda name: np.array([getattr(s.responses, name)[i] for s, _, i, _ in useful])
  lengths = take('lengths_PG')
  sampled = _counts(parts, options)
  if lengths.size:
    on = np.arange(options.sampler.max_tokens) < lengths[..., None]
    sampled['stale'] = float((np.array([v[i] for _, v, i, _ in useful]) < step)[on].mean())
  carried, sampled['carried'] = _carry(late, options, step), len(late)
  sampled['given_up'] = len(late) - len(carried.indices_P)
  return Rollout([rows[index] for *_, index in useful], [s.prompts[i] for s, _, i, _ in useful], take('tokens_PGL'),
                 take('logps_PGL'), lengths, np.array([s.correct_PG[i] for s, _, i, _ in useful]),
                 np.array([s.valid_PG[i] for s, _, i, _ in useful]), [s.texts_PG[i] for s, _, i, _ in useful],
                 sampled), cursor, carried


def accuracy(correct_PG, valid_PG) -> list[float]:
  """Share of correct responses among those with a verdict, per prompt; 0 where none has one."""
  return [float(c[v].mean()) if v.any() else 0.0 for c, v in zip(correct_PG, valid_PG)]


def described(sampled: dict) -> str:
  """What was seen of a step's groups: '24 groups: 20 all wrong, 4 all right'."""
  kinds = ', '.join(f'{n} {kind}' for kind, n in sampled['kinds'].items() if n)
  return f'{sampled["groups"]} groups: {kinds or "none ended"}'


def _kinds(correct_PG, valid_PG) -> dict[str, int]:
  """How many groups are of which kind; a response without a verdict does not count."""
  known, right = valid_PG.any(axis=1), np.array(accuracy(correct_PG, valid_PG))
  return {'right and wrong': int(((right > 0) & (right < 1)).sum()), 'all wrong': int((known & (right == 0)).sum()),
          'all right': int((right == 1).sum()), 'without a verdict': int((~known).sum())}


def _useful(correct_PG, valid_PG, ended_P, options) -> np.ndarray:
  return curriculum.useful_groups(accuracy(correct_PG, valid_PG), options.loss.long2short) & ended_P


def _filled(begun: Carried, count: int) -> Carried:
  """With room for `count` groups, the new ones empty."""
  more = lambda x: np.concatenate([x, np.zeros((count - len(x), *x.shape[1:]), x.dtype)])
  return Carried(begun.indices_P, engine.Responses(*(more(x) for x in begun.responses[:5]), 0), more(begun.versions_PGL))


def _carry(late, options, step: int) -> Carried:
  """Of the late groups those that the next step may still go on with: no token is older than `carry` updates."""
  def young(scored, versions, i):
    on = np.arange(versions.shape[2]) < scored.responses.lengths_PG[i][:, None]
    return step + 1 - (versions[i][on].min() if on.any() else step) <= options.carry

  kept = [x for x in late if options.carry and young(*x[:3])]
  if not kept:
    return nothing(options)
  take = lambda field: np.array([getattr(s.responses, field)[i] for s, _, i, _ in kept])
  return Carried(np.array([index for *_, index in kept]),
                 engine.Responses(*(take(f) for f in engine.Responses._fields[:5]), 0),
                 np.array([versions[i] for _, versions, i, _ in kept]))


def _counts(parts, options) -> dict:
  """Of the groups that ended."""
  join = lambda get: np.concatenate([get(scored)[scored.responses.ended_PG.all(axis=1)] for scored, _ in parts])
  correct, valid = join(lambda s: s.correct_PG), join(lambda s: s.valid_PG)
  lengths, stopped = join(lambda s: s.responses.lengths_PG), join(lambda s: s.responses.stopped_PG)
  mean = lambda x: float(x.mean()) if x.size else 0.0
  return {
      'kinds': _kinds(correct, valid), 'useful': int(_useful(correct, valid, True, options).sum()),
      'groups': len(correct), 'accuracy': mean(correct[valid]), 'invalid': int((~valid).sum()),
      'tokens': sum(new for _, new in parts), 'mean_length': mean(lengths), 'truncated': 1 - mean(stopped) if stopped.size else 0.0,
      'histogram': np.bincount(correct.sum(axis=1), minlength=options.group + 1), 'stale': 0.0,
      'seconds': np.sum([scored.seconds for scored, _ in parts], axis=0)}


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
    with np.load(path) as saved:
      carried = Carried(saved['indices'], engine.Responses(*(saved[f] for f in engine.Responses._fields[:5]), 0),
                        saved['versions'])
  except (OSError, KeyError, ValueError, EOFError) as error:
    raise ValueError(f'{path}: the groups that step {step} carried on cannot be read ({error}). Delete this checkpoint to go on '
                     'from the one before, or set carry=0 in a new workdir') from error
  if carried.versions_PGL.shape[1:] != (options.group, options.sampler.max_tokens):
    raise ValueError(f'{path}: groups of another config: group={options.group} or sampler.max_tokens='
                     f'{options.sampler.max_tokens} changed')
  return carried


def _path(directory: pathlib.Path, step: int) -> pathlib.Path:
  return directory / f'carried-{step:08d}.npz'
