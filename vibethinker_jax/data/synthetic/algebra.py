"""Algebra: equations, sums and divisors, each worked in several ways whose steps differ in size."""

import random

from vibethinker_jax.data.synthetic.divisibility import common_divisor, fraction_sum, ratio_share
from vibethinker_jax.data.synthetic.problem import Draft
from vibethinker_jax.data.synthetic.working import divide, minus, ratio, reduce, signed, signed_term, term, times


def linear_equation(rng: random.Random, level: int) -> Draft:
  """'Solve 3x+5=20.', 'Solve 7x+4=3x+40.', 'Solve 5(x-2)+7=2x+9.'"""
  if level == 1:
    a, x, b = rng.randint(2, 9), rng.randint(1, 9), rng.choice((-1, 1)) * rng.randint(1, 9)
    if a * x + b < 0:
      b = -b
    c, at5 = a * x + b, 5 * a + b
    return Draft(
      (a, b, c),
      f'Solve {a}x{signed(b)}={c}.',
      str(x),
      {
        'inverse': f'move {a}x={c}{signed(-b)}={c - b}, x={c - b}/{a}={x}',
        'trial': f'try x=5: {a}*5={5 * a}, {5 * a}{signed(b)}={at5}, {_adjust(at5, c, a, 5, x)}',
        'false': f'x=0 gives {b}, x=10 gives {10 * a + b}, rise {10 * a}, need {c - b}, x={c - b}/{a}={x}',
        'mental': f'so x={x}',
      },
    )
  if level == 2:
    c, x, b = rng.randint(2, 9), rng.randint(2, 12), rng.randint(1, 40)
    a = c + rng.randint(1, 9)
    d = b + (a - c) * x
    left, right = 5 * a + b, 5 * c + d
    return Draft(
      (a, b, c, d),
      f'Solve {a}x+{b}={c}x+{d}.',
      str(x),
      {
        'inverse': f'move {a}x-{c}x={term(a - c, "x")}, {minus(d, b)}, x={divide(d - b, a - c)}',
        'trial': (
          f'try x=5: left {times(5, a)}, {5 * a}+{b}={left}, right {5 * c}+{d}={right}, '
          f'{a}-{c}={a - c}, {_adjust(left, right, a - c, 5, x)}'
        ),
        'false': (
          f'x=0 gives {minus(d, b)}, x=1 gives {a + b} and {c + d}, {minus(c + d, a + b)}, '
          f'each x takes {d - b}-{c + d - a - b}={a - c}, x={d - b}/{a - c}={x}'
        ),
        'mental': f'so {term(a - c, "x")}={d - b}, x={x}',
      },
    )
  d, x, c = rng.randint(2, 6), rng.randint(-5, 12), rng.randint(1, 20)
  b = rng.randint(1, 9) * rng.choice((-1, 1))
  a = d + rng.randint(2, 7)
  free, e = a * b + c, (a - d) * x + a * b + c
  if not e:  # 'x+0' would be odd
    c, free, e = c + 1, free + 1, 1
  u, shifted = x + b, e - d * b
  left, right = a * (5 + b) + c, 5 * d + e
  return Draft(
    (a, b, c, d, e),
    f'Solve {a}(x{signed(b)})+{c}={d}x{signed(e)}.',
    str(x),
    {
      'inverse': (
        f'move {a}*{b}={a * b}, {a * b}+{c}={free}, {a}x{signed(free)}={d}x{signed(e)}, '
        f'{a}x-{d}x={term(a - d, "x")}, {e}{signed(-free)}={e - free}, x={e - free}/{a - d}={x}'
      ),
      'shift': (
        f'let u=x{signed(b)}: {a}u+{c}={d}u{signed(-d * b)}{signed(e)}, '
        f'{-d * b}{signed(e)}={shifted}, {a}u-{d}u={term(a - d, "u")}, {shifted}-{c}={shifted - c}, '
        f'u={shifted - c}/{a - d}={u}, x={u}{signed(-b)}={x}'
      ),
      'trial': (
        f'try x=5: 5{signed(b)}={5 + b}, {a}*{5 + b}={a * (5 + b)}, left {a * (5 + b)}+{c}={left}, '
        f'{d}*5={5 * d}, right {5 * d}{signed(e)}={right}, {a}-{d}={a - d}, '
        f'{_adjust(left, right, a - d, 5, x)}'
      ),
      'mental': f'so {term(a - d, "x")}={e - free}, x={x}',
    },
  )


def _adjust(got: int, need: int, slope: int, tried: int, x: int) -> str:
  """After a tried value: how far off it is, and how many steps of `slope` repair that."""
  gap = abs(need - got)
  if not gap:
    return f'need {need}, so x={x}'
  far = f'low {need}{signed(-got)}' if need > got else f'high {got}{signed(-need)}'
  return f'need {need}, {far}={gap}, {gap}/{slope}={gap // slope}, x={tried}{signed(x - tried)}={x}'


def linear_system(rng: random.Random, level: int) -> Draft:
  """'x+y=8, 3x+y=14. Find x.', 'x+y=12, 5x+2y=42. Find x.', '3x+2y=16, 2x+5y=29. Find x.'"""
  if level < 3:
    b = 1 if level == 1 else rng.randint(2, 5)
    x, y = rng.randint(1, 9 if level == 1 else 12), rng.randint(1, 12 if level == 1 else 9)
    a = b + rng.randint(1, 8)
    s, t, g = x + y, a * x + b * y, a - b
    have = b * s
    more = f'{minus(t, have)}, x={t - have}/{g}={x}' if g > 1 else f'x={minus(t, have)}'
    at1, up = a + b * (s - 1), g * (x - 1)
    far = f'so x={x}' if x == 1 else f'low {t}-{at1}={up}, {a}-{b}={g}, {up}/{g}={x - 1}, x=1+{x - 1}={x}'
    twice = '' if b == 1 else f'{times(b, s)}, '
    return Draft(
      (s, a, b, t),
      f'x+y={s}, {a}x+{term(b, "y")}={t}. Find x.',
      str(x),
      {
        'eliminate': f'subtract: {twice}{a}x-{term(b, "x")}={term(g, "x")}, {more}',
        'substitute': (
          f'y={s}-x: {twice}{a}x+{have}-{term(b, "x")}={t}, {term(g, "x")}+{have}={t}, '
          f'{term(g, "x")}={t}-{have}={t - have}, x={x}'
        ),
        'trial': f'try x=1: y={s - 1}, {a}+{"" if b == 1 else f"{b}*"}{s - 1}={at1}, need {t}, {far}',
        'mental': f'so y={y}, x={x}',
      },
    )
  x, y = rng.randint(1, 9), rng.randint(1, 9)
  b, d = rng.randint(2, 5), rng.randint(2, 5)
  a, e = b + rng.randint(0, 3), d + rng.randint(1, 3)
  c, f, det = a * x + b * y, d * x + e * y, a * e - b * d
  right = f'{c}*{e}-{b}*{f}'
  return Draft(
    (a, b, c, d, e, f),
    f'{a}x+{b}y={c}, {d}x+{e}y={f}. Find x.',
    str(x),
    {
      'eliminate': (
        f'{times(c, e)}, so {a * e}x+{b * e}y={c * e}, {times(f, b)}, '
        f'so {b * d}x+{b * e}y={b * f}, subtract: {a * e}-{b * d}={det}, '
        f'{c * e}-{b * f}={det * x}, x={det * x}/{det}={x}'
      ),
      'formula': (
        f'formula x=({right})/({a}*{e}-{b}*{d}), {c}*{e}={c * e}, {b}*{f}={b * f}, '
        f'{c * e}-{b * f}={det * x}, {a}*{e}-{b}*{d}={a * e}-{b * d}={det}, x={det * x}/{det}={x}'
      ),
      'mental': f'so {term(det, "x")}={det * x}, x={x}',
    },
  )


def quadratic_root(rng: random.Random, level: int) -> Draft:
  """'x^2-7x+14=2. Larger root?', '2x^2-11x+12=0. Smaller root?'"""
  word = rng.choice(('larger', 'smaller'))
  if level == 3:
    return _leading_quadratic(rng, word)
  p, q = rng.randint(1, 6) * rng.choice((-1, 1)), rng.randint(1, 6) * rng.choice((-1, 1))
  if level == 1 and (p + q) % 2:  # an even sum, so that its half stays whole
    q += 1 if q < 0 else -1
    q = q or 2 - p % 2
  elif level == 2:
    q += 6 if q > 0 else -6
  if abs(p) == abs(q):  # neither a double root nor a missing x
    p += (2 if p > 0 else -2) * (1 if abs(p) < 3 else -1)
  low, high = min(p, q), max(p, q)
  s, product, k = p + q, p * q, rng.randint(1, 20 if level == 1 else 40)
  c = product + k
  if not c:
    c, k = c + 1, k + 1
  gap, root = high - low, high if word == 'larger' else low
  sign = '+' if word == 'larger' else '-'
  move = f'{c}-{k}={product}'
  pick = f'{word} {root}'
  disc = f'{s}*{s}-4*{product}={s * s}{signed(-4 * product)}={gap * gap}={gap}*{gap}'
  if level == 1:
    mid, off = s // 2, gap // 2
    centre = (
      f'mid {s}/2={mid}, {mid}*{mid}={mid * mid}, '
      f'{mid * mid}{signed(-product)}={off * off}={off}*{off}, {mid}{sign}{off}={root}'
    )
  else:
    centre = f'2x-mid {s}, {disc}, 2x={s}{sign}{gap}={2 * root}, x={root}'
  prompt = f'x^2{signed_term(-s, "x")}{signed(c)}={k}. {word.title()} root?'
  return Draft(
    (-s, c, k, word),
    prompt,
    str(root),
    {
      'factor': f'factor {move}, sum {s}: {_pairs(product, s)}, {pick}',
      'square': f'square {move}, {centre}',
      'formula': f'root {move}, {disc}, {s}{sign}{gap}={2 * root}, {2 * root}/2={root}',
      'mental': f'so {low} and {high}, {pick}',
    },
  )


def _pairs(product: int, s: int) -> str:
  """(12, 7) -> '1*12 sum 13, 2*6 sum 8, 3*4 sum 7': factor pairs of a product until their sum fits.

  Where the factors have different signs the one of larger size takes the sign of the sum.
  """
  out, sign = [], 1 if s > 0 else -1
  other = sign if product > 0 else -sign
  for d in range(1, 100):
    if product % d:
      continue
    one, two = d * other, abs(product) // d * sign
    out.append(f'{one}*{two} sum {one + two}')
    if one + two == s:
      return ', '.join(out)


def _leading_quadratic(rng: random.Random, word: str) -> Draft:
  """'2x^2-11x+12=0. Larger root?' with the roots r and n/a: level 3 of `quadratic_root`."""
  a, n, r = rng.randint(2, 5), rng.randint(1, 9) * rng.choice((-1, 1)), rng.randint(1, 6)
  if n == a * r:
    n = -n
  b, c = -(a * r + n), n * r
  if not b:
    return _leading_quadratic(rng, word)
  large_is_r = a * r > n
  root = str(r) if large_is_r == (word == 'larger') else ratio(n, a)
  gap = abs(a * r - n)
  tries = ', '.join(
    f'x={x}: {a}*{x}={a * x}, {a * x}{signed(b)}={a * x + b}, '
    f'{a * x + b}*{x}={(a * x + b) * x}, '
    f'sum {(a * x + b) * x + c}'
    for x in ([r - 1, r] if r > 1 else [r])
  )
  ends = f'{2 * a * r}/{2 * a}={r}, {-b}{signed(n - a * r)}={2 * n}, {reduce(2 * n, 2 * a)}'
  pick = f'{word} {root}'
  return Draft(
    (a, b, c, 0, word),
    f'{a}x^2{signed_term(b, "x")}{signed(c)}=0. {word.title()} root?',
    root,
    {
      'factor': (f'factor {a}*{c}={a * c}, sum {-b}: {_pairs(a * c, -b)}, {a * r}/{a}={r}, {reduce(n, a)}, {pick}'),
      'formula': (
        f'root {b}*{b}={b * b}, 4*{a}*{c}={4 * a * c}, '
        f'{b * b}{signed(-4 * a * c)}={gap * gap}={gap}*{gap}, '
        f'{-b}{signed(a * r - n)}={2 * a * r}, {ends}, {pick}'
      ),
      'trial': f'try {tries}, so x={r}, {c}/{r}={n}, {reduce(n, a)}, {pick}',
      'mental': f'so {r} and {ratio(n, a)}, {pick}',
    },
  )


def series_sum(rng: random.Random, level: int) -> Draft:
  """'Add 5 terms: 3, 7, 11, ...', 'Add 5, 9, 13, ..., 45.'"""
  n, a = rng.randint(*((3, 6), (6, 9), (6, 10))[level - 1]), rng.randint(1, 20)
  d = rng.randint(1 if level == 1 else 2, 9)
  last, steps, result = a + (n - 1) * d, n * (n - 1) // 2, n * a + n * (n - 1) // 2 * d
  if level == 3:
    key, prompt = (a, d, 'to', last), f'Add {a}, {a + d}, {a + 2 * d}, ..., {last}.'
    count = f'{minus(last, a)}, {last - a}/{d}={n - 1}, {n} terms, '
    end = ''
  else:
    key, prompt = (n, a, d), f'Add {n} terms: {a}, {a + d}, {a + 2 * d}, ...'
    count, end = '', f'last {a}+{n - 1}*{d}={a}+{(n - 1) * d}={last}, '
  values = [a + i * d for i in range(n)]
  sums = [a]
  for value in values[1:]:
    sums.append(sums[-1] + value)
  solutions = {
    'split': (
      f'split {count}{n}*{a}={n * a}, {n}*{n - 1}/2={steps}, {steps}*{d}={steps * d}, {n * a}+{steps * d}={result}'
    ),
    'pairs': f'pair {count}{end}{a}+{last}={a + last}, {times(a + last, n)}, half {result}',
    'mental': f'so {f"{n} terms, " if level == 3 else ""}sum {result}',
  }
  if n < 8:  # a longer list would not fit the trace bound
    solutions['list'] = f'list {" ".join(map(str, values))}: add {" ".join(map(str, sums))}'
  else:
    solutions['middle'] = (
      f'middle {count}{end}{a}+{last}={a + last}, {reduce(a + last, 2)}, {ratio(a + last, 2)}*{n}={result}'
    )
  return Draft(key, prompt, str(result), solutions)


def polynomial_value(rng: random.Random, level: int) -> Draft:
  """'2x^2-3x+1 at x=4?', '2x^3-x^2+5x-4 at x=3?'"""
  a = rng.randint(1, (4, 6, 4)[level - 1])
  x = rng.choice(((2, 3, 4, 5), (6, 7, 8, -3, -4, -5), (2, 3, 4, 5, -2, -3))[level - 1])
  b, c, k = [rng.randint(1, 9) * rng.choice((-1, 1)) for _ in range(3)]
  square = x * x
  if level < 3:
    top, value = a * square, a * square + b * x + c
    return Draft(
      (a, b, c, x),
      f'{term(a, "x")}^2{signed_term(b, "x")}{signed(c)} at x={x}?',
      str(value),
      {
        'terms': (
          f'terms {x}*{x}={square}, {a}*{square}={top}, {b}*{x}={b * x}, '
          f'{top}{signed(b * x)}={top + b * x}, {top + b * x}{signed(c)}={value}'
        ),
        'horner': (
          f'nest {a}*{x}={a * x}, {a * x}{signed(b)}={a * x + b}, '
          f'{a * x + b}*{x}={(a * x + b) * x}, {(a * x + b) * x}{signed(c)}={value}'
        ),
        'mental': f'so {value}',
      },
    )
  cube, one = square * x, a * x + b
  two = one * x + c
  value = two * x + k
  first, second, third = a * cube, b * square, c * x
  even, odd = b * square + k, a * square + c
  prompt = f'{term(a, "x")}^3{signed_term(b, "x")}^2{signed_term(c, "x")}{signed(k)} at x={x}?'
  return Draft(
    (a, b, c, k, x),
    prompt,
    str(value),
    {
      'terms': (
        f'terms {x}*{x}={square}, {square}*{x}={cube}, {a}*{cube}={first}, {b}*{square}={second}, '
        f'{c}*{x}={third}, {first}{signed(second)}={first + second}, '
        f'{first + second}{signed(third)}={first + second + third}, '
        f'{first + second + third}{signed(k)}={value}'
      ),
      'horner': (
        f'nest {a}*{x}={a * x}, {a * x}{signed(b)}={one}, {one}*{x}={one * x}, '
        f'{one * x}{signed(c)}={two}, {two}*{x}={two * x}, {two * x}{signed(k)}={value}'
      ),
      'parts': (
        f'parts {x}*{x}={square}, even {b}*{square}={second}, {second}{signed(k)}={even}, '
        f'odd {a}*{square}={a * square}, {a * square}{signed(c)}={odd}, {odd}*{x}={odd * x}, '
        f'{even}{signed(odd * x)}={value}'
      ),
      'mental': f'so {value}',
    },
  )


TEMPLATES = (
  linear_equation,
  linear_system,
  quadratic_root,
  series_sum,
  polynomial_value,
  ratio_share,
  common_divisor,
  fraction_sum,
)
