"""Geometry: areas, lengths, angles and lines, each worked in several ways whose steps differ in size."""

from math import gcd
import random

from vibethinker_jax.data.synthetic.coordinates import _less, dividing_point, line_value, polygon_area, squared_distance
from vibethinker_jax.data.synthetic.problem import Draft
from vibethinker_jax.data.synthetic.working import minus, plus, ratio, reduce, signed, times, total

# The parts and angles of a ring that keep the fractions small.
PARTS = tuple((p, q) for q in (2, 3, 4, 5, 6, 7, 8, 9) for p in range(1, q) if gcd(p, q) == 1)
ANGLES = (30, 40, 45, 60, 72, 80, 90, 120, 135, 144, 150, 180, 210, 216, 225, 240, 270, 288, 300, 315)


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
    'total': f'total {sums}, {minus(whole, sum(angles))}',
    'takeaway': f'take {rest}',
    'balance': (
      f'mean {mean}: {", ".join(f"{a}-{mean}={a - mean}" for a in angles)}, '
      f'{", ".join(running)}, {mean}{signed(-gap)}={last}'
    ),
    'mental': f'so {last}',
  }
  if level > 1:
    solutions['exterior'] = (
      f'outside {", ".join(f"180-{a}={180 - a}" for a in angles)}, '
      f'{_less(360, outside)}, 180-{360 - sum(outside)}={last}'
    )
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
    return Draft(
      (w, h, a, b),
      f'{w} by {h} rectangle less a {a} by {b} corner. Area?',
      str(area),
      {
        'cut': f'cut {times(w, h)}, {times(a, b)}, {minus(w * h, a * b)}',
        'split': (
          f'split {w}-{a}={w - a}, {times(w - a, h)}, {h}-{b}={h - b}, {times(a, h - b)}, '
          f'{plus((w - a) * h, a * (h - b))}'
        ),
        'mental': f'so {area}',
      },
    )
  c, d = rng.randint(1, w - 1), rng.randint(1, h - 1)
  if a + c >= w:
    a, c = max(1, min(a, w - 2) // 2), max(1, (w - 1) // 2)
  if (c, d) > (a, b):
    a, b, c, d = c, d, a, b
  middle, area = w - a - c, w * h - a * b - c * d
  prompt = f'{w} by {h} rectangle less top corners {a} by {b} and {c} by {d}. Area?'
  return Draft(
    (w, h, a, b, c, d),
    prompt,
    str(area),
    {
      'cut': f'cut {times(w, h)}, {times(a, b)}, {times(c, d)}, {minus(w * h, a * b)}, {minus(w * h - a * b, c * d)}',
      'split': (
        f'split {w}-{a}-{c}={middle}, {times(middle, h)}, {h}-{b}={h - b}, {times(a, h - b)}, '
        f'{h}-{d}={h - d}, {times(c, h - d)}, {plus(middle * h, a * (h - b))}, '
        f'{plus(middle * h + a * (h - b), c * (h - d))}'
      ),
      'mental': f'so {w * h}-{a * b + c * d}={area}',
    },
  )


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
  return Draft(
    key,
    prompt,
    answer,
    {
      'squares': f'squares {large}*{large}={outer}, {small}*{small}={inner}, {outer}-{inner}={ring}{part}, {end}',
      'factor': (
        f'factor {large}-{small}={large - small}, {large}+{small}={large + small}, '
        f'{times(large + small, large - small)}{part}, {end}'
      ),
      'share': (
        f'share {large}*{large}={outer}{part}, {outer}*{p}={outer * p}, {small}*{small}={inner}, '
        f'{inner}*{p}={inner * p}, {outer * p}-{inner * p}={ring * p}, {reduce(ring * p, q)}'
      ),
      'mental': f'so {ring}, {answer}',
    },
  )


def _disc(small: int, large: int, angle: int, p: int, q: int, radius: int, other: int) -> Draft:
  """A ring sector and a disc sector together: level 3 of `ring_sector`."""
  divisor = gcd(other, 360)
  u, v = other // divisor, 360 // divisor
  ring, disc = large * large - small * small, radius * radius
  low = q * v // gcd(q, v)
  one, two = ring * p * (low // q), disc * u * (low // v)
  answer = ratio(one + two, low)
  add = f'over {low}: {one}+{two}={one + two}, {reduce(one + two, low)}'
  tail = (
    f'{angle}/360={p}/{q}, {ring}*{p}={ring * p}, {ring * p}/{q}={one}/{low}, '
    f'{radius}*{radius}={disc}, {other}/360={u}/{v}, {disc}*{u}={disc * u}, '
    f'{disc * u}/{v}={two}/{low}, {add}'
  )
  prompt = (
    f'Ring with radii {small} and {large}, angle {angle}, and disc radius {radius}, angle {other}. Area is k pi. k?'
  )
  return Draft(
    (small, large, angle, radius, other),
    prompt,
    answer,
    {
      'squares': (
        f'squares {large}*{large}={large * large}, {small}*{small}={small * small}, '
        f'{large * large}-{small * small}={ring}, {tail}'
      ),
      'factor': (
        f'factor {large}-{small}={large - small}, {large}+{small}={large + small}, '
        f'{large - small}*{large + small}={ring}, {tail}'
      ),
      'mental': f'so {ratio(ring * p, q)} and {ratio(disc * u, v)}, {answer}',
    },
  )


def similar_side(rng: random.Random, level: int) -> Draft:
  """'Similar shapes: side 3 becomes 12. Side 5 becomes?', '... side 4 becomes 6. Area 20 becomes?'"""
  if level == 1:
    a, scale, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(1, 12)
    c += c == a  # the side already given would be no question
    b, d = a * scale, c * scale
    return Draft(
      (a, b, c),
      f'Similar shapes: side {a} becomes {b}. Side {c} becomes?',
      str(d),
      {
        'scale': f'scale {b}/{a}={scale}, {times(c, scale)}',
        'cross': f'cross {b}*{c}={b * c}, {b * c}/{a}={d}',
        'inner': f'inside {reduce(c, a)}, {b}*{ratio(c, a)}={d}',
        'mental': f'so {d}',
      },
    )
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
    return Draft(
      (a, b, c),
      f'Similar shapes: side {a} becomes {b}. Side {c} becomes?',
      answer,
      {
        'scale': f'scale {reduce(b, a)}, {times(c, q)}, {reduce(c * q, p)}',
        'cross': f'cross {times(b, c)}, {reduce(b * c, a)}',
        'inner': f'inside {reduce(c, a)}, {times(b, up)}, {reduce(b * up, down)}',
        'mental': f'so {answer}',
      },
    )
  area = c * p if rng.random() < 0.7 else (1 + c // 3) * p * p
  answer = ratio(area * q * q, p * p)
  twice = ratio(area * q, p)
  top, bottom = (area * q) // gcd(area * q, p), p // gcd(area * q, p)
  return Draft(
    ('area', a, b, area),
    f'Similar shapes: side {a} becomes {b}. Area {area} becomes?',
    answer,
    {
      'scale': (
        f'scale {reduce(b, a)}, {q}*{q}={q * q}, {p}*{p}={p * p}, {area}*{q * q}={area * q * q}, '
        f'{reduce(area * q * q, p * p)}'
      ),
      'twice': (
        f'twice {reduce(b, a)}, {times(area, q)}, {reduce(area * q, p)}, {times(top, q)}, '
        f'{bottom}*{p}={bottom * p}, {reduce(top * q, bottom * p)}'
      ),
      'mental': f'so {twice}, {answer}',
    },
  )


TEMPLATES = (
  polygon_area,
  squared_distance,
  missing_angle,
  l_shape,
  ring_sector,
  similar_side,
  dividing_point,
  line_value,
)
