"""What programs of the code problems go through: what is kept, changed and collected, and the programs that do it."""

from collections.abc import Callable
import random
from typing import NamedTuple

from vibethinker_jax.data.synthetic.problem import Draft


class Step(NamedTuple):
  """One choice of a pipeline: its words, its Python text over {x}, and its meaning."""

  words: str
  text: str
  apply: Callable


class Collect(NamedTuple):
  """How items are collected: comprehension, start value, loop line, recursive combination, meaning."""

  words: str
  short: str
  start: str
  line: str
  combine: str
  apply: Callable


class Items(NamedTuple):
  """What a program goes through.

  Attributes:
    arguments: of solve. item: the name of one, 'x' or 'a, b'. every: all of them.
    end: the test of the recursion for none. rest: the line that binds `rest`, the result for all but the first.
  """

  arguments: str
  item: str
  every: str
  end: str
  rest: str


KEEPS = {
  'above': ('{{x}} > {k}', lambda k: lambda x: x > k),
  'below': ('{{x}} < {k}', lambda k: lambda x: x < k),
  'at least': ('{{x}} >= {k}', lambda k: lambda x: x >= k),
  'not': ('{{x}} != {k}', lambda k: lambda x: x != k),
  'multiple of': ('{{x}} % {k} == 0', lambda k: lambda x: x % k == 0),
}
CHANGES = {
  'plus': ('{{x}} + {k}', lambda k: lambda x: x + k),
  'minus': ('{{x}} - {k}', lambda k: lambda x: x - k),
  'times': ('{{x}} * {k}', lambda k: lambda x: x * k),
  'mod': ('{{x}} % {k}', lambda k: lambda x: x % k),
}
COLLECTS = (
  Collect('the list of', '[{v} for {x} in {xs}{if_}]', '[]', 'out.append({v})', '[{v}] + rest', list),
  Collect('the sum of', 'sum({v} for {x} in {xs}{if_})', '0', 'out += {v}', 'rest + {v}', sum),
  Collect('the count of', 'sum(1 for {x} in {xs}{if_})', '0', 'out += 1', 'rest + 1', len),
  Collect(
    'the largest of 0 and',
    'max([0] + [{v} for {x} in {xs}{if_}])',
    '0',
    'out = max(out, {v})',
    'max({v}, rest)',
    lambda items: max([0, *items]),
  ),
)
LETTERS = 'abcdefghijklmnopqrstuvwxyz'


def keep(rng: random.Random, low: int = 0, high: int = 20, kinds: tuple = (*KEEPS,)) -> tuple[str, int, Step]:
  kind = rng.choice(kinds)
  k = rng.randint(max(low, 2), 12) if kind == 'multiple of' else rng.randint(low, high)
  text, meaning = KEEPS[kind]
  return kind, k, Step(f'{kind} {k}', text.format(k=k), meaning(k))


def change(rng: random.Random, high: int = 20) -> tuple[str, int, Step]:
  kind = rng.choice((*CHANGES,))
  k = rng.randint(2, high)
  text, meaning = CHANGES[kind]
  return kind, k, Step(f'{kind} {k}', text.format(k=k), meaning(k))


def fenced(arguments: str, *lines: str) -> str:
  body = '\n  '.join(lines)
  return f'\n```python\ndef solve({arguments}):\n  {body}\n```'


def draft(
  key: tuple, words: str, arguments: str, final: dict[str, str], solutions: dict[str, str], cases: list
) -> Draft:
  tests = {'function': 'solve', 'cases': [{'args': args, 'expected': expected} for args, expected in cases]}
  return Draft(key, f'write solve({arguments}): {words}', '', solutions, final, tests)


def plans(keeps: list[Step], changes: list[Step], collect: Collect, third: str = 'recursion') -> dict[str, str]:
  """The careful plan names every part in order; the short one is nearly empty."""
  parts = [f'keep {step.words}' for step in keeps] + [step.words for step in changes]
  return {
    'short': 'one line',
    'loop': f'loop: {", ".join([*parts, collect.words.split()[1]])}, start {collect.start}',
    third: 'first and rest' if third == 'recursion' else f'index i: {", ".join(parts)}',
  }


def lists(a: int, b: int) -> list[list[int]]:
  """Six lists that tell neighbouring constants apart: empty, zero, negative, around a and b."""
  return [
    [],
    [0],
    [a - 1, a, a + 1, b, 1],
    [3, -2, 8, 5, -7, 12, a],
    [2 * a, 1, b + 1, -a, 6, 9, a * b],
    [10, 7, 24, 6, 30, 21, 15, a + b],
  ]


def pipe(keeps: list[Step], changes: list[Step], collect: Collect, items: list) -> object:
  """The exact meaning of a pipeline, from the steps themselves and not from the generated text."""
  for step in keeps:
    items = [item for item in items if step.apply(item)]
  for step in changes:
    items = [step.apply(item) for item in items]
  return collect.apply(items)


def value(changes: list[Step], x: str) -> str:
  """[plus 2, times 3] on x -> '(x + 2) * 3'."""
  for i, step in enumerate(changes):
    x = step.text.format(x=x if i == 0 else f'({x})')
  return x


def listed(keeps: list[Step], changes: list[Step], collect: Collect) -> dict[str, str]:
  """The three programs of a pipeline over the numbers of xs."""
  v, condition = value(changes, 'x'), ' and '.join(step.text.format(x='x') for step in keeps)
  items = Items('xs', 'x', 'xs', 'if not xs:', 'x, rest = xs[0], solve(xs[1:])')
  return programs(items, collect, (v, condition), (v, condition))


def programs(items: Items, collect: Collect, each: tuple[str, str], first: tuple[str, str]) -> dict[str, str]:
  """Short, loop and recursion; `each` item's value and the condition for it ('' for always), and those of the first."""
  arguments, (v, condition) = items.arguments, each
  test = f' if {condition}' if condition else ''
  line = collect.line.format(v=v)
  inner = [f'  if {condition}:', f'    {line}'] if condition else [f'  {line}']
  combined = collect.combine.format(v=first[0]) + (f' if {first[1]} else rest' if condition else '')
  return {
    'short': fenced(arguments, 'return ' + collect.short.format(v=v, x=items.item, xs=items.every, if_=test)),
    'loop': fenced(arguments, f'out = {collect.start}', f'for {items.item} in {items.every}:', *inner, 'return out'),
    'recursion': fenced(arguments, items.end, f'  return {collect.start}', items.rest, f'return {combined}'),
  }


def described(collect: Collect, noun: str, keeps: list[Step], changes: list[Step]) -> str:
  """'the sum of x plus 3 for x in xs above 5 and not 8'."""
  each = ''.join(f'{" then" if i else ""} {step.words}' for i, step in enumerate(changes))
  kept = ' and '.join(step.words for step in keeps)
  return f'{collect.words} {noun}{" " + kept if kept else ""}{"," + each if each else ""}'
