"""Exact arithmetic in steps small enough for a tiny model to learn: digits and operators, no words."""

from math import gcd


def places(number: int) -> list[int]:
  """148 -> [100, 40, 8]; 30 -> [30]; 0 -> [0]."""
  if number < 10:
    return [number]
  digits = str(number)
  return [int(digit) * 10 ** (len(digits) - 1 - i) for i, digit in enumerate(digits) if digit != '0']


def plus(a: int, b: int) -> str:
  """'48+37=48+30+7=78+7=85': the second number is added place by place; both are >= 0."""
  if b < 10 or a < 10:
    return f'{a}+{b}={a + b}'
  return f'{a}+{b}={steps(a, places(b), "+")}' if b % 10 else f'{a}+{b}={a + b}'


def minus(a: int, b: int) -> str:
  """'85-37=85-30-7=55-7=48', '37-85=-48': the second number is taken away place by place; both are >= 0."""
  if b < 10 or a <= b or not b % 10:
    return f'{a}-{b}={a - b}'
  return f'{a}-{b}={steps(a, places(b), "-")}'


def steps(start: int, parts: list[int], sign: str) -> str:
  """(48, [30, 7], '+') -> '48+30+7=78+7=85'."""
  out = [sign.join(map(str, [start, *parts]))]
  while parts:
    start = start + parts[0] if sign == '+' else start - parts[0]
    parts = parts[1:]
    out.append(sign.join(map(str, [start, *parts])))
  return '='.join(out)


def total(numbers: list[int]) -> str:
  """[3, 5, 8] -> '3+5+8=8+8=16': a running sum of numbers >= 0."""
  return steps(numbers[0], list(numbers[1:]), '+')


def times(a: int, b: int) -> str:
  """'17*6=10*6+7*6=60+42=102', '17*16=10*10+10*6+7*10+7*6=...': digit by digit; both are >= 0."""
  if (a < 10 and b < 10) or a in (0, 1, 10, 100) or b in (0, 1, 10, 100):
    return f'{a}*{b}={a * b}'
  pairs = [(x, y) for x in places(a) for y in places(b)]
  if len(pairs) == 1:
    return f'{a}*{b}={a * b}'
  return f'{a}*{b}={"+".join(f"{x}*{y}" for x, y in pairs)}={total([x * y for x, y in pairs])}'


def divide(a: int, b: int) -> str:
  """'84/6=60/6+24/6=10+4=14': an exact division, tens first; a >= 0, b > 0, b divides a.

  The tens of the quotient are split off when both parts are there ('90/3=30' and '24/6=4' stay one step).
  """
  quotient = a // b
  tens = quotient // 10 * 10
  if b == 1 or tens in (0, quotient):
    return f'{a}/{b}={quotient}'
  return f'{a}/{b}={tens * b}/{b}+{a - tens * b}/{b}={tens}+{quotient - tens}={quotient}'


def reduce(a: int, b: int) -> str:
  """'6/4=3/2', '8/4=2', '3/4' (already reduced): a fraction and its reduced form; b > 0."""
  divisor = gcd(a, b)
  if divisor == 1 and b != 1:
    return f'{a}/{b}'
  return f'{a}/{b}={a // divisor}' if b == divisor else f'{a}/{b}={a // divisor}/{b // divisor}'


def ratio(a: int, b: int) -> str:
  """'3/2', '-2', '0': a/b reduced, as `problem.fraction` writes it, without the cost of a Fraction; b > 0."""
  divisor = gcd(a, b)
  return str(a // divisor) if b == divisor else f'{a // divisor}/{b // divisor}'


def signed(number: int) -> str:
  """'+3', '-3', '+0': a number that follows another one in a sum."""
  return f'+{number}' if number >= 0 else str(number)


def term(factor: int, name: str) -> str:
  """(1, 'x') -> 'x', (-1, 'x') -> '-x', (3, 'x') -> '3x'."""
  return name if factor == 1 else f'-{name}' if factor == -1 else f'{factor}{name}'


def signed_term(factor: int, name: str) -> str:
  """(-1, 'x') -> '-x', (3, 'x') -> '+3x', (0, 'x') -> '': a term that follows another one."""
  return '' if not factor else ('+' if factor > 0 else '') + term(factor, name)
