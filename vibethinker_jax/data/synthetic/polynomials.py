"""Polynomials and sums as people write them, for worked solutions."""

import random

from vibethinker_jax.data.synthetic.working import signed, term


def poly(coefficients: list[int], x: str = 'x') -> str:
  """[2, 0, -3] -> '2x^2-3'; [0] -> '0'."""
  degree, out = len(coefficients) - 1, ''
  for i, factor in enumerate(coefficients):
    if factor:
      power = degree - i
      name = term(factor, x if power == 1 else f'{x}^{power}') if power else str(factor)
      out += f'+{name}' if out and factor > 0 else name
  return out or '0'


def derivative(coefficients: list[int]) -> list[int]:
  """[2, 5, 4] -> [4, 5]: the coefficients of the derivative."""
  degree = len(coefficients) - 1
  return [factor * (degree - i) for i, factor in enumerate(coefficients[:-1])]


def value(coefficients: list[int], x: int) -> int:
  """[2, 5, 4] at 3 -> 37."""
  result = 0
  for factor in coefficients:
    result = result * x + factor
  return result


def add(a: int, b: int) -> str:
  """'48+37=78+7=85', '85-37=55-7=48', '3-8=-5', '-3-4=-7': a sum of signed numbers, tens before ones."""
  size = abs(b)
  if a < 10 or size < 10 or size % 10 == 0 or (b < 0 and size > a):
    return f'{a}{signed(b)}={a + b}'
  ones = size % 10 if b > 0 else -(size % 10)
  return f'{a}{signed(b)}={a + b - ones}{signed(ones)}={a + b}'


def mul(a: int, b: int) -> str:
  """'17*6=60+42=102', '-3*4=-12': a product of signed numbers, the longer one split into tens and ones."""
  if abs(a) < abs(b):
    a, b = b, a
  if abs(a) < 10 or a % 10 == 0 or abs(b) == 1 or abs(a) == 11 or b == 0:
    return f'{a}*{b}={a * b}'
  ones = a % 10 if a > 0 else -(-a % 10)
  return f'{a}*{b}={(a - ones) * b}{signed(ones * b)}={a * b}'


def horner(coefficients: list[int], x: int) -> str:
  """[2, 5, 4] at 3 -> '2*3=6, 6+5=11, 11*3=33, 33+4=37': multiply, add, multiply, add."""
  result, out = coefficients[0], []
  for factor in coefficients[1:]:
    if result and x != 1 and (result != 1 or not factor):
      out.append(mul(result, x))
    result *= x
    if factor:
      out.append(add(result, factor))
    result += factor
  return ', '.join(out) if out else f'{result}'


def powers(coefficients: list[int], x: int) -> str:
  """[2, 5, 4] at 3 -> '3*3=9, 2*9=18, 5*3=15, 18+15=33, 33+4=37': term by term."""
  degree, out, terms = len(coefficients) - 1, [], []
  for i, factor in enumerate(coefficients):
    power = degree - i
    if not factor:
      continue
    if power > 1 and x not in (0, 1):
      out.append(f'{"*".join([str(x)] * power)}={x**power}' if x >= 0 else f'({x})^{power}={x**power}')
    if power and factor != 1 and x not in (0, 1):
      out.append(mul(factor, x**power))
    terms.append(factor * x**power)
  return ', '.join([*out, *sums(terms)]) or '0'


def sums(numbers: list[int]) -> list[str]:
  """[12, 5, -3] -> ['12+5=17', '17-3=14']: a running sum of signed numbers."""
  result, out = numbers[0] if numbers else 0, []
  for number in numbers[1:]:
    out.append(add(result, number))
    result += number
  return out or [str(result)]


def run(numbers: list[int]) -> str:
  """[1, 2, 3] -> '1+2+3=6'."""
  return f'{"+".join(map(str, numbers))}={sum(numbers)}'


def nonzero(rng: random.Random, limit: int) -> int:
  return rng.choice((-1, 1)) * rng.randint(1, limit)
