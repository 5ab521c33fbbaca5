"""What a function of a user returned, as a Verdict: True or False, a number, named numbers, or a Verdict."""

from __future__ import annotations

from collections.abc import Mapping
import numbers

from vibethinker_jax.verify.verdict import Verdict

STATUSES = ('correct', 'wrong', 'invalid')
TOTALS = ('reward', 'score')  # of a dict, the first of them is the reward; verl's compute_score says 'score'
LARGEST = 2.0**128  # rewards are float32 where advantages are made of them
SHAPES = (
  'a reward is a finite number, True or False, a dict of named finite numbers, or a Verdict(status, reason, reward)'
)


def verdict_of(value, correct_at: float = 1.0) -> Verdict:
  """The Verdict of what a function returned.

  Args:
    value: bool: correct or wrong, with the reward 1 or 0. A number, of numpy or torch too: the reward. A dict: its
      'reward' or 'score' is the reward, where there is none the sum of all; the other numbers are parts. A Verdict, or
      a tuple like one.
    correct_at: the reward from which a number or a dict counts as correct.

  Raises:
    TypeError, ValueError: anything else, or a number that is not finite in float32.
  """
  value = _plain(value)
  if isinstance(value, bool):
    return Verdict('correct' if value else 'wrong', 'judged', float(value))
  if isinstance(value, numbers.Real):
    return _graded(_finite(value), None, correct_at)
  if isinstance(value, Mapping):
    return _of_names(value, correct_at)
  if isinstance(value, tuple) and 2 <= len(value) <= 4:
    return _checked(Verdict(*value))
  raise TypeError(f'it returned {_shown(value)}; {SHAPES}')


def each(values, count: int) -> list:
  """The values that a function of many responses returned, one for each.

  Raises:
    TypeError, ValueError: it is no list, tuple or array of as many.
  """
  if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, '__len__') or not hasattr(values, '__iter__'):
    raise TypeError(f'it returned {_shown(values)} for {count} responses; it must return a list of as many rewards')
  if len(values) != count:
    raise ValueError(f'it returned {len(values)} rewards for {count} responses, in {_shown(values)}')
  return list(values)


def _graded(reward: float, parts: dict | None, correct_at: float) -> Verdict:
  return Verdict('correct' if reward >= correct_at else 'wrong', 'graded', reward, parts)


def _of_names(value: Mapping, correct_at: float) -> Verdict:
  """Text and the like beside a reward is information (verl's 'pred'), beside numbers to be summed it is a mistake."""
  total = next((name for name in TOTALS if name in value), None)
  plain = {str(name): _plain(part) for name, part in value.items()}
  parts = {
    name: _finite(part, f'{name!r} of {_shown(value)}')
    for name, part in plain.items()
    if total is None or name == total or isinstance(part, numbers.Real)
  }
  if not parts:
    raise ValueError(f'it returned {_shown(value)}, which has no number; {SHAPES}')
  reward = sum(parts.values()) if total is None else parts.pop(total)
  return _graded(_finite(reward, f'the sum of {_shown(value)}'), parts or None, correct_at)


def _checked(verdict: Verdict) -> Verdict:
  status, reason, reward, parts = verdict
  if status not in STATUSES or not isinstance(reason, str):
    raise TypeError(
      f'it returned {_shown(tuple(verdict[:2]))}; a Verdict has the status correct, wrong or invalid, and a reason in '
      f'words; {SHAPES}'
    )
  if reward is not None:
    reward = _finite(_plain(reward), f'the reward of {_shown(tuple(verdict))}')
  if parts is not None:
    parts = {str(name): _finite(_plain(part), f'{name!r} of {_shown(parts)}') for name, part in dict(parts).items()}
  return Verdict(status, reason, reward, parts)


def _plain(value):
  """The number in a scalar of numpy, torch or JAX."""
  return value.item() if getattr(value, 'ndim', None) == 0 and hasattr(value, 'item') else value


def _finite(value, what: str = '') -> float:
  if not isinstance(value, numbers.Real):
    raise TypeError(f'it returned {_shown(value)}{f" as {what}" if what else ""}; {SHAPES}')
  if not -LARGEST < value < LARGEST:
    raise ValueError(f'it returned {_shown(value)}{f" as {what}" if what else ""}, which is not finite; {SHAPES}')
  return float(value)


def _shown(value) -> str:
  text = repr(value)
  return f'{type(value).__name__} {text if len(text) <= 200 else text[:200] + "..."}' if value is not None else text
