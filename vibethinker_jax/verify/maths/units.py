r"""Units at the end of an answer: which, and how they convert. Exact rationals, no symbolic work.

strip_unit('5\\text{ cm}^2') == '5'
measure('180\\text{ minutes}') == ('time', 1, Fraction(60))
"""

from __future__ import annotations

from fractions import Fraction
import re

from vibethinker_jax.verify.maths import plain

_INCH, _POUND = Fraction('0.0254'), Fraction('453.59237')
# dimension -> spellings (a final s may be added) -> size in the dimension's own unit
_SIZES = {
  'length': {
    'm|meter|metre': 1,
    'km|kilometer|kilometre': 1000,
    'dm': Fraction(1, 10),
    'cm|centimeter|centimetre': Fraction(1, 100),
    'mm|millimeter|millimetre': Fraction(1, 1000),
    'in|in.|inch|inche': _INCH,
    'ft|ft.|foot|feet': 12 * _INCH,
    'yard': 36 * _INCH,
    'mile|mi': 63360 * _INCH,
  },
  'time': {'s|sec|second': 1, 'min|minute': 60, 'h|hr|hour': 3600, 'day': 86400, 'week': 604800},
  'mass': {
    'g|gram': 1,
    'mg': Fraction(1, 1000),
    'kg|kilogram': 1000,
    'gm': 1,
    'lb|pound': _POUND,
    'ounce|oz': _POUND / 16,
  },
  'calendar': {'month': 1, 'year': 12},
  'speed': {
    'm/s|meters per second': 1,
    'km/h|kilometers per hour': Fraction(5, 18),
    'cm/s': Fraction(1, 100),
    'mph|miles per hour|mi/h|mi/hr': 63360 * _INCH / 3600,
    'ft/s|feet per second': 12 * _INCH,
  },
  'volume': {'l|liter|litre': 1, 'ml': Fraction(1, 1000), 'gallon': 231000 * _INCH**3},
  'euros': {'euro': 1},
  'energy': {'joule': 1},
  'power': {'watt': 1},
  'voltage': {'volt': 1},
  'force': {'newton': 1},
  'money': {'dollar|usd': 100, 'cent': 1},
}
_KNOWN = {
  spelling: (dimension, Fraction(size))
  for dimension, table in _SIZES.items()
  for spellings, size in table.items()
  for spelling in spellings.split('|')
}

_LENGTHS = (
  'units?|inch(?:es)?|feet|foot|yards?|miles?|mi|meters?|metres?|centimeters?|centimetres?|millimeters?'
  '|kilometers?|kilometres?|mm|cm|dm|km|m|in\\.?|ft\\.?'
)
_UNITS = (
  'degrees?|radians?|rad|deg|(?:different|distinct|possible|total) [a-z]+'
  '|(?:square|cubic|sq\\.?|cu\\.?) *(?:'
  + _LENGTHS
  + ')|'
  + _LENGTHS
  + '|mph|km/h|m/s|cm/s|seconds?|sec|s|minutes?|min|hours?|hrs?|h|days?|weeks?|months?|years?|dollars?|cents?'
  '|usd|euros?|pounds?|grams?|gm|kilograms?|kg|mg|g|lbs?|ounces?|oz|liters?|litres?|ml|l|gallons?|people|persons?'
  '|students?|ways?|points?|coins?|apples?|books?|marbles?|children|boys?|girls?|men|women|cards?|balls?|pages?|games?'
  '|tickets?|cookies|oranges?|pieces?|cubes?|squares?|triangles?|sides?|edges?|faces?|vertices|diagonals?|solutions?'
  '|integers?|numbers?|digits|factors?|divisors?|values|pairs|triples|sequences|subsets|functions|paths?|routes?'
  '|arrangements?|permutations?|combinations?|committees?|outcomes?|possibilities|choices|votes?|cars?|dogs?|cats?'
  '|miles per hour|kilometers per hour|meters per second|feet per second|mi/hr?|ft/s|rpm|revolutions|cents? per [a-z]+'
  '|dollars per [a-z]+|newtons?|joules?|watts?|volts?|hertz|kcal|moles?'
)
_UNIT = re.compile(
  r'(?:(?:\\[ ,;]|~)*\\(?:text|math(?:rm|bf|sf|it)|operatorname)\s*\{'
  r'(?:\\[ ,;]|~|\s)*(?P<word>' + _UNITS + r')(?:\^\{?(?P<inner>[23])\}?)?\.?\s*\}'
  r'|(?<=[0-9}$])(?:\\ | )\s*(?P<bare>' + _UNITS + r')|(?<=[0-9])(?P<close>cm|mm|km|kg|mg|ml|mph|ft|feet|inches'
  r'|miles|meters))\s*(?:\^\s*\{?(?P<power>[23])\}?)?\s*\.?$',
  re.IGNORECASE,
)


def strip_unit(text: str) -> str:
  r"""Removes one trailing unit ('5\text{ cm}^2' -> '5'); text other than a known unit stays, it may be a
  hedge."""
  stripped = _UNIT.sub('', text).rstrip()
  return stripped if stripped else text


def measure(text: str) -> tuple[str, int, Fraction] | None:
  """(dimension, power, size) of the trailing unit, None without one or for one that nothing converts to."""
  match = _UNIT.search(plain.fonts(text))
  if not match:
    return ('money', 1, Fraction(100)) if text.lstrip('-$ ').startswith('\\$') else None
  name = (match['word'] or match['bare'] or match['close']).lower()
  power = int(match['power'] or match['inner'] or 1)
  for word, its in (('square', 2), ('sq', 2), ('cubic', 3), ('cu', 3)):
    if name.startswith(word):
      name, power = name[len(word) :].lstrip('. '), its
  dimension, size = _KNOWN.get(name) or _KNOWN.get(name.rstrip('s')) or (None, Fraction(1))
  return (dimension, power, size**power) if dimension else None
