"""Which batch, remat policy, mesh and cache would be faster, or fit at all: compiled one change at a time."""

from collections.abc import Callable, Iterator
import copy
import math
from typing import NamedTuple

REMAT = ('attention_qkv', 'attention', 'full')
ROWS = (1, 2, 4)  # per device and micro-batch
GIB = 2.0**30


class Trial(NamedTuple):
  """fields: {path in the config: value}, as --config.<path>=value. result: of worker.run, or the error."""

  fields: dict
  result: dict
  error: str = ''


def stage(config: dict, name: str, devices: int, compile_one: Callable[[dict, str], dict]) -> list[Trial]:
  """Tries of a stage, best first; the config's own settings are among them.

  Training: from the settings as they are, each remat policy; with the best of them each number of rows; with the best
  of these each mesh. The measure is the estimated time of a position. Sampling: the largest cache that fits.

  Args:
    devices: of the slice. compile_one: (config, name of the program) -> result of worker.run. May raise ValueError.
  """
  program = config[name]['program']
  found = []
  if program in ('sft', 'rl'):
    found += _train(config, name, devices, compile_one)
  if 'sampler' in config[name]:
    found += _cache(config, name, compile_one)
  return found


def _train(config: dict, name: str, devices: int, compile_one) -> list[Trial]:
  target = 'sft_step' if config[name]['program'] == 'sft' else 'mgpo_step'
  trials = {}

  def attempt(fields):
    key = tuple(sorted(fields.items()))
    if key not in trials:
      trials[key] = _attempt(config, fields, target, compile_one)

  attempt({})
  for fields in _policies(config, name):
    attempt(fields)
  best = _ranked(trials.values())[0].fields
  for fields in _batches(config, name, devices):
    attempt(best | fields)
  best = _ranked(trials.values())[0].fields
  for fields in _meshes(devices):
    attempt(best | fields)
  return _ranked(trials.values())


def _policies(config: dict, name: str) -> Iterator[dict]:
  for policy in REMAT:
    if policy != config[name]['remat']:
      yield {f'{name}.remat': policy}


def _batches(config: dict, name: str, devices: int) -> Iterator[dict]:
  values = config[name]
  for rows in ROWS:
    if values['program'] == 'rl':
      yield {f'{name}.micro_batch': rows * devices}
    elif values['batch_size'] % (rows * devices) == 0:
      yield {f'{name}.micro_batches': values['batch_size'] // (rows * devices)}


def _meshes(devices: int) -> Iterator[dict]:
  for data in (2, 4):
    if devices % data == 0 and devices > data:
      yield {'mesh.data': data, 'mesh.fsdp': devices // data}


def _cache(config: dict, name: str, compile_one) -> list[Trial]:
  """Two sizes give the memory per token, the third try is the largest that fits, less 2%."""
  sampler = config[name]['sampler']
  columns = sampler['columns'] or sampler['max_tokens'] + 1024
  field = f'{name}.sampler.cache_tokens'
  trials = [
    _attempt(config, {}, 'decode', compile_one),
    _attempt(config, {field: columns}, 'decode', compile_one),
    _attempt(config, {field: 2 * columns}, 'decode', compile_one),
  ]
  small, large = (trial.result.get('hbm', {}) for trial in trials[1:])
  if small.get('kv_cache') and large.get('kv_cache', 0.0) > small['kv_cache'] and not trials[1].error:
    per_token = (large['total'] - small['total']) / columns
    tokens = math.floor(0.98 * (columns + (small['capacity'] - small['total']) / per_token))
    if tokens >= columns:
      trials.append(_attempt(config, {field: tokens // 1000 * 1000}, 'decode', compile_one))
  fitting = [trial for trial in trials if trial.result.get('fits')]
  tokens = lambda trial: trial.result.get('cache_tokens', 0)
  return sorted(fitting, key=tokens, reverse=True) + [trial for trial in trials if trial not in fitting]


def _attempt(config: dict, fields: dict, target: str, compile_one) -> Trial:
  try:
    return Trial(fields, compile_one(changed(config, fields), target))
  except ValueError as error:
    return Trial(fields, {}, str(error))


def changed(config: dict, fields: dict) -> dict:
  """A copy of the config with these fields."""
  config = copy.deepcopy(config)
  for path, value in fields.items():
    *outer, last = path.split('.')
    place = config
    for part in outer:
      place = place[part]
    place[last] = value
  return config


def _ranked(trials) -> list[Trial]:
  """What fits first, by the estimated time of a position (the mean of the bracket); then by the memory it would
  take."""

  def key(trial):
    if not trial.result:
      return 2, 0.0
    if not trial.result['fits'] or 'estimate' not in trial.result:
      return 1, trial.result['hbm']['total'] or math.inf
    return 0, sum(trial.result['estimate']['seconds']) / trial.result['tokens']

  return sorted(trials, key=key)


def lines(name: str, trials: list[Trial], devices: int) -> list[list[str]]:
  """Rows of a table: the flags, memory, speed."""
  rows = []
  for fields, result, error in trials:
    flags = ' '.join(f'--config.{path}={value}' for path, value in fields.items()) or '(as configured)'
    if not result:
      rows.append([f'{name}: {flags}', '-', '-', '-', error.splitlines()[0][:80]])
      continue
    hbm, estimate = result['hbm'], result.get('estimate', {})
    speed = '-'
    if 'mfu' in estimate:
      slow, fast = (result['tokens'] / devices / x for x in estimate['seconds'])
      speed = f'{slow:,.0f}-{fast:,.0f} tokens/s/device'
    elif result.get('cache_tokens'):
      speed = f'{result["cache_tokens"]:,} cached tokens'
    mfu = '-'.join(f'{x:.2f}' for x in estimate.get('mfu', ())) or '-'
    rows.append([f'{name}: {flags}', f'{hbm["total"] / GIB:.2f}', speed, mfu, '' if result['fits'] else 'does not fit'])
  return rows
