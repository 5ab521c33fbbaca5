"""The verifier that a command is told by its flags: the reward that a model was trained for, or the default one."""

import json
from typing import NamedTuple

from vibethinker_jax import config
from vibethinker_jax.eval import rewards as rewards_lib
from vibethinker_jax.verify import default
from vibethinker_jax.verify.pool import Pool


class Verifier(NamedTuple):
  """name: as given, '' for the default one. rewards: where it names several with weights. correct_at, verify: as the
  fields of a config."""

  name: str
  rewards: tuple
  correct_at: float
  verify: config.Verify

  def identity(self) -> dict:
    """What tells it from others in a result or a journal."""
    return {'verifier': self.name, 'correct_at': self.correct_at} if self.name else {'verifier': default.NAME}

  def open(self) -> Pool | rewards_lib.Rewards:
    """Its processes."""
    options = rewards_lib.of_pool(self.verify) | {'correct_at': self.correct_at}
    if self.rewards:
      return rewards_lib.Rewards(self.rewards, **options)
    return Pool(verifier=self.name or default.NAME, **options)


def read(name: str, correct_at: float, options: str) -> Verifier:
  """Of --verifier, --correct_at and --verify.

  Raises:
    ValueError: no function of that name, or an option that there is not.
  """
  name = '' if name == default.NAME else name
  rewards = weighted(name)
  errors = [f'--verifier: {text}' for text in rewards_lib.mistakes(rewards)]
  errors += [f'--verifier: {text}' for one in ([x for x, _ in rewards] or [name]) if (text := no_module(one))]
  config.refuse(errors)
  return Verifier(name, rewards, correct_at, verify_options(options))


def weighted(text: str) -> tuple[tuple[str, float], ...]:
  """(('answer', 1.0), ('mine:judge', 0.5)) of 'answer=1,mine:judge=0.5'; () of one function without a weight."""
  parts = [part.partition('=') for part in text.split(',') if part]
  if len(parts) == 1 and not parts[0][1]:
    return ((text, 1.0),) if text in rewards_lib.BUILTIN else ()
  found = []
  for name, _, weight in parts:
    try:
      found.append((name.strip(), config.bind(_Weight, {'weight': float(weight)}, name).weight))
    except ValueError:
      raise ValueError(
        f'--verifier={text}: {name!r} needs a weight that is a finite number, as in answer=1,mine:judge=0.5'
      ) from None
  return tuple(found)


class _Weight(NamedTuple):
  weight: config.Finite


def verify_options(text: str) -> config.Verify:
  """Of 'workers=64,timeout=120,environment=KEY+OTHER'."""
  values = {}
  for part in filter(None, text.split(',')):
    name, _, value = part.partition('=')
    try:
      values[name] = tuple(value.split('+')) if name == 'environment' else json.loads(value)
    except ValueError:
      values[name] = value
  return config.bind(config.Verify, values, '--verify')


def no_module(name: str) -> str:
  """What is wrong with a 'module:function' that cannot be found; '' of any other name."""
  return rewards_lib.no_module(name) if name and name not in rewards_lib.BUILTIN else ''
