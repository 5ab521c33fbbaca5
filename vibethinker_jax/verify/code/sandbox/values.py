"""Python values as JSON and back, for assert-style problems, where a tuple is not a list.

  decode(json.loads(json.dumps(encode({1: (2, {3})})))) == {1: (2, {3})}

Standard library alone: the sandbox's helper loads it too. What comes back is plain data of exact builtin types,
whatever the program made of its classes, so that `==` on it runs no code of the program.
"""

import collections
import decimal
import fractions
import itertools
import re
import sys

MAX_ITEMS = 10**6  # of an iterator that a program returns
_RATIO = re.compile(r'-?[0-9]{1,4300}(/[0-9]{1,4300})?')  # not 1e999999999, which the host would write out


def plain(value):
  """The number that a numpy scalar holds; for json's encoder. Raises TypeError for any other object."""
  numpy = sys.modules.get('numpy')
  if numpy is not None and isinstance(value, numpy.generic):
    return value.item()
  raise TypeError(f'{type(value).__name__} is no data')


class Opaque:
  """Stands for an object that is no data: equal to nothing but itself."""


def encode(value):
  """A JSON-compatible form; tuples, sets, dicts and the like as {kind: content}. Iterators are used up."""
  if value is None or isinstance(value, (bool, int, float, str)):
    return value
  if isinstance(value, list):
    return [encode(x) for x in value]
  if isinstance(value, dict):
    return {'dict': [[encode(k), encode(v)] for k, v in value.items()]}
  for kind in (tuple, set, frozenset, collections.deque):
    if isinstance(value, kind):
      return {kind.__name__: [encode(x) for x in value]}
  if isinstance(value, complex):
    return {'complex': [value.real, value.imag]}
  if isinstance(value, (bytes, bytearray)):
    return {'bytes': value.hex()}
  if isinstance(value, range):
    return {'range': [value.start, value.stop, value.step]}
  if isinstance(value, (decimal.Decimal, fractions.Fraction)):
    return {type(value).__name__: str(value)}
  if hasattr(value, '__next__'):
    return {'iterator': [encode(x) for x in itertools.islice(value, MAX_ITEMS)]}
  numpy = sys.modules.get('numpy')
  if numpy is not None and isinstance(value, numpy.ndarray) and value.dtype.kind in 'biufc':
    return {'array': [encode(value.tolist()), str(value.dtype)]}
  try:
    return encode(plain(value))
  except (TypeError, RecursionError):
    return {'object': None}


def _decimal(text):
  value = decimal.Decimal(text)
  if value.is_snan():  # raises when it is compared
    raise ValueError('a signalling NaN')
  return value


def _fraction(text):
  if not _RATIO.fullmatch(text):
    raise ValueError('not a ratio of two integers of at most 4 300 digits')
  return fractions.Fraction(text)


_MAKE = {
  'tuple': tuple,
  'set': set,
  'frozenset': frozenset,
  'deque': collections.deque,
  'iterator': iter,
  'dict': dict,
  'complex': lambda parts: complex(*parts),
  'range': lambda parts: range(*parts),
  'bytes': bytes.fromhex,
  'Decimal': _decimal,
  'Fraction': _fraction,
  'object': lambda _: Opaque(),
  'array': lambda _: Opaque(),
}  # the tests' process, where numpy is loaded, makes one


def decode(value):
  """The value of a form, from json.loads. Raises ValueError for anything that encode does not make."""
  if isinstance(value, list):
    return [decode(x) for x in value]
  if not isinstance(value, dict):
    return value
  try:
    ((kind, content),) = value.items()
    return _MAKE[kind](decode(content))
  except (TypeError, KeyError, ArithmeticError) as e:
    raise ValueError(f'not an encoded value: {e!r}') from e
