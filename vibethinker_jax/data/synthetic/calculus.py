"""Calculus problems with numeric answers: derivatives, integrals, limits, extrema, tangents and sums.

Style names mean the same idea everywhere: `mental` leaps to the result, the others take small steps along
different paths (a rule, a division, a picture, a walk).
"""

import random

from vibethinker_jax.data.synthetic.polynomials import (
  add,
  derivative,
  horner,
  mul,
  nonzero,
  poly,
  powers,
  run,
  sums,
  value,
)
from vibethinker_jax.data.synthetic.problem import Draft
from vibethinker_jax.data.synthetic.working import signed


def power_rule(rng: random.Random, level: int) -> Draft:
  """f(x)=2x^2+5x+4, find f'(3)."""
  integer = rng.randint
  if level == 1:
    f, n = [integer(1, 5), integer(1, 9), integer(1, 9)], integer(1, 5)
  elif level == 2:
    f, n = [integer(1, 3), integer(1, 5), integer(1, 9), integer(1, 9)], integer(1, 3)
  else:
    f, n = [integer(1, 4), nonzero(rng, 7), nonzero(rng, 9), integer(1, 9)], nonzero(rng, 5)
  slope = derivative(f)
  answer, degree = value(slope, n), len(f) - 1
  terms, parts = [], []
  for i, factor in enumerate(f[:-1]):
    power = degree - i
    # The digit-sized route: bring the power down, then one factor n at a time.
    out, current = [], factor
    if power > 1:
      out.append(mul(factor, power))
      current *= power
    for _ in range(power - 1):
      out.append(mul(current, n))
      current *= n
    parts.append(f'{poly([factor] + [0] * power)} gives {", ".join(out) or current}')
    terms.append(current)
  first = [f[0]]  # Dividing by x-n leaves f(n), dividing the quotient again leaves f'(n).
  for factor in f[1:-1]:
    first.append(first[-1] * n + factor)
  rows = ', '.join(f'{a}*{n}{signed(b)}={a * n + b}' for a, b in zip(first, f[1:-1]))
  second, again = first[0], []
  for factor in first[1:]:
    again.append(f'{second}*{n}{signed(factor)}={second * n + factor}')
    second = second * n + factor
  return Draft(
    (*f, n),
    rng.choice((f"f(x)={poly(f)}, find f'({n})", f'slope of {poly(f)} at x={n}')),
    str(answer),
    {
      'mental': f'slope {poly(slope)} so {answer}',
      'rule': f'slope {poly(slope)}, {powers(slope, n)}',
      'terms': f'{", ".join(parts)}, then add {", ".join(sums(terms))}',
      'divide': f'{rows}, again {", ".join(again)}',
    },
  )


def line_integral(rng: random.Random, level: int) -> Draft:
  """integral of 4x+3 from 1 to 4."""
  if level == 3:
    return crossing_line(rng)
  integer = rng.randint
  half, p, low = integer(1, 2 + level), integer(0, 4), integer(1, 12 * level)
  width = integer(1, 4) if level == 1 else integer(2, 5)
  a, q = 2 * half, p + width  # An even slope: the mean height and the antiderivative stay whole.
  b, rise = low - a * p, a * width
  high, mean, whole = low + rise, low + rise // 2, [half, b, 0]
  answer, at_p = mean * width, value(whole, p)
  ends = f'ends {horner([a, b], p) if p else low} and {horner([a, b], q)}'
  return Draft(
    (a, b, p, q),
    rng.choice((f'integral of {poly([a, b])} from {p} to {q}', f'area under y={poly([a, b])} from {p} to {q}')),
    str(answer),
    {
      'mental': f'ends {low} and {high} so {answer}',
      'mean': f'{ends}, add {add(low, high)}, half {mean}, times {width}: {mul(mean, width)}',
      'picture': f'start {low}, rise {mul(a, width)}, half {rise // 2}, box {mul(low, width)}, '
      f'top {mul(rise // 2, width)}, add {add(low * width, rise // 2 * width)}',
      'antiderivative': f'{poly(whole)}, at {q}: {horner(whole, q)}'
      + (f', at {p}: {horner(whole, p)}, {add(answer + at_p, -at_p)}' if p else ''),
    },
  )


def crossing_line(rng: random.Random) -> Draft:
  """area between y=4x-12 and the x axis from 1 to 8: the line crosses the axis, two triangles."""
  half, zero, left, right = rng.randint(1, 4), rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 6)
  a, b, p, q = 2 * half, -2 * half * zero, zero - left, zero + right
  one, two = half * left * left, half * right * right
  low, mid, high = half * p * (p - 2 * zero), -half * zero * zero, half * q * (q - 2 * zero)
  at = [half, b, 0]
  return Draft(
    (a, b, p, q),
    f'area between y={poly([a, b])} and the x axis from {p} to {q}',
    str(one + two),
    {
      'mental': f'zero at {zero}, areas {one} and {two} so {one + two}',
      'picture': f'zero at {zero}, left base {add(zero, -p)}, high {mul(a, left)}, '
      f'half of {mul(left, a * left)} is {one}, right base {add(q, -zero)}, '
      f'high {mul(a, right)}, half of {mul(right, a * right)} is {two}, add {add(one, two)}',
      'square': f'zero at {zero}, {add(zero, -p)}, {left}*{left}={left * left}, {add(q, -zero)}, '
      f'{right}*{right}={right * right}, add {add(left * left, right * right)}, '
      f'times half of {a}: {mul(left * left + right * right, half)}',
      'antiderivative': f'{poly(at)}, zero at {zero}, at {p} {low}, at {zero} {mid}, at {q} {high}, '
      f'left {add(low, -mid)}, right {add(high, -mid)}, add {add(one, two)}',
    },
  )


def tangent(rng: random.Random, level: int) -> Draft:
  """tangent to y=2x^2+3 at x=2: height at x=5."""
  integer = rng.randint
  if level == 1:
    f, n, step = [integer(1, 3), 0, integer(0, 24)], integer(1, 3), integer(1, 3)
  elif level == 2:
    f, n, step = [integer(1, 4), nonzero(rng, 9), integer(0, 9)], integer(1, 3), integer(2, 3)
  else:
    f, n, step = [integer(1, 2), integer(0, 3), nonzero(rng, 9), integer(0, 9)], integer(1, 3), integer(2, 3)
  height, slope = value(f, n), value(derivative(f), n)
  m, answer = n + step, height + slope * step
  start = height - slope * n
  heights = ' '.join(f'{add(height + i * slope, slope)},' for i in range(step))
  return Draft(
    (*f, n, m),
    rng.choice(
      (f'tangent to y={poly(f)} at x={n}: height at x={m}', f'the line touching y={poly(f)} at x={n}, find y at x={m}')
    ),
    str(answer),
    {
      'mental': f'height {height}, slope {slope} so {answer}',
      'point': f'height {horner(f, n)}, slope {poly(derivative(f))}, {horner(derivative(f), n)}, '
      f'{m}-{n}={step}, {mul(slope, step)}, {add(height, slope * step)}',
      'walk': f'height {horner(f, n)}, slope {horner(derivative(f), n)}, then {heights[:-1]}',
      'intercept': f'slope {slope}, height {height}, {mul(slope, n)}, at 0: {add(height, -slope * n)}, '
      f'{mul(slope, m)}, add {add(start, slope * m)}',
    },
  )


def peak(rng: random.Random, level: int) -> Draft:
  """largest value of 5+6x-x^2."""
  a = 1 if level == 1 else rng.randint(2, 4) if level == 2 else rng.randint(1, 3)
  h, c = nonzero(rng, 5 if level == 1 else 4), rng.randint(0, 60 if level < 3 else 20)
  sign = rng.choice((-1, 1))
  f = [sign * a, -2 * sign * a * h, c]
  top = c - sign * a * h * h
  side, reach = rng.choice((-1, 1)), rng.randint(2, 4)
  far = h + side * reach
  drop = a * reach * reach
  end = top + sign * drop
  middle = f'slope {poly(derivative(f))} is 0 at {h}'
  half = f'{2 * a * abs(h)}/{a}={2 * abs(h)}, half {abs(h)}' if a > 1 else f'half of {2 * abs(h)} is {abs(h)}'
  below = f'{mul(abs(h), abs(h))}, ' + (f'{mul(a, h * h)}, ' if a > 1 else '') + add(c, -sign * a * h * h)
  # From one whole x to the next the parabola changes by a, 3a, 5a, ... away from its peak.
  changes = [-sign * a * k for k in range(2 * abs(h) - 1, 0, -2)]
  walk = f'{c}, ' + ', '.join(sums([c, *changes] if changes else [c]))
  solutions = {
    'mental': f'at {h} so {top}',
    'derivative': f'{middle}, {horner(f, h)}',
    'square': f'{half}, {below}',
    'walk': f'at 0: {walk}',
  }
  word = 'largest' if sign < 0 else 'smallest'
  if level < 3:
    return Draft((*f,), f'{word} value of {poly(f)}', str(top), solutions)
  low, high = (h - reach + 1, far) if side > 0 else (far, h + reach - 1)
  answer = top + end
  finish = f'add {add(top, end)}'
  falls = ', '.join(sums([top, *(sign * a * k for k in range(1, 2 * reach, 2))]))
  return Draft(
    (*f, low, high),
    f'largest plus smallest value of {poly(f)} for x from {low} to {high}',
    str(answer),
    {
      'mental': f'at {h} {top}, at {far} {end} so {answer}',
      'derivative': f'{middle}, {horner(f, h)}, far end {far}: {horner(f, far)}, {finish}',
      'square': f'{half}, {below}, far {reach}, {reach}*{reach}={reach * reach}, '
      f'{mul(a, reach * reach)}, {add(top, sign * drop)}, {finish}',
      'walk': f'at 0: {walk}, back {falls}, {finish}',
    },
  )


def limit(rng: random.Random, level: int) -> Draft:
  """limit of (x^2+2x-15)/(x-3)+4 as x goes to 3."""
  integer = rng.randint
  while True:
    if level < 3:
      a, extra = integer(1, 6), integer(0, 9)
      lead = 1 if level == 1 else integer(2, 3)
      rest = [lead, lead * nonzero(rng, 9)]
    else:
      a, extra = nonzero(rng, 4), 0
      rest = [integer(1, 2), nonzero(rng, 9), nonzero(rng, 9)]
    top = [*(x + y for x, y in zip([*rest, 0], [0, *(-a * x for x in rest)]))]
    if value(rest, a) and top[1]:
      break
  result = value(rest, a)
  answer = result + extra
  last = f', {add(result, extra)}' if extra else ''
  division, carried = [], rest[0]
  for factor in top[1:-1]:
    division += [mul(carried, a), add(carried * a, factor)]
    carried = carried * a + factor
  matched = f'{top[-1]}/{-a}={rest[-1]}' + (f', {top[1]}{signed(a * rest[0])}={rest[1]}' if level == 3 else '')
  below = f'(x{signed(-a)})'
  return Draft(
    (*top, a, extra),
    f'limit of ({poly(top)})/{below}{signed(extra) if extra else ""} as x goes to {a}',
    str(answer),
    {
      'mental': f'rest {poly(rest)} so {answer}',
      'factor': f'{matched} so rest {poly(rest)}, {horner(rest, a)}{last}',
      'divide': f'{", ".join(division)} so rest {poly(rest)}, {horner(rest, a)}{last}',
      'slope': f'slope {poly(derivative(top))}, {powers(derivative(top), a)}{last}',
    },
  )


def series(rng: random.Random, level: int) -> Draft:
  """sum of 3k+2 for k=1 to 5."""
  integer = rng.randint
  if level == 1:
    f, p, count = [integer(1, 9), integer(-4, 20)], 1, integer(3, 5)
  elif level == 2:
    f, p, count = [integer(2, 7), nonzero(rng, 9)], integer(2, 5), integer(4, 5)
  else:
    f, p, count = [integer(1, 3), nonzero(rng, 5), integer(-5, 9)], integer(1, 3), 3
  q = p + count - 1
  terms = [value(f, k) for k in range(p, q + 1)]
  answer = sum(terms)
  listed = ' '.join(map(str, terms))
  ks = list(range(p, q + 1))
  b, rest = f[-2], f[-1] * count
  parts = [b * sum(ks), rest]
  work = [f'k {run(ks)}', mul(b, sum(ks))]
  if level == 3:
    squares = [k * k for k in ks]
    parts, work = [f[0] * sum(squares), *parts], [f'squares {run(squares)}', mul(f[0], sum(squares)), *work]
  work.append(mul(f[-1], count))
  each = ', '.join(f'{k}: {horner(f, k)}' for k in ks) if level == 3 else f'terms {listed}'
  solutions = {
    'mental': f'terms {listed} so {answer}',
    'walk': f'{each}, add {", ".join(sums(terms))}',
    'parts': f'{", ".join(work)}, add {", ".join(sums(parts))}',
  }
  if level < 3:
    ends = terms[0] + terms[-1]
    solutions['pairs'] = (
      f'first {terms[0]}, last {horner(f, q)}, add {add(terms[0], terms[-1])}, '
      f'times {count}: {mul(ends, count)}, half {answer}'
    )
  return Draft((*f, p, q), f'sum of {poly(f, "k")} for k={p} to {q}', str(answer), solutions)


def average_rate(rng: random.Random, level: int) -> Draft:
  """average slope of 2x^2+5x from 1 to 4."""
  integer = rng.randint
  if level == 1:
    f, p, width = [integer(1, 3), integer(-9, 9), 0], integer(0, 3), integer(1, 3)
  elif level == 2:
    f, p, width = [integer(2, 5), nonzero(rng, 11), 0], integer(1, 4), integer(2, 3)
  else:
    f, p, width = [integer(1, 2), nonzero(rng, 5), nonzero(rng, 9), 0], integer(-2, 3), integer(2, 3)
  q = p + width
  low, high = value(f, p), value(f, q)
  answer = (high - low) // width
  ends = p + q
  solutions = {
    'mental': f'ends {low} and {high} so {answer}',
    'ends': f'at {p}: {horner(f, p) if p else low}, at {q}: {horner(f, q)}, {add(high, -low)}, '
    f'{high - low}/{width}={answer}',
  }
  if level < 3:
    doubled = mul(2 * f[0], ends)
    last = f', {add(f[0] * ends, f[1])}' if f[1] else ''
    solutions['factor'] = f'{p}+{q}={ends}, {mul(f[0], ends)}{last}'
    solutions['middle'] = f'slope {poly(derivative(f))}, middle {ends}/2, {doubled}, half {f[0] * ends}' + (
      f', {add(f[0] * ends, f[1])}' if f[1] else ''
    )
  else:
    square = p * p + p * q + q * q
    solutions['factor'] = (
      f'({p})^2={p * p}, {p}*{q}={p * q}, ({q})^2={q * q}, add '
      f'{", ".join(sums([p * p, p * q, q * q]))}, '
      f'{mul(f[0], square)}, {p}+{q}={ends}, {mul(f[1], ends)}, '
      f'add {", ".join(sums([f[0] * square, f[1] * ends, f[2]]))}'
    )
  return Draft(
    (*f, p, q),
    rng.choice(
      (f'average slope of {poly(f)} from {p} to {q}', f'average rate of change of {poly(f)} from x={p} to x={q}')
    ),
    str(answer),
    solutions,
  )


def curve_integral(rng: random.Random, level: int) -> Draft:
  """integral of 3x^2+4x+5 from 0 to 3."""
  integer = rng.randint
  if level == 1:
    whole, p, q = [integer(1, 3), integer(0, 5), integer(0, 19), 0], 0, integer(1, 2)
  elif level == 2:
    whole, p, q = [integer(1, 2), nonzero(rng, 4), integer(-9, 9), 0], integer(0, 1), integer(2, 3)
  else:
    whole, p = [integer(1, 2), nonzero(rng, 5), nonzero(rng, 9), 0], rng.choice((-2, -1, 1))
    q = max(p, 0) + integer(1, 2)
  f = derivative(whole)
  low, high = value(whole, p), value(whole, q)
  subtract = f', at {p}: {horner(whole, p)}, {add(high, -low)}' if p else ''
  terms, parts = [], []
  for i, factor in enumerate(whole[:-1]):
    if factor:
      power = 3 - i
      top, bottom = q**power, p**power
      below = f'({p})^{power}' if p < 0 else f'{p}^{power}'
      difference = f'{q}^{power}-{below}={top - bottom}' if p else f'{q}^{power}={top}'
      parts.append(
        f'{poly([f[i]] + [0] * (power - 1))} gives {difference}'
        + (f', {mul(factor, top - bottom)}' if factor != 1 else '')
      )
      terms.append(factor * (top - bottom))
  return Draft(
    (*f, p, q),
    rng.choice((f'integral of {poly(f)} from {p} to {q}', f'integrate {poly(f)} from x={p} to x={q}')),
    str(high - low),
    {
      'mental': f'{poly(whole)}' + (f', {high} and {low}' if p else '') + f' so {high - low}',
      'antiderivative': f'{poly(whole)}, at {q}: {powers(whole, q)}'
      + (f', at {p}: {powers(whole, p)}, {add(high, -low)}' if p else ''),
      # From 0 to 1 the nested form is the sum of the coefficients, just like the one above.
      **({'nested': f'{poly(whole)}, at {q}: {horner(whole, q)}{subtract}'} if q > 1 else {}),
      'terms': ', '.join(parts) + (f', add {", ".join(sums(terms))}' if len(terms) > 1 else ''),
    },
  )


TEMPLATES = (power_rule, line_integral, tangent, peak, limit, series, average_rate, curve_integral)
