"""Geometry: areas, lengths, angles and lines, each worked in several ways whose steps differ in size."""

from math import gcd
import random

from vibethinker_jax.data.synthetic.problem import Draft
from vibethinker_jax.data.synthetic.working import minus, plus, ratio, reduce, signed, times, total

# The parts and angles of a ring that keep the fractions small.
PARTS = tuple((p, q) for q in (2, 3, 4, 5, 6, 7, 8, 9) for p in range(1, q) if gcd(p, q) == 1)
ANGLES = (30, 40, 45, 60, 72, 80, 90, 120, 135, 144, 150, 180, 210, 216, 225, 240, 270, 288, 300, 315)


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
  return (f'shear {c}*{b}/{a}={ratio(c * b, a)}, {d}-{ratio(c * b, a)}={ratio(a * d - b * c, a)}, '
          f'{a}*{ratio(a * d - b * c, a)}={a * d - b * c}, half {ratio(a * d - b * c, 2)}')


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
  return (f'2*{w}*{h}={twice}, corners {", ".join(corners)}, {"+".join(map(str, areas))}={cut}, '
          f'{twice}-{cut}={twice - cut}, half {ratio(twice - cut, 2)}')


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
  corners = [f'{w - a}*{b}={areas[0]}', f'{w - c}*{h - b}={areas[1]}', f'{c}*{h - d}={areas[2]}',
             f'{a}*{d}={areas[3]}']
  double = 2 * w * h - sum(areas)
  answer, across, up = ratio(double, 2), c - a, d - b
  return Draft(points, f'Area of quadrilateral {_points(points)}?', answer, {
      'box': f'box {x + w}-{x}={w}, {y + h}-{y}={h}, {_box(w, h, corners, areas)}',
      'lace': f'lace {_lace(points)}',
      'cross': (f'diagonals {x + c}-{x + a}={across}, {y + h}-{y}={h}, {x}-{x + w}={-w}, '
                f'{y + d}-{y + b}={up}, {across}*{up}={across * up}, {h}*{-w}={-h * w}, '
                f'{across * up}+{h * w}={double}, half {ratio(double, 2)}'),
      'mental': f'so {answer}'})


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
  return Draft((*start, *end), prompt, str(answer), {
      'squares': f'squares {apart}, {multiply}, {total(squares)}',
      'tilt': (f'tilt {apart}, {large}+{small}={one}, {one}*{one}={one * one}, '
               f'2*{large * small}={2 * large * small}, {one * one}-{2 * large * small}={flat}{rest}'),
      'gap': (f'gap {apart}, {large}-{small}={two}, {two}*{two}={two * two}, '
              f'{large}*{small}={large * small}, 2*{large * small}={2 * large * small}, '
              f'{two * two}+{2 * large * small}={flat}{rest}'),
      'mental': f'so {" ".join(map(str, moves))}, {answer}'})


def _minus(number: int) -> str:
  """3 -> '-3', -3 -> '+3', 0 -> '-0': a number taken away."""
  return f'-{number}' if number >= 0 else f'+{-number}'


def _squared_sides(rng: random.Random) -> Draft:
  """The sides of a triangle, or the mean of its corners: level 3 of `squared_distance`."""
  points = []
  while len(points) < 3 or (points[1][0] - points[0][0]) * (points[2][1] - points[0][1]) == (
      points[2][0] - points[0][0]) * (points[1][1] - points[0][1]):
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
  return Draft(('sides', *key), f'Triangle {_points(key)}. Sum of squared sides?', str(answer), {
      'squares': f'squares {", ".join(sides)}, {total(lengths)}',
      'mean': (f'mean {a}+{c}+{e}={x}, {a * a}+{c * c}+{e * e}={xs}, '
               f'3*{xs}-{x}*{x}={3 * xs}-{x * x}={3 * xs - x * x}, {b}+{d}+{f}={y}, '
               f'{b * b}+{d * d}+{f * f}={ys}, 3*{ys}-{y}*{y}={3 * ys}-{y * y}={3 * ys - y * y}, '
               f'{3 * xs - x * x}+{3 * ys - y * y}={answer}'),
      'mental': f'so {" ".join(map(str, lengths))}, {answer}'})


def missing_angle(rng: random.Random, level: int) -> Draft:
  """'Triangle with angles 47, 68. Last angle?', 'Quadrilateral with angles 80, 95, 110. Last angle?'"""
  n, whole, mean = level + 2, 180 * level, (60, 90, 108)[level - 1]
  last = 0
  while not 10 <= last <= 170:
    angles = sorted(rng.randint(*((25, 85), (50, 130), (70, 145))[level - 1]) for _ in range(n - 1))
    last = whole - sum(angles)
  sums, rest = total(angles), _less(whole, angles)
  outside = [180 - angle for angle in angles]
  gaps = [angle - mean for angle in angles]
  running, gap = [], gaps[0]
  for more in gaps[1:]:
    running.append(f'{gap}{signed(more)}={gap + more}')
    gap += more
  solutions = {
      'total': f'total {sums}, {minus(whole, sum(angles))}', 'takeaway': f'take {rest}',
      'balance': (f'mean {mean}: {", ".join(f"{a}-{mean}={a - mean}" for a in angles)}, '
                  f'{", ".join(running)}, {mean}{signed(-gap)}={last}'),
      'mental': f'so {last}'}
  if level > 1:
    solutions['exterior'] = (f'outside {", ".join(f"180-{a}={180 - a}" for a in angles)}, '
                             f'{_less(360, outside)}, 180-{360 - sum(outside)}={last}')
  name = ('Triangle', 'Quadrilateral', 'Pentagon')[level - 1]
  prompt = f'{name} with angles {", ".join(map(str, angles))}. Last angle?'
  return Draft(tuple(angles), prompt, str(last), solutions)


def l_shape(rng: random.Random, level: int) -> Draft:
  """'9 by 7 rectangle less a 4 by 3 corner. Area?'"""
  w, h = sorted((rng.randint(3, 10 if level == 1 else 19), rng.randint(3, 9)), reverse=True)
  a, b = rng.randint(1, w - 1), rng.randint(1, h - 1)
  if w == h:
    a, b = max(a, b), min(a, b)
  area = w * h - a * b
  if level < 3:
    return Draft((w, h, a, b), f'{w} by {h} rectangle less a {a} by {b} corner. Area?', str(area), {
        'cut': f'cut {times(w, h)}, {times(a, b)}, {minus(w * h, a * b)}',
        'split': (f'split {w}-{a}={w - a}, {times(w - a, h)}, {h}-{b}={h - b}, {times(a, h - b)}, '
                  f'{plus((w - a) * h, a * (h - b))}'),
        'mental': f'so {area}'})
  c, d = rng.randint(1, w - 1), rng.randint(1, h - 1)
  if a + c >= w:
    a, c = max(1, min(a, w - 2) // 2), max(1, (w - 1) // 2)
  if (c, d) > (a, b):
    a, b, c, d = c, d, a, b
  middle, area = w - a - c, w * h - a * b - c * d
  prompt = f'{w} by {h} rectangle less top corners {a} by {b} and {c} by {d}. Area?'
  return Draft((w, h, a, b, c, d), prompt, str(area), {
      'cut': f'cut {times(w, h)}, {times(a, b)}, {times(c, d)}, {minus(w * h, a * b)}, '
             f'{minus(w * h - a * b, c * d)}',
      'split': (f'split {w}-{a}-{c}={middle}, {times(middle, h)}, {h}-{b}={h - b}, {times(a, h - b)}, '
                f'{h}-{d}={h - d}, {times(c, h - d)}, {plus(middle * h, a * (h - b))}, '
                f'{plus(middle * h + a * (h - b), c * (h - d))}'),
      'mental': f'so {w * h}-{a * b + c * d}={area}'})


def ring_sector(rng: random.Random, level: int) -> Draft:
  """'1/4 of a ring with radii 3 and 5. Area is k pi. k?', 'Ring with radii 3 and 9, angle 90. ...'"""
  small, large = sorted(rng.sample(range(1, (9, 10, 8)[level - 1] + 1), 2))
  angle = rng.choice(ANGLES)
  p, q = rng.choice(PARTS) if level == 1 else (angle // gcd(angle, 360), 360 // gcd(angle, 360))
  if level == 3:
    return _disc(small, large, angle, p, q, rng.randint(1, 9), rng.choice(ANGLES))
  outer, inner = large * large, small * small
  ring = outer - inner
  part, end = '' if level == 1 else f', {angle}/360={p}/{q}', f'{ring}*{p}={ring * p}, {reduce(ring * p, q)}'
  answer = ratio(ring * p, q)
  key, prompt = (small, large, angle), f'Ring with radii {small} and {large}, angle {angle}. Area is k pi. k?'
  if level == 1:
    key, prompt = (small, large, p, q), f'{p}/{q} of a ring with radii {small} and {large}. Area is k pi. k?'
  return Draft(key, prompt, answer, {
      'squares': f'squares {large}*{large}={outer}, {small}*{small}={inner}, {outer}-{inner}={ring}{part}, '
                 f'{end}',
      'factor': (f'factor {large}-{small}={large - small}, {large}+{small}={large + small}, '
                 f'{times(large + small, large - small)}{part}, {end}'),
      'share': (f'share {large}*{large}={outer}{part}, {outer}*{p}={outer * p}, {small}*{small}={inner}, '
                f'{inner}*{p}={inner * p}, {outer * p}-{inner * p}={ring * p}, {reduce(ring * p, q)}'),
      'mental': f'so {ring}, {answer}'})


def _disc(small: int, large: int, angle: int, p: int, q: int, radius: int, other: int) -> Draft:
  """A ring sector and a disc sector together: level 3 of `ring_sector`."""
  divisor = gcd(other, 360)
  u, v = other // divisor, 360 // divisor
  ring, disc = large * large - small * small, radius * radius
  low = q * v // gcd(q, v)
  one, two = ring * p * (low // q), disc * u * (low // v)
  answer = ratio(one + two, low)
  add = f'over {low}: {one}+{two}={one + two}, {reduce(one + two, low)}'
  tail = (f'{angle}/360={p}/{q}, {ring}*{p}={ring * p}, {ring * p}/{q}={one}/{low}, '
          f'{radius}*{radius}={disc}, {other}/360={u}/{v}, {disc}*{u}={disc * u}, '
          f'{disc * u}/{v}={two}/{low}, {add}')
  prompt = (f'Ring with radii {small} and {large}, angle {angle}, and disc radius {radius}, angle {other}. '
            'Area is k pi. k?')
  return Draft((small, large, angle, radius, other), prompt, answer, {
      'squares': (f'squares {large}*{large}={large * large}, {small}*{small}={small * small}, '
                  f'{large * large}-{small * small}={ring}, {tail}'),
      'factor': (f'factor {large}-{small}={large - small}, {large}+{small}={large + small}, '
                 f'{large - small}*{large + small}={ring}, {tail}'),
      'mental': f'so {ratio(ring * p, q)} and {ratio(disc * u, v)}, {answer}'})


def similar_side(rng: random.Random, level: int) -> Draft:
  """'Similar shapes: side 3 becomes 12. Side 5 becomes?', '... side 4 becomes 6. Area 20 becomes?'"""
  if level == 1:
    a, scale, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(1, 12)
    c += c == a  # the side already given would be no question
    b, d = a * scale, c * scale
    return Draft((a, b, c), f'Similar shapes: side {a} becomes {b}. Side {c} becomes?', str(d), {
        'scale': f'scale {b}/{a}={scale}, {times(c, scale)}',
        'cross': f'cross {b}*{c}={b * c}, {b * c}/{a}={d}',
        'inner': f'inside {reduce(c, a)}, {b}*{ratio(c, a)}={d}', 'mental': f'so {d}'})
  p, q, k = rng.randint(1, 9 if level == 2 else 6), rng.randint(1, 9 if level == 2 else 6), rng.randint(1, 4)
  q += p == q
  divisor = gcd(p, q)
  p, q = p // divisor, q // divisor
  a, b = p * k, q * k
  c = rng.randint(2, 20) if level == 2 else rng.randint(1, 12)
  if level == 2:
    c += c == a
    up, down = c // gcd(c, a), a // gcd(c, a)
    answer = ratio(c * q, p)
    return Draft((a, b, c), f'Similar shapes: side {a} becomes {b}. Side {c} becomes?', answer, {
        'scale': f'scale {reduce(b, a)}, {times(c, q)}, {reduce(c * q, p)}',
        'cross': f'cross {times(b, c)}, {reduce(b * c, a)}',
        'inner': f'inside {reduce(c, a)}, {times(b, up)}, {reduce(b * up, down)}', 'mental': f'so {answer}'})
  area = c * p if rng.random() < .7 else (1 + c // 3) * p * p
  answer = ratio(area * q * q, p * p)
  twice = ratio(area * q, p)
  top, bottom = (area * q) // gcd(area * q, p), p // gcd(area * q, p)
  return Draft(('area', a, b, area), f'Similar shapes: side {a} becomes {b}. Area {area} becomes?', answer, {
      'scale': (f'scale {reduce(b, a)}, {q}*{q}={q * q}, {p}*{p}={p * p}, {area}*{q * q}={area * q * q}, '
                f'{reduce(area * q * q, p * p)}'),
      'twice': (f'twice {reduce(b, a)}, {times(area, q)}, {reduce(area * q, p)}, {times(top, q)}, '
                f'{bottom}*{p}={bottom * p}, {reduce(top * q, bottom * p)}'),
      'mental': f'so {twice}, {answer}'})


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
  weights = (f'weights {m}+{n}={whole}, {n}*{x}={n * x}, {m}*{x2}={m * x2}, '
             f'{n * x}+{m * x2}={n * x + m * x2}, {n}*{y}={n * y}, {m}*{y2}={m * y2}, '
             f'{n * y}+{m * y2}={n * y + m * y2}, ')
  if level == 3:
    weights += f'{n * x + m * x2}+{n * y + m * y2}={first}, {reduce(first, whole)}'
    jump = (f'{x2}-{x}={dx}, {y2}-{y}={dy}, {dx}{signed(dy)}={dx + dy}, {dx + dy}*{m}={(dx + dy) * m}, '
            f'{x}+{y}={x + y}, {x + y}*{whole}={(x + y) * whole}, '
            f'{(x + y) * whole}{signed((dx + dy) * m)}={first}, {reduce(first, whole)}')
  else:
    px, py = x + sx * m, y + sy * m
    weights += f'{n * x + m * x2}/{whole}={px}, {n * y + m * y2}/{whole}={py}, {px}+{py}={px + py}'
    jump = (f'{m}+{n}={whole}, {x2}-{x}={dx}, {dx}/{whole}*{m}={sx * m}, {x}+{sx * m}={px}, {y2}-{y}={dy}, '
            f'{dy}/{whole}*{m}={sy * m}, {y}{signed(sy * m)}={py}, {px}+{py}={px + py}')
  s, t = x + y, x2 + y2
  prompt = f'P divides ({x},{y}) to ({x2},{y2}) in ratio {m}:{n}. x+y of P?'
  return Draft((x, y, x2, y2, m, n), prompt, answer, {
      'weights': weights, 'step': f'step {jump}',
      'sums': (f'sums {x}+{y}={s}, {x2}+{y2}={t}, {m}+{n}={whole}, {n}*{s}={n * s}, {m}*{t}={m * t}, '
               f'{n * s}+{m * t}={first}, {reduce(first, whole)}'),
      'mental': f'so {answer}'})


def _dividing_number(a: int, step: int, m: int, n: int) -> Draft:
  """On the number line, `step` to each part: level 1 of `dividing_point`."""
  whole = m + n
  b, p = a + step * whole, a + step * m
  share = f'{b}-{a}={b - a}, {m}+{n}={whole}, {b - a}/{whole}={step}'
  return Draft((a, b, m, n), f'P divides {a} to {b} in ratio {m}:{n}. P?', str(p), {
      'step': f'step {share}, {m}*{step}={m * step}, {a}+{m * step}={p}',
      'back': f'back {share}, {n}*{step}={n * step}, {b}-{n * step}={p}',
      'weights': (f'weights {n}*{a}={n * a}, {m}*{b}={m * b}, {n * a}+{m * b}={whole * p}, {m}+{n}={whole}, '
                  f'{whole * p}/{whole}={p}'),
      'mental': f'so {p}'})


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
    after = (f'{x}-{x2}={jump}, {jump}*{u}={over}, {y2}*{v}={y2 * v}, '
             f'{y2 * v}{signed(over)}={y2 * v + over}, {reduce(y2 * v + over, v)}')
    free = y1 * v - u * x1
    back = (f'{u}*{x1}={u * x1}, {y1}*{v}={y1 * v}, {y1 * v}{_minus(u * x1)}={free}, {u}*{x}={u * x}, '
            f'{u * x}{signed(free)}={u * x + free}, {reduce(u * x + free, v)}')
  else:
    near, wide = ('', '') if v == 1 else (f'{jump}/{v}={jump // v}, ', f'{far}/{v}={far // v}, ')
    after = f'{x}-{x2}={jump}, {near}{jump // v}*{u}={over // v}, {y2}{signed(over // v)}={answer}'
    back = f'{x}-{x1}={far}, {wide}{far // v}*{u}={far // v * u}, {y1}{signed(far // v * u)}={answer}'
  return Draft((x1, y1, x2, y2, x), f'Line through ({x1},{y1}) and ({x2},{y2}). y at x={x}?', answer, {
      'slope': f'slope {slope}{after}', 'back': f'back {slope}{back}',
      'weights': (f'weights {x}-{x1}={far}, {far}*{y2}={far * y2}, {x}-{x2}={jump}, '
                  f'{jump}*{y1}={jump * y1}, {far * y2}{signed(-jump * y1)}={far * y2 - jump * y1}, '
                  f'{x2}-{x1}={run}, {reduce(far * y2 - jump * y1, run)}'),
      'mental': f'so slope {ratio(rise, run)}, {answer}'})


TEMPLATES = (polygon_area, squared_distance, missing_angle, l_shape, ring_sector, similar_side,
             dividing_point, line_value)
