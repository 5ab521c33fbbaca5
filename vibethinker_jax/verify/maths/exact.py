r"""Whether two parsed expressions are the same number, or the same function of their variables.

Nothing here trusts a comparison of floats: exact rationals where both sides are rational, otherwise both sides to
100 digits and four more for each digit in the size of every number that occurs, so that e^{-50} and e^{-60},
10^{30}\sqrt2 and 10^{30}\sqrt2+1, e^{\pi\sqrt{163}} and the integer near it differ. Imported by workers only (sympy).
"""

from __future__ import annotations

from fractions import Fraction
import math
import random

import mpmath
from mpmath import mp
import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import AppliedUndef

DIGITS, PER_DIGIT, MOST = 100, 4, 40_000  # of the working precision: at least, per digit of size, at most
BITS = 400_000  # a rational power beyond that many bits is not computed exactly
POINTS = 6  # where functions of variables are compared; two must be usable

# What an answer may be made of, and how that is computed; everything else stands for itself (see _opaque), and only
# where the gold answer has it too (closed.py).
CONSTANTS = {
  sympy.pi: lambda: +mp.pi,
  sympy.E: lambda: +mp.e,
  sympy.I: lambda: mp.mpc(0, 1),
  sympy.EulerGamma: lambda: +mp.euler,
}
FUNCTIONS = {
  name: getattr(mp, name)
  for name in 'exp sin cos tan cot sec csc asin acos atan acot asec acsc sinh cosh tanh coth sech csch '
  'asinh acosh atanh acoth asech acsch'.split()
}


class Undefined(Exception):
  """The expression has no finite value there: 1/0, log 0, an integer that is too large."""


def _number(value):
  """A Fraction as an mpmath number, others as they are."""
  return mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _size(value) -> float:
  """Decimal digits of a value before or after the point, |log10|."""
  if isinstance(value, Fraction):
    return max(value.numerator.bit_length(), value.denominator.bit_length()) * 0.302
  if not value:
    return 0.0
  return abs(float(mp.mag(value))) * 0.302


def _power(base, exponent, real_roots: bool):
  whole = isinstance(exponent, Fraction) and exponent.denominator == 1
  if isinstance(base, Fraction) and whole:
    n = abs(exponent.numerator)
    if base == 0 and exponent < 0:
      raise Undefined
    if n * max(base.numerator.bit_length(), base.denominator.bit_length()) <= BITS or abs(base) in (0, 1):
      return base**exponent.numerator
  number = _number(base)
  if not number:
    if mp.re(_number(exponent)) <= 0:
      raise Undefined
    return Fraction(0)
  if whole:
    return number**exponent.numerator
  odd = isinstance(exponent, Fraction) and exponent.denominator % 2
  if real_roots and odd and mp.im(number) == 0 and mp.re(number) < 0:
    return (-1) ** exponent.numerator * (-mp.re(number)) ** _number(exponent)
  return number ** _number(exponent)


class _Evaluation:
  """The value of expressions at a point. size: digits that the numbers of the expression take, summed."""

  def __init__(self, at: dict, real_roots: bool):
    self.at, self.real_roots, self.size = at, real_roots, 0.0

  def value(self, e):
    """A Fraction, exact, or an mpmath number at mp's precision. Raises Undefined."""
    result = self._value(e)
    if not isinstance(result, Fraction) and not mp.isfinite(result):
      raise Undefined
    self.size += _size(result)
    if self.size * PER_DIGIT > MOST * 4:
      raise Undefined
    return result

  def _value(self, e):
    if e.is_Rational:
      return Fraction(int(e.p), int(e.q))
    if e.is_Float:
      return Fraction(str(e))
    if e in CONSTANTS:
      return CONSTANTS[e]()
    if e.is_Symbol:
      return self.at[e.name]
    if e.is_Add or e.is_Mul:
      values = [self.value(part) for part in e.args]
      exact = [v for v in values if isinstance(v, Fraction)]
      total = sum(exact, Fraction(0)) if e.is_Add else math.prod(exact, start=Fraction(1))
      rest = [v for v in values if not isinstance(v, Fraction)]
      if not rest or e.is_Mul and total == 0:
        return total
      for v in rest:
        total = _number(total) + v if e.is_Add else _number(total) * v
      return total
    if e.is_Pow:
      return _power(self.value(e.base), self.value(e.exp), self.real_roots)
    name = type(e).__name__
    if isinstance(e, sympy.UnevaluatedExpr):
      return self.value(e.args[0])
    if isinstance(e, AppliedUndef):
      return _opaque(name, tuple(self.value(part) for part in e.args), self.at)
    if name in FUNCTIONS or name in ('factorial', 'binomial', 'log', 'Abs', 'floor', 'ceiling', 'Max', 'Min'):
      return self._function(name, [self.value(part) for part in e.args])
    done = e.doit()
    if done != e:
      return self.value(done)
    canonical = e.as_dummy() if hasattr(e, 'as_dummy') else e
    if not canonical.free_symbols:
      return self._library(canonical)
    return _opaque(str(canonical), (), self.at)

  def _function(self, name: str, args: list):
    if all(isinstance(v, Fraction) and v.denominator == 1 for v in args):
      whole = [v.numerator for v in args]
      if name == 'factorial' and whole[0] < 0 or max(map(abs, whole)) > 10**5 and name in ('factorial', 'binomial'):
        raise Undefined
      if name == 'factorial':
        return Fraction(math.factorial(whole[0]))
      if name == 'binomial' and whole[0] >= 0:
        return Fraction(math.comb(*whole)) if whole[1] >= 0 else Fraction(0)
    if all(isinstance(v, Fraction) for v in args) and name in ('Abs', 'floor', 'ceiling', 'Max', 'Min'):
      chosen = {'Abs': abs, 'floor': math.floor, 'ceiling': math.ceil, 'Max': max, 'Min': min}[name]
      return Fraction(chosen(*args) if len(args) > 1 or name not in ('Max', 'Min') else args[0])
    numbers = [_number(v) for v in args]
    try:
      if name == 'log':
        if not numbers[0] or len(numbers) > 1 and numbers[1] in (0, 1):
          raise Undefined
        return mp.log(numbers[0]) / (mp.log(numbers[1]) if len(numbers) > 1 else 1)
      if name in ('floor', 'ceiling', 'Max', 'Min'):
        if any(mp.im(v) for v in numbers):
          raise Undefined
        if name in ('Max', 'Min'):
          return (max if name == 'Max' else min)(numbers)
        near = mp.nint(numbers[0])  # an integer, as far as the digits tell
        close = abs(numbers[0] - near) < mp.mpf(10) ** (-mp.dps // 2)
        return Fraction(int(near if close else {'floor': mp.floor, 'ceiling': mp.ceil}[name](numbers[0])))
      if name == 'Abs':
        return abs(numbers[0])
      if name in ('factorial', 'binomial'):
        return {'factorial': mp.factorial, 'binomial': mp.binomial}[name](*numbers)
      if name in ('tanh', 'coth'):  # 1 up to e^{-2x}
        self.size += 0.87 * float(abs(mp.re(numbers[0])))
      return FUNCTIONS[name](*numbers)
    except (ValueError, ZeroDivisionError, OverflowError) as e:
      raise Undefined from e

  def _library(self, e):
    """What only sympy can compute, as an integral without a closed form that gold and answer both have."""
    found = e.evalf(mp.dps if mp.dps <= DIGITS else DIGITS)
    if not found.is_number or not found.is_finite:
      return _opaque(str(e), (), self.at)
    re, im = found.as_real_imag()
    return mp.mpc(mp.mpf(str(re)), mp.mpf(str(im)))


def _opaque(name: str, args: tuple, at: dict):
  """A value for what nothing is known of: the same for the same name and arguments."""
  digits = ','.join(mp.nstr(_number(v), 30) for v in args)
  return Fraction(random.Random(f'{name}({digits})').randrange(10**6, 10**7), 3_333_331)


def _both(g, a, at: dict, real_roots: bool):
  """(value of g, value of a) at a point with digits enough to tell them apart. Raises Undefined."""
  mp.dps = 50
  try:
    x, y, size = _values(g, a, at, real_roots)
  except Undefined:  # perhaps for want of digits only: 1/(\\sqrt{10^{100}+1}-10^{50})
    mp.dps = 2000
    x, y, size = _values(g, a, at, real_roots)
  if isinstance(x, Fraction) and isinstance(y, Fraction):
    return x, y
  mp.dps = int(DIGITS + PER_DIGIT * size)
  if mp.dps > MOST:
    raise Undefined
  return _values(g, a, at, real_roots)[:2]


def _values(g, a, at: dict, real_roots: bool):
  here = _Evaluation(at, real_roots)
  return here.value(g), here.value(a), here.size


def _close(x, y) -> bool:
  if isinstance(x, Fraction) and isinstance(y, Fraction):
    return x == y
  return abs(_number(x) - _number(y)) < mp.mpf(10) ** -(mp.dps // 2)


def _points(names: list[str], scale: float, whole: bool):
  """Rational points: near 0, of both signs, and beyond every constant, where |x-1000| is no longer 1000-x. whole:
  positive integers, for factorials."""
  rng = random.Random(','.join(names))
  for trial in range(2 * POINTS if whole else POINTS):
    far = Fraction(1) if trial < 4 else Fraction(int(3 * scale) + 7)
    signed = trial % 4 > 1 or trial == 5
    values = [
      Fraction(rng.randrange(1, 40))
      if whole
      else far * (rng.choice((1, -1)) if signed else 1) * Fraction(rng.randrange(300, 3000), 997)
      for _ in names
    ]
    yield dict(zip(names, values)) | {'i': mp.mpc(0, 1)}


def _between(names: list[str], g, a):
  """Points between the constants of two expressions: |x-5|+|x-6| and |2x-11| differ there only."""
  knots = {Fraction(int(n.p), int(n.q)) for e in (g, a) for n in e.atoms(sympy.Rational) if abs(n) < 10**6}
  knots = sorted(knots | {-k for k in knots} | {Fraction(0)})
  middle = [(3 * x + 4 * y) / 7 for x, y in zip(knots, knots[1:])][:16]
  return [
    {name: middle[(i + k) % len(middle)] for k, name in enumerate(names)} | {'i': mp.mpc(0, 1)}
    for i in range(len(middle))
  ]


def _real(x) -> bool:
  return isinstance(x, Fraction) or abs(mp.im(x)) < mp.mpf(10) ** -(mp.dps // 2)


def _agree(g, a, names: list[str], real_roots: bool) -> bool:
  if not names:
    try:
      return _close(*_both(g, a, {'i': mp.mpc(0, 1)}, real_roots))
    except (Undefined, KeyError):
      return False
  scale = max((abs(float(n)) for e in (g, a) for n in e.atoms(sympy.Rational) if abs(n) < 10**6), default=1.0)
  real, others = [], []  # where both are real; some formulas are for x > 0 only
  points = list(_points(names, scale, any(e.has(sympy.factorial, sympy.binomial) for e in (g, a))))
  if any(e.has(sympy.Abs) for e in (g, a)):
    points += _between(names, g, a)
  for at in points:
    try:
      x, y = _both(g, a, at, real_roots)
    except Undefined:
      continue
    (real if _real(x) and _real(y) else others).append(_close(x, y))
  counted = real if len(real) > 1 else real + others
  return len(counted) >= 2 and all(counted)


def same(g, a) -> bool:
  """Whether two sympy expressions are equal: exactly if rational, else to the digits that their size asks for.

  Functions of variables are compared at rational points at which both are real, or everywhere if that is nowhere.
  A root of a negative number is the principal one on both sides, or the real one on both sides. i is the imaginary
  unit.
  """
  if sympy.zoo in (g, a) or g.has(sympy.nan) or a.has(sympy.nan):
    return False
  if any(e.has(ExprWithLimits) for e in (g, a)) and g.as_dummy() == a.as_dummy():
    return True
  if g.has(sympy.oo, -sympy.oo) or a.has(sympy.oo, -sympy.oo):
    g, a = g.doit(), a.doit()
    return g == a and g in (sympy.oo, -sympy.oo)
  names = sorted({s.name for e in (g, a) for s in e.free_symbols} - {'i'})
  before = mp.dps
  try:
    if _agree(g, a, names, False):
      return True
    roots = any(
      p.exp.is_Rational and p.exp.q % 2 and p.exp.q > 1 or p.exp.is_Mul or p.exp.is_Pow
      for e in (g, a)
      for p in e.atoms(sympy.Pow)
    )
    return roots and _agree(g, a, names, True)
  except (OverflowError, mpmath.libmp.NoConvergence, ZeroDivisionError):
    return False
  finally:
    mp.dps = before


def rounding(g, number: Fraction, places: int) -> bool:
  """Whether number, written with that many digits after the point, is the correct rounding of the constant g.

  Only for a g that no decimal equals (an irrational number or a repeating fraction); False for all others."""
  if g.free_symbols - {s for s in g.free_symbols if s.name == 'i'}:
    return False
  before = mp.dps
  try:
    x, _ = _both(g, sympy.Rational(number.numerator, number.denominator), {'i': mp.mpc(0, 1)}, False)
    if isinstance(x, Fraction):
      rest = x.denominator
      for p in (2, 5):
        while rest % p == 0:
          rest //= p
      return rest > 1 and abs(x - number) * 2 * 10**places <= 1
    return _real(x) and abs(mp.re(x) - _number(number)) * 2 * mp.mpf(10) ** places <= 1
  except (Undefined, KeyError, OverflowError, ZeroDivisionError):
    return False
  finally:
    mp.dps = before


def matched(golds, answers, equal) -> bool:
  """Whether each gold has its own equal answer, and none is left."""
  left = list(answers)
  if len(left) != len(golds):
    return False
  for gold in golds:
    found = next((i for i, answer in enumerate(left) if equal(gold, answer)), None)
    if found is None:
      return False
    del left[found]
  return True


def near(g, number, places: int) -> bool:
  """Whether number, with that many digits after the point, is g rounded or cut off there."""
  before = mp.dps
  try:
    x, y = map(_number, _both(g, number, {'i': mp.mpc(0, 1)}, False))
    units = (abs(x) - abs(y)) * mp.mpf(10) ** places
    return (x > 0) == (y > 0) and -0.5 <= units < 1
  except (Undefined, KeyError, OverflowError, ZeroDivisionError, TypeError):
    return False
  finally:
    mp.dps = before
