"""Checks the arithmetic in worked solutions: every `a=b=c` chain of plain numbers must hold."""

from fractions import Fraction
import functools
import random
import re

# A chain ends at punctuation (not the point of 1.5) and at a space beside a word or between two numbers.
BREAK = re.compile(r'[,;:?!]|\.(?!\d)|\s+(?=[^\s+\-*/^=().\d])|(?<=[a-z])\s+|(?<=[\d)])\s+(?=[\d(])')


def wrong_equalities(text: str) -> list[str]:
  """'so 2*3=6 and 1+1=3' -> ['1+1=3']: the equalities of pure arithmetic that do not hold.

  A chain next to a letter ('2x=6', 'x=3+1=5') keeps only its sides that are whole numeric expressions, so of
  'x=3+1=5' the part '3+1=5' is checked and reported.
  """
  wrong = []
  for piece in BREAK.split(text):
    sides = [side.strip() for side in piece.split('=')]
    values = [evaluate(side) for side in sides]
    for i in range(len(sides) - 1):
      if values[i] is not None and values[i + 1] is not None and values[i] != values[i + 1]:
        wrong.append(f'{sides[i]}={sides[i + 1]}')
  return wrong


def checked_equalities(text: str) -> int:
  """How many equalities `wrong_equalities` really compares: a trace without any would pass unchecked."""
  count = 0
  for piece in BREAK.split(text):
    values = [evaluate(side.strip()) for side in piece.split('=')]
    count += sum(a is not None and b is not None for a, b in zip(values, values[1:]))
  return count


@functools.cache
def evaluate(expression: str) -> Fraction | None:
  """'-(3+1)/2' -> Fraction(-2); None where the text is not a whole expression of numbers.

  Precedence is the usual one: ^ (right to left, whole exponents), unary minus, * and /, + and -.
  """
  tokens = re.findall(r'\d+\.\d+|\d+|[+\-*/^()]|\S', expression)
  position = 0

  def peek():
    return tokens[position] if position < len(tokens) else ''

  def take():
    nonlocal position
    position += 1
    return tokens[position - 1]

  def sums():
    value = products()
    while peek() in ('+', '-'):
      value = value + products() if take() == '+' else value - products()
    return value

  def products():
    value = signs()
    while peek() in ('*', '/'):
      value = value * signs() if take() == '*' else value / signs()
    return value

  def signs():
    if peek() in ('-', '+'):
      return -signs() if take() == '-' else signs()
    return powers()

  def powers():
    base = atom()
    if peek() != '^':
      return base
    take()
    exponent = signs()
    if exponent.denominator != 1 or abs(exponent) > 64:
      raise ValueError(f'exponent {exponent}')
    return Fraction(base) ** int(exponent)

  def atom():
    if peek() == '(':
      take()
      value = sums()
      if peek() != ')':
        raise ValueError('unbalanced')
      take()
      return value
    if not peek() or not peek()[0].isdigit():
      raise ValueError(f'no number at {peek()!r}')
    return Fraction(take())

  try:
    value = sums()
  except (ValueError, ZeroDivisionError):
    return None
  return value if position == len(tokens) else None


def last_number(text: str) -> str:
  """'x=6/4=3/2.' -> '3/2': the last integer, decimal or fraction in a text, signed."""
  found = re.findall(r'(?<![\d)a-z])-?\d+(?:\.\d+)?(?:/\d+)?|\d+(?:\.\d+)?(?:/\d+)?', text)
  return found[-1] if found else ''


def trace_tokens(text: str) -> int:
  """How many tokens a text costs at about one per word, digit and sign."""
  return len(re.findall(r'[a-z]+|\d|[^\sa-z\d]', text.lower()))


def draws(template, level: int, count: int, seed: int = 0) -> list:
  """The first drafts of a template at a level under a seed."""
  rng = random.Random(seed)
  return [template(rng, level) for _ in range(count)]
