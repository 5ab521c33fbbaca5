"""Geometry with coordinates: areas, distances, dividing points and lines."""

from math import gcd
import random

from vibethinker_jax.data.synthetic.problem import Draft
from vibethinker_jax.data.synthetic.working import ratio, reduce, signed, total


def polygon_area(rng: random.Random, level: int) -> Draft:
  """'Area of triangle (0,0), (7,2), (3,6)?', 'Area of quadrilateral (3,0), (7,4), (2,6), (0,2)?'"""
  if level == 3:
    return _quadrilateral_area(rng)
  x, y = (0, 0) if level == 1 else (rng.randint(0, 4), rng.randint(0, 4))
  w, h = rng.randint(2, 9 - level), rng.randint(2, 9 - level)
  w1, h1 = rng.randint(1, w - 1), rng.randint(1, h - 1)
  points = (x, y, x + w, y + h1, x + w1, y + h)
  double, areas = w * h - w1 * h1, [w * h1, w1 * h, (w - w1) * (h - h1)]
  corners = [f'{w}*{h1}={areas[0]}', f'{w1}*{h}={areas[1]}', f'{w - w1}*{h - h1}={areas[2]}']
  cross = f'{w}*{h}={w * h}, {w1}*{h1}={w1 * h1}, {w * h}-{w1 * h1}={double}, half {ratio(double, 2)}'
  move = f'{x + w}-{x}={w}, {y + h}-{y}={h}, '
  solutions = {'mental': f'so {ratio(double, 2)}'}
  if level == 1:
    solutions['box'] = f'box {_box(w, h, corners, areas)}'
    solutions['cross'] = f'cross {cross}'
    solutions['shear'] = _shear(w, h1, w1, h)
  else:
    solutions['box'] = f'box {move}{_box(w, h, corners, areas)}'
    solutions['cross'] = f'move {move}{y + h1}-{y}={h1}, {x + w1}-{x}={w1}, cross {cross}'
    solutions['lace'] = f'lace {_lace(points)}'
  return Draft(points, f'Area of triangle {_points(points)}?', ratio(double, 2), solutions)


def _shear(a: int, b: int, c: int, d: int) -> str:
  """Slide the point (c,d) along the side from (0,0) to (a,b) until it lies above (0,0).

  Its height there is d - c*b/a, and the triangle is half of a times that.
  """
  return (
    f'shear {c}*{b}/{a}={ratio(c * b, a)}, {d}-{ratio(c * b, a)}={ratio(a * d - b * c, a)}, '
    f'{a}*{ratio(a * d - b * c, a)}={a * d - b * c}, half {ratio(a * d - b * c, 2)}'
  )


def _points(numbers: tuple[int, ...]) -> str:
  """(1, 2, 7, 2) -> '(1,2), (7,2)'."""
  return ', '.join(f'({numbers[i]},{numbers[i + 1]})' for i in range(0, len(numbers), 2))


def _lace(points: tuple[int, ...]) -> str:
  """Twice the area as a running sum of x1*y2-x2*y1 over the sides, then half of it."""
  out, sides, n = [], [], len(points)
  for i in range(0, n, 2):
    x1, y1, x2, y2 = points[i], points[i + 1], points[(i + 2) % n], points[(i + 3) % n]
    out.append(f'{x1}*{y2}-{x2}*{y1}={x1 * y2}-{x2 * y1}={x1 * y2 - x2 * y1}')
    sides.append(x1 * y2 - x2 * y1)
  so_far = sides[0]
  for side in sides[1:]:
    out.append(f'{so_far}{signed(side)}={so_far + side}')
    so_far += side
  return f'{", ".join(out)}, half {ratio(so_far, 2)}'


def _box(w: int, h: int, corners: list[str], areas: list[int]) -> str:
  """Twice the area as twice the box less the corner rectangles: each corner triangle is half of one."""
  twice, cut = 2 * w * h, sum(areas)
  return (
    f'2*{w}*{h}={twice}, corners {", ".join(corners)}, {"+".join(map(str, areas))}={cut}, '
    f'{twice}-{cut}={twice - cut}, half {ratio(twice - cut, 2)}'
  )


def _less(start: int, parts: list[int]) -> str:
  """(40, [8, 12]) -> '40-8=32, 32-12=20'."""
  out = []
  for part in parts:
    out.append(f'{start}-{part}={start - part}')
    start -= part
  return ', '.join(out)


def _quadrilateral_area(rng: random.Random) -> Draft:
  """One vertex on each side of a bounding box: level 3 of `polygon_area`."""
  x, y, w, h = rng.randint(0, 3), rng.randint(0, 3), rng.randint(3, 8), rng.randint(3, 8)
  a, c, b, d = rng.randint(1, w - 1), rng.randint(1, w - 1), rng.randint(1, h - 1), rng.randint(1, h - 1)
  points = (x + a, y, x + w, y + b, x + c, y + h, x, y + d)
  areas = [(w - a) * b, (w - c) * (h - b), c * (h - d), a * d]
  corners = [f'{w - a}*{b}={areas[0]}', f'{w - c}*{h - b}={areas[1]}', f'{c}*{h - d}={areas[2]}', f'{a}*{d}={areas[3]}']
  double = 2 * w * h - sum(areas)
  answer, across, up = ratio(double, 2), c - a, d - b
  return Draft(
    points,
    f'Area of quadrilateral {_points(points)}?',
    answer,
    {
      'box': f'box {x + w}-{x}={w}, {y + h}-{y}={h}, {_box(w, h, corners, areas)}',
      'lace': f'lace {_lace(points)}',
      'cross': (
        f'diagonals {x + c}-{x + a}={across}, {y + h}-{y}={h}, {x}-{x + w}={-w}, '
        f'{y + d}-{y + b}={up}, {across}*{up}={across * up}, {h}*{-w}={-h * w}, '
        f'{across * up}+{h * w}={double}, half {ratio(double, 2)}'
      ),
      'mental': f'so {answer}',
    },
  )


def squared_distance(rng: random.Random, level: int) -> Draft:
  """'Squared distance from (1,2) to (4,6)?', 'Triangle (1,2), (4,6), (3,8). Sum of squared sides?'"""
  if level == 3:
    return _squared_sides(rng)
  start = [rng.randint(0, 9) for _ in range(level + 1)]
  moves = [rng.randint(1, 9) for _ in start]
  ups = [1, *(rng.choice((1, -1)) for _ in start[1:])]
  end = [a + up * move for a, up, move in zip(start, ups, moves)]
  apart = ', '.join(f'{max(a, b)}{_minus(min(a, b))}={move}' for a, b, move in zip(start, end, moves))
  squares = [move * move for move in moves]
  answer = sum(squares)
  multiply = ', '.join(f'{move}*{move}={square}' for move, square in zip(moves, squares))
  prompt = f'Squared distance from ({",".join(map(str, start))}) to ({",".join(map(str, end))})?'
  large, small = max(moves[:2]), min(moves[:2])
  one, two = large + small, large - small
  flat = large * large + small * small
  rest = '' if level == 1 else f', {moves[2]}*{moves[2]}={squares[2]}, {flat}+{squares[2]}={answer}'
  return Draft(
    (*start, *end),
    prompt,
    str(answer),
    {
      'squares': f'squares {apart}, {multiply}, {total(squares)}',
      'tilt': (
        f'tilt {apart}, {large}+{small}={one}, {one}*{one}={one * one}, '
        f'2*{large * small}={2 * large * small}, {one * one}-{2 * large * small}={flat}{rest}'
      ),
      'gap': (
        f'gap {apart}, {large}-{small}={two}, {two}*{two}={two * two}, '
        f'{large}*{small}={large * small}, 2*{large * small}={2 * large * small}, '
        f'{two * two}+{2 * large * small}={flat}{rest}'
      ),
      'mental': f'so {" ".join(map(str, moves))}, {answer}',
    },
  )


def _minus(number: int) -> str:
  """3 -> '-3', -3 -> '+3', 0 -> '-0': a number taken away."""
  return f'-{number}' if number >= 0 else f'+{-number}'


def _squared_sides(rng: random.Random) -> Draft:
  """The sides of a triangle, or the mean of its corners: level 3 of `squared_distance`."""
  points = []
  while len(points) < 3 or (points[1][0] - points[0][0]) * (points[2][1] - points[0][1]) == (
    points[2][0] - points[0][0]
  ) * (points[1][1] - points[0][1]):
    points = sorted((rng.randint(0, 9), rng.randint(0, 9)) for _ in range(3))
  (a, b), (c, d), (e, f) = points
  sides, lengths = [], []
  for x1, y1, x2, y2 in ((a, b, c, d), (c, d, e, f), (a, b, e, f)):
    w, h = x2 - x1, abs(y2 - y1)
    sides.append(f'{w}*{w}+{h}*{h}={w * w}+{h * h}={w * w + h * h}')
    lengths.append(w * w + h * h)
  answer, x, y = sum(lengths), a + c + e, b + d + f
  xs, ys = a * a + c * c + e * e, b * b + d * d + f * f
  key = (*points[0], *points[1], *points[2])
  return Draft(
    ('sides', *key),
    f'Triangle {_points(key)}. Sum of squared sides?',
    str(answer),
    {
      'squares': f'squares {", ".join(sides)}, {total(lengths)}',
      'mean': (
        f'mean {a}+{c}+{e}={x}, {a * a}+{c * c}+{e * e}={xs}, '
        f'3*{xs}-{x}*{x}={3 * xs}-{x * x}={3 * xs - x * x}, {b}+{d}+{f}={y}, '
        f'{b * b}+{d * d}+{f * f}={ys}, 3*{ys}-{y}*{y}={3 * ys}-{y * y}={3 * ys - y * y}, '
        f'{3 * xs - x * x}+{3 * ys - y * y}={answer}'
      ),
      'mental': f'so {" ".join(map(str, lengths))}, {answer}',
    },
  )


def dividing_point(rng: random.Random, level: int) -> Draft:
  """'P divides 3 to 15 in ratio 1:2. P?', 'P divides (1,2) to (7,5) in ratio 1:2. x+y of P?'"""
  m, n = rng.randint(1, 5 if level == 1 else 2 + level), rng.randint(1, 5 if level == 1 else 2 + level)
  divisor = gcd(m, n)
  m, n = m // divisor, n // divisor
  whole = m + n
  if level == 1:
    return _dividing_number(rng.randint(0, 20), rng.randint(1, 5), m, n)
  reach = level + 1
  sx, sy = rng.randint(1, reach), rng.randint(-reach, reach)
  dx, dy = sx * whole, sy * whole
  if level == 3:
    dx, dy = dx + rng.randint(-1, 1), dy + rng.randint(-1, 1)
  x, y = rng.randint(0, 9), rng.randint(0, 9) + max(0, -dy)
  x2, y2 = x + dx, y + dy
  first = n * (x + y) + m * (x2 + y2)
  answer = ratio(first, whole)
  weights = (
    f'weights {m}+{n}={whole}, {n}*{x}={n * x}, {m}*{x2}={m * x2}, '
    f'{n * x}+{m * x2}={n * x + m * x2}, {n}*{y}={n * y}, {m}*{y2}={m * y2}, '
    f'{n * y}+{m * y2}={n * y + m * y2}, '
  )
  if level == 3:
    weights += f'{n * x + m * x2}+{n * y + m * y2}={first}, {reduce(first, whole)}'
    jump = (
      f'{x2}-{x}={dx}, {y2}-{y}={dy}, {dx}{signed(dy)}={dx + dy}, {dx + dy}*{m}={(dx + dy) * m}, '
      f'{x}+{y}={x + y}, {x + y}*{whole}={(x + y) * whole}, '
      f'{(x + y) * whole}{signed((dx + dy) * m)}={first}, {reduce(first, whole)}'
    )
  else:
    px, py = x + sx * m, y + sy * m
    weights += f'{n * x + m * x2}/{whole}={px}, {n * y + m * y2}/{whole}={py}, {px}+{py}={px + py}'
    jump = (
      f'{m}+{n}={whole}, {x2}-{x}={dx}, {dx}/{whole}*{m}={sx * m}, {x}+{sx * m}={px}, {y2}-{y}={dy}, '
      f'{dy}/{whole}*{m}={sy * m}, {y}{signed(sy * m)}={py}, {px}+{py}={px + py}'
    )
  s, t = x + y, x2 + y2
  prompt = f'P divides ({x},{y}) to ({x2},{y2}) in ratio {m}:{n}. x+y of P?'
  return Draft(
    (x, y, x2, y2, m, n),
    prompt,
    answer,
    {
      'weights': weights,
      'step': f'step {jump}',
      'sums': (
        f'sums {x}+{y}={s}, {x2}+{y2}={t}, {m}+{n}={whole}, {n}*{s}={n * s}, {m}*{t}={m * t}, '
        f'{n * s}+{m * t}={first}, {reduce(first, whole)}'
      ),
      'mental': f'so {answer}',
    },
  )


def _dividing_number(a: int, step: int, m: int, n: int) -> Draft:
  """On the number line, `step` to each part: level 1 of `dividing_point`."""
  whole = m + n
  b, p = a + step * whole, a + step * m
  share = f'{b}-{a}={b - a}, {m}+{n}={whole}, {b - a}/{whole}={step}'
  return Draft(
    (a, b, m, n),
    f'P divides {a} to {b} in ratio {m}:{n}. P?',
    str(p),
    {
      'step': f'step {share}, {m}*{step}={m * step}, {a}+{m * step}={p}',
      'back': f'back {share}, {n}*{step}={n * step}, {b}-{n * step}={p}',
      'weights': (
        f'weights {n}*{a}={n * a}, {m}*{b}={m * b}, {n * a}+{m * b}={whole * p}, {m}+{n}={whole}, '
        f'{whole * p}/{whole}={p}'
      ),
      'mental': f'so {p}',
    },
  )


def line_value(rng: random.Random, level: int) -> Draft:
  """'Line through (1,3) and (3,7). y at x=6?'"""
  q = 1 if level == 1 else rng.randint(2, 5)
  p = rng.randint(1, 4 if level == 1 else 6) * rng.choice((-1, 1))
  run = q * rng.randint(1, 3)
  rise = run // q * p
  x1, y1 = rng.randint(0, 5), rng.randint(1, 9) + max(0, -rise)
  jump = q * rng.randint(1, 4) if level < 3 else rng.randint(1, 9)
  x2, y2, x = x1 + run, y1 + rise, x1 + run + jump
  top = y1 * q + p * (x - x1)
  answer = ratio(top, q)
  divisor = gcd(rise, run)
  u, v = rise // divisor, run // divisor
  slope = f'{y2}-{y1}={rise}, {x2}-{x1}={run}, {reduce(rise, run)}, '
  far, over = x - x1, jump * u
  if level == 3:
    after = (
      f'{x}-{x2}={jump}, {jump}*{u}={over}, {y2}*{v}={y2 * v}, '
      f'{y2 * v}{signed(over)}={y2 * v + over}, {reduce(y2 * v + over, v)}'
    )
    free = y1 * v - u * x1
    back = (
      f'{u}*{x1}={u * x1}, {y1}*{v}={y1 * v}, {y1 * v}{_minus(u * x1)}={free}, {u}*{x}={u * x}, '
      f'{u * x}{signed(free)}={u * x + free}, {reduce(u * x + free, v)}'
    )
  else:
    near, wide = ('', '') if v == 1 else (f'{jump}/{v}={jump // v}, ', f'{far}/{v}={far // v}, ')
    after = f'{x}-{x2}={jump}, {near}{jump // v}*{u}={over // v}, {y2}{signed(over // v)}={answer}'
    back = f'{x}-{x1}={far}, {wide}{far // v}*{u}={far // v * u}, {y1}{signed(far // v * u)}={answer}'
  return Draft(
    (x1, y1, x2, y2, x),
    f'Line through ({x1},{y1}) and ({x2},{y2}). y at x={x}?',
    answer,
    {
      'slope': f'slope {slope}{after}',
      'back': f'back {slope}{back}',
      'weights': (
        f'weights {x}-{x1}={far}, {far}*{y2}={far * y2}, {x}-{x2}={jump}, '
        f'{jump}*{y1}={jump * y1}, {far * y2}{signed(-jump * y1)}={far * y2 - jump * y1}, '
        f'{x2}-{x1}={run}, {reduce(far * y2 - jump * y1, run)}'
      ),
      'mental': f'so slope {ratio(rise, run)}, {answer}',
    },
  )
