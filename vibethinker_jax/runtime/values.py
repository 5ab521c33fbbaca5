"""What a field of a config may hold, and how that is said: types with ranges, in words."""

import dataclasses
import functools
import math
import types
from typing import Annotated, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints, is_typeddict


class Range(NamedTuple):
  """Numbers >= ge, > gt, <= le and < lt. NaN and infinity are in no range."""

  ge: float = -math.inf
  gt: float = -math.inf
  le: float = math.inf
  lt: float = math.inf

  def holds(self, value: float) -> bool:
    return self.ge <= value <= self.le and self.gt < value < self.lt

  def __str__(self) -> str:
    names = {2**31: '2**31', 2**32: '2**32', 2.0**128: '2**128', -(2.0**128): '-2**128'}
    power = lambda bound: names.get(bound, str(bound))
    signs = zip(('>=', '>', '<=', '<'), self)
    return ' and '.join(f'{sign} {power(bound)}' for sign, bound in signs if math.isfinite(bound))


# Counts are int32 on the devices.
Count = Annotated[int, Range(ge=0, lt=2**31)]
Positive = Annotated[int, Range(ge=1, lt=2**31)]
NotNegative = Annotated[float, Range(ge=0)]
AboveZero = Annotated[float, Range(gt=0)]
Share = Annotated[float, Range(ge=0, le=1)]
Size = Literal[-1] | Positive
Finite = Annotated[float, Range(gt=-(2.0**128), lt=2.0**128)]  # in float32, as rewards are: also 0 and less


@functools.lru_cache
def fields(options: type) -> dict:
  """{name: type} of a class of options."""
  return get_type_hints(options, include_extras=True)


def is_class(hint) -> bool:
  return isinstance(hint, type) and (hasattr(hint, '_fields') or dataclasses.is_dataclass(hint) or is_typeddict(hint))


def fits(hint, value) -> bool:
  """Whether a value is one of a type, ranges included; True is no integer."""
  origin, parts = get_origin(hint), get_args(hint)
  if origin is Annotated:
    return fits(parts[0], value) and all(bounds.holds(value) for bounds in hint.__metadata__)
  if origin is Literal:
    return any(type(value) is type(x) and value == x for x in parts)
  if origin in (Union, types.UnionType):
    return any(fits(x, value) for x in parts)
  if origin is tuple:
    parts = parts[:1] * len(value) if isinstance(value, tuple) and parts[1:] == (...,) else parts
    return isinstance(value, tuple) and len(value) == len(parts) and all(map(fits, parts, value))
  if hint is float:
    return type(value) in (int, float) and abs(value) < 2.0**128  # finite in float32
  return type(value) is int if hint is int else isinstance(value, origin or hint)


def allowed(hint) -> str:
  """What a type takes, in words: 'an integer >= 1'."""
  origin, parts = get_origin(hint), get_args(hint)
  if origin is Annotated:
    return f'{allowed(parts[0])} {parts[1]}'
  if origin is Literal:
    return ' or '.join(filter(None, (', '.join(map(repr, parts[:-1])), repr(parts[-1]))))
  if origin in (Union, types.UnionType):
    return ' or '.join(map(allowed, parts))
  if origin is tuple:
    return (
      f'a tuple, each element {allowed(parts[0])}' if parts[1:] == (...,) else f'({", ".join(map(allowed, parts))})'
    )
  if is_class(hint):
    return f'a sub-config with the fields {", ".join(fields(hint))}'
  names = {
    int: 'an integer',
    float: 'a finite number',
    str: 'text',
    bool: 'True or False',
    dict: 'a sub-config',
    tuple: 'a tuple',
    type(None): 'None',
  }
  return names[origin or hint]
