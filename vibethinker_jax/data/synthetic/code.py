"""Small programming problems: write `solve`, checked by running it on six cases.

A problem is a pipeline over items (numbers of a list, slices, neighbours, two lists, 1..n, letters): keep
some, change each, collect. Three styles write the same pipeline: `short` (one comprehension), `loop` (an
accumulator, after a plan that names every part), `recursion` (first item and the rest; for slices `index`).
"""

from collections.abc import Callable
import random

from vibethinker_jax.data.synthetic.pipelines import (
  COLLECTS,
  LETTERS,
  Items,
  change,
  described,
  draft,
  fenced,
  keep,
  listed,
  lists,
  pipe,
  plans,
  programs,
  value,
)
from vibethinker_jax.data.synthetic.problem import Draft

# Two conditions of one problem come from different groups, so that no pair is written in both orders.
LOWER, UPPER = ('above', 'at least'), ('below', 'not', 'multiple of')
LIST, SUM, COUNT, LARGEST = COLLECTS


def filter_numbers(rng: random.Random, level: int) -> Draft:
  """write solve(xs): the sum of numbers in xs above 5."""
  kind, k, kept = keep(rng) if level < 3 else keep(rng, kinds=LOWER)
  keeps, changes, key, other = [kept], [], [kind, k], 3
  if level > 1:
    kind, other, changed = change(rng, 9)
    changes, key = [changed], [*key, kind, other]
  if level > 2:
    kind, third, kept = keep(rng, 2, 40, UPPER)
    keeps, key = [*keeps, kept], [*key, kind, third]
  collect = rng.choice((LIST, SUM, COUNT) if level == 1 else (LIST, SUM, LARGEST))
  return draft(
    (*key, collect.words),
    described(collect, 'numbers in xs', keeps, changes),
    'xs',
    listed(keeps, changes, collect),
    plans(keeps, changes, collect),
    [([xs], pipe(keeps, changes, collect, xs)) for xs in lists(k, other)],
  )


def map_numbers(rng: random.Random, level: int) -> Draft:
  """write solve(xs): the sum of numbers in xs, times 3 then plus 2."""
  kind, k, changed = change(rng, 24 if level == 1 else 9)
  changes, key, other = [changed], [kind, k], 3
  for _ in range(level - 1):
    kind, other, changed = change(rng, 9)
    changes, key = [*changes, changed], [*key, kind, other]
  collect = rng.choice((LIST, SUM, LARGEST))
  return draft(
    (*key, collect.words),
    described(collect, 'numbers in xs', [], changes),
    'xs',
    listed([], changes, collect),
    plans([], changes, collect),
    [([xs], pipe([], changes, collect, xs)) for xs in lists(k, other)],
  )


SLICES = {
  'the first {n}': ('xs[:{n}]', 'i < {n}', 'range(min({n}, len(xs)))', lambda xs, n: xs[:n]),
  'all but the first {n}': ('xs[{n}:]', 'i >= {n}', 'range({n}, len(xs))', lambda xs, n: xs[n:]),
  'the last {n}': ('xs[-{n}:]', 'i >= len(xs) - {n}', 'range(max(0, len(xs) - {n}), len(xs))', lambda xs, n: xs[-n:]),
  'all but the last {n}': ('xs[:-{n}]', 'i < len(xs) - {n}', 'range(len(xs) - {n})', lambda xs, n: xs[:-n]),
  'every {n}th': ('xs[::{n}]', 'i % {n} == 0', 'range(0, len(xs), {n})', lambda xs, n: xs[::n]),
}


def slices(rng: random.Random, level: int) -> Draft:
  """write solve(xs): the sum of the first 3 in xs."""
  name = rng.choice((*SLICES,))
  n = rng.randint(2, 16 if level == 1 else 9)
  part, inside, indices, meaning = SLICES[name]
  part, inside, indices, name = part.format(n=n), inside.format(n=n), indices.format(n=n), name.format(n=n)
  keeps, changes, key, k = [], [], [name], 4
  if level > 1:
    kind, k, changed = change(rng, 9)
    changes, key = [changed], [*key, kind, k]
  if level > 2:
    kind, k, kept = keep(rng)
    keeps, key = [kept], [*key, kind, k]
  collect = rng.choice((LIST, SUM, LARGEST))
  condition = ''.join(step.text.format(x='x') for step in keeps)
  v = value(changes, 'x')
  # A slice without further steps needs no comprehension.
  whole = {LIST: part, SUM: f'sum({part})', LARGEST: f'max([0] + {part})'}
  short = (
    whole[collect]
    if level == 1
    else collect.short.format(v=v, x='x', xs=part, if_=f' if {condition}' if condition else '')
  )
  inner = f'{inside} and {condition}' if condition else inside
  at = collect.line.format(v=value(changes, 'xs[i]'))
  kept = [f'  if {keeps[0].text.format(x="xs[i]")}:', f'    {at}'] if keeps else [f'  {at}']
  final = {
    'short': fenced('xs', f'return {short}'),
    'loop': fenced(
      'xs',
      f'out = {collect.start}',
      'for i, x in enumerate(xs):',
      f'  if {inner}:',
      f'    {collect.line.format(v=v)}',
      'return out',
    ),
    'index': fenced('xs', f'out = {collect.start}', f'for i in {indices}:', *kept, 'return out'),
  }
  written = plans(keeps, changes, collect, 'index')
  written['loop'] = written['loop'].replace('loop: ', f'loop: {name}, ')
  written['index'] = written['index'].removesuffix(': ') if level == 1 else written['index']
  row = [4, -3, 0, k, 11, 5, k + 1, 2, -8, 6, 20, 9, 1, 7, k - 1, 3, 16, 13]
  inputs = [[], [0], row[:n], row[: n + 1], row[: n - 1], row]
  return draft(
    (*key, collect.words),
    described(collect, f'{name} in xs', keeps, changes),
    'xs',
    final,
    written,
    [([xs], pipe(keeps, changes, collect, meaning(xs, n))) for xs in inputs],
  )


MEASURES = {
  '{b} - {a}': lambda a, b: b - a,
  '{a} + {b}': lambda a, b: a + b,
  '{a} * {b}': lambda a, b: a * b,
  'max({a}, {b})': max,
  'min({a}, {b})': min,
}


def paired(
  rng: random.Random, level: int, noun: str, items: Items, first: tuple[str, str], inputs: Callable, pairs: Callable
) -> Draft:
  """A pipeline over pairs a, b: measure, keep by the measure, collect. `first` names those of the first pair."""
  measure = rng.choice((*MEASURES,))
  kind, k, kept = keep(rng)
  changes, key = [], [measure.format(a='a', b='b'), kind, k]
  collect = COUNT if level == 1 else rng.choice((LIST, SUM, LARGEST))
  if level > 2:
    kind, other, changed = change(rng, 9)
    changes, key = [changed], [*key, kind, other]

  def written(a: str, b: str) -> tuple[str, str]:
    plain = measure.format(a=a, b=b)
    bracketed = plain if plain[0] == 'm' else f'({plain})'
    return (
      value(changes, bracketed if changes else plain),
      kept.text.format(x=bracketed if '%' in kept.text else plain),
    )

  v, condition = written('a', 'b')
  cases = [
    (args, pipe([kept], changes, collect, [MEASURES[measure](a, b) for a, b in pairs(*args)])) for args in inputs(k)
  ]
  noun = f'{measure.format(a="a", b="b")} for {noun}'
  return draft(
    (*key, collect.words),
    described(collect, noun, [kept], changes),
    items.arguments,
    programs(items, collect, (v, condition), written(*first)),
    plans([kept], changes, collect),
    cases,
  )


def neighbours(rng: random.Random, level: int) -> Draft:
  """write solve(xs): the count of b - a for neighbours a, b in xs above 3."""
  return paired(
    rng,
    level,
    'neighbours a, b in xs',
    Items('xs', 'a, b', 'zip(xs, xs[1:])', 'if len(xs) < 2:', 'rest = solve(xs[1:])'),
    ('xs[0]', 'xs[1]'),
    lambda k: [[[]], [[0]], [[1, k + 1, 2 * k + 2, 0]], [[5, -2, 8, k, 1]], [[0, k, 1, k + 2]], [[12, 7, 3, 3, 9, 30]]],
    lambda xs: zip(xs, xs[1:]),
  )


def two_lists(rng: random.Random, level: int) -> Draft:
  """write solve(xs, ys): the sum of a * b for a in xs, b in ys above 9."""
  return paired(
    rng,
    level,
    'a in xs, b in ys',
    Items('xs, ys', 'a, b', 'zip(xs, ys)', 'if not xs or not ys:', 'rest = solve(xs[1:], ys[1:])'),
    ('xs[0]', 'ys[0]'),
    lambda k: [
      [[], []],
      [[0], [0]],
      [[1, 2], []],
      [[0, 1, k, 3], [k, k, 1, -4]],
      [[1, 5, k], [k + 1, 2, k + 1, 7]],
      [[9, -6, 4, 12], [3, 8, 4, 30]],
    ],
    zip,
  )


def ranges(rng: random.Random, level: int) -> Draft:
  """write solve(n): the sum of numbers from 1 to n multiple of 3."""
  kind, k, kept = keep(rng, 1) if level < 3 else keep(rng, 1, kinds=LOWER)
  keeps, changes, key, other = [kept], [], [kind, k], 3
  if level > 1:
    kind, other, changed = change(rng, 9)
    changes, key = [changed], [*key, kind, other]
  if level > 2:
    kind, third, kept = keep(rng, 2, 40, UPPER)
    keeps, key = [*keeps, kept], [*key, kind, third]
  collect = rng.choice((LIST, SUM, COUNT) if level == 1 else (LIST, SUM, LARGEST))
  condition = ' and '.join(step.text.format(x='x') for step in keeps)
  v = value(changes, 'x')
  items = Items('n', 'x', 'range(1, n + 1)', 'if n < 1:', 'x, rest = n, solve(n - 1)')
  final = programs(items, collect, (v, condition), (v, condition))
  if collect is LIST:  # The last number comes first here, so it goes to the end.
    final['recursion'] = final['recursion'].replace(f'[{v}] + rest', f'rest + [{v}]')
  return draft(
    (*key, collect.words),
    described(collect, 'numbers from 1 to n', keeps, changes),
    'n',
    final,
    plans(keeps, changes, collect),
    [([n], pipe(keeps, changes, collect, [*range(1, n + 1)])) for n in (0, 1, k, k + 1, 2 * k + 3, 42)],
  )


def text(rng: random.Random, level: int) -> Draft:
  """write solve(s): s without a, with b as c, reversed."""
  a, b, c = rng.sample(LETTERS, 3)
  kind = rng.choice(('swap', 'swap', 'drop', 'double') if level == 1 else ('swap', 'drop'))
  ending = '' if level == 1 else rng.choice(('reversed', 'upper', 'doubled'))
  drop = a if level == 3 or kind == 'drop' else ''
  swap = level == 3 or kind == 'swap'
  double = kind == 'double'
  words, short, key = [], 's', []
  if drop:
    words, short, key = [f'without {a}'], f"s.replace('{a}', '')", ['drop', a]
  if swap:
    words, short, key = [*words, f'with {b} as {c}'], f"{short}.replace('{b}', '{c}')", [*key, 'swap', b, c]
  if double:
    words, short, key = [f'with {b} doubled'], f"s.replace('{b}', '{b}{b}')", ['double', b]
  v = f"'{c}' if c == '{b}' else c" if swap else f"c * 2 if c == '{b}' else c" if double else 'c'
  wrapped = f'({v})' if swap or double else v
  end = {'': '', 'reversed': '[::-1]', 'upper': '.upper()', 'doubled': ' * 2'}[ending]
  if ending:
    words, key = [*words, ending], [*key, ending]
  line = {'': 'out += {}', 'upper': 'out += {}.upper()', 'reversed': 'out = {} + out', 'doubled': 'out += {}'}[ending]
  looped = line.format(v if line.endswith('= {}') else wrapped)
  body = [f"  if c != '{a}':", f'    {looped}'] if drop else [f'  {looped}']
  raised = f'{wrapped}.upper()' if ending == 'upper' else wrapped
  joined = f'rest + {wrapped}' if ending == 'reversed' else f'{raised} + rest'
  first = ('c, rest = s[0], solve(s[1:])', f'return {joined}' + (f" if c != '{a}' else rest" if drop else ''))
  final = {
    'short': fenced('s', f'return {short}{end}'),
    'loop': fenced('s', "out = ''", 'for c in s:', *body, 'return out * 2' if ending == 'doubled' else 'return out'),
  }
  plan = {'short': 'one line', 'loop': f"loop: {', '.join(words)}, start ''"}
  if ending != 'doubled':
    plan['recursion'] = 'first and rest'
    final['recursion'] = fenced('s', 'if not s:', "  return ''", *first)
  else:
    test = f" if c != '{a}'" if drop else ''
    plan['join'] = f'join: {", ".join(words)}'
    final['join'] = fenced('s', f"return ''.join({v} for c in s{test}) * 2")

  def meaning(s: str) -> str:
    letters = [letter for letter in s if letter != drop]
    if swap or double:
      letters = [(c if swap else b + b) if letter == b else letter for letter in letters]
    result = ''.join(letters)
    return {'': result, 'reversed': ''.join(reversed(result)), 'upper': result.upper(), 'doubled': result + result}[
      ending
    ]

  # Letters that the problem does not name must not change its cases.
  named = (bool(drop), swap or double, swap)
  spare = iter(sorted({*LETTERS} - {letter for letter, used in zip((a, b, c), named) if used}))
  a, b, c = (letter if used else next(spare) for letter, used in zip((a, b, c), named))
  inputs = ('', a, b + c, a + b + c + b + a, 'the quick ' + a + ' fox', c + c + b + 'zebra' + a)
  return draft((*key,), f's {", ".join(words)}', 's', final, plan, [([s], meaning(s)) for s in inputs])


TEMPLATES = (filter_numbers, map_numbers, slices, neighbours, two_lists, ranges, text)
