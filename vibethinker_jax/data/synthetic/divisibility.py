"""Algebra of whole numbers: ratios, common divisors, fractions."""

from math import gcd
import random

from vibethinker_jax.data.synthetic.problem import Draft
from vibethinker_jax.data.synthetic.working import divide, ratio, reduce, times, total


def ratio_share(rng: random.Random, level: int) -> Draft:
  """'Share 60 in ratio 2:3. Larger part?', 'a:b=2:3, b:c=4:5, a+b+c=70. Find c.'"""
  if level == 3:
    return _chained_ratio(rng)
  count = level + 1
  parts = sorted(rng.sample(range(1, 10), count))
  word, wanted = rng.choice(
    (('smallest', parts[0]), ('largest', parts[-1])) if level == 2 else (('smaller', parts[0]), ('larger', parts[1]))
  )
  whole = sum(parts)
  k = rng.randint(2, min(20, 120 // whole) if level == 1 else 15)
  amount, start = k * whole, 5 if k < 10 else 10
  more, gap = k - start, amount - start * whole
  fix = (
    f'so {start} each'
    if not gap
    else f'low {amount}-{start * whole}={gap}, {gap}/{whole}={more}, {start}+{more}={k} each'
    if gap > 0
    else f'high {start * whole}-{amount}={-gap}, {-gap}/{whole}={-more}, {start}-{-more}={k} each'
  )
  prompt = f'Share {amount} in ratio {":".join(map(str, parts))}. {word.title()} part?'
  return Draft(
    (*parts, amount, word),
    prompt,
    str(wanted * k),
    {
      'unit': f'parts {total(parts)}, {divide(amount, whole)}, {k}*{wanted}={k * wanted}',
      'trial': f'try {start} each: {"+".join(map(str, parts))}={whole}, {start}*{whole}={start * whole}, '
      f'{fix}, {k}*{wanted}={k * wanted}',
      'fraction': f'share {wanted}/{whole}, {amount}*{wanted}={amount * wanted}, '
      f'{wanted * amount}/{whole}={wanted * k}',
      'mental': f'so {wanted * k}',
    },
  )


def _chained_ratio(rng: random.Random) -> Draft:
  """'a:b=2:3, b:c=4:5, a+b+c=70. Find c.': level 3 of `ratio_share`."""
  p, q, r, s = rng.randint(1, 6), rng.randint(2, 6), rng.randint(2, 6), rng.randint(1, 6)
  k = rng.randint(2, 9)
  whole = p * r + q * r + q * s
  amount, c = k * whole, k * q * s
  return Draft(
    (p, q, r, s, amount),
    f'a:b={p}:{q}, b:c={r}:{s}, a+b+c={amount}. Find c.',
    str(c),
    {
      'unit': (
        f'parts a {p}*{r}={p * r}, b {q}*{r}={q * r}, c {q}*{s}={q * s}, '
        f'{total([p * r, q * r, q * s])}, {divide(amount, whole)}, {times(q * s, k)}'
      ),
      'back': (
        f'a+b to b {p}+{q}={p + q}, c to b {s}/{r}, so b*({p + q}/{q}+{s}/{r})={amount}, '
        f'{p + q}/{q}+{s}/{r}={whole}/{q * r}, {amount}/{whole}={k}, b={q * r}*{k}={q * r * k}, '
        f'{q * r * k}/{r}={q * k}, c={q * k}*{s}={c}'
      ),
      'mental': f'so {p * r}:{q * r}:{q * s}, each {k}, c={c}',
    },
  )


def common_divisor(rng: random.Random, level: int) -> Draft:
  """'Greatest common divisor of 24 and 36?', 'Least common multiple of 24 and 36?'"""
  fits = False
  while not fits:  # long remainder chains and long divisor lists would not fit the trace bound
    g = rng.randint(2, (12, 24, 20)[level - 1])
    a = g * rng.randint(1, (90 // g, 150 // g, 9)[level - 1])
    b = g * rng.randint(1, (90 // g, 150 // g, 12)[level - 1])
    a, b = min(a, b), max(a, b) + (g if a == b else 0)
    g, x, y, euclid = gcd(a, b), b, a, []
    while y:
      euclid.append(f'{x}-{x // y}*{y}={x % y}')
      x, y = y, x % y
    divisors = [d for d in range(a, g - 1, -1) if not a % d]
    fits = len(euclid) < 4 + level and len(divisors) < 5 + level
  tested = ', '.join(f'{b}/{d} no' for d in divisors[:-1])
  primes = [_primes(a), _primes(b), _primes(g)]
  shared = f'{"*".join(map(str, primes[2]))}={g}' if len(primes[2]) > 1 else str(g)
  factors = [f'{n}={"*".join(map(str, p))}' if len(p) > 1 else str(n) for n, p in zip((a, b), primes)]
  work = {
    'euclid': f'take {", ".join(euclid)}, so {g}',
    'divisors': f'divisors of {a}: {tested}{", " if tested else ""}{b}/{g}={b // g}, so {g}',
    'primes': f'primes {factors[0]}, {factors[1]}, common {shared}',
    'mental': f'so {g}',
  }
  if level < 3:
    return Draft(('gcd', a, b), f'Greatest common divisor of {a} and {b}?', str(g), work)
  multiple = a // g * b
  end = f'{divide(a, g)}, {times(b, a // g)}'
  multiples = ', '.join(f'{i * b}' for i in range(1, a // g + 1))
  return Draft(
    ('lcm', a, b),
    f'Least common multiple of {a} and {b}?',
    str(multiple),
    {
      'euclid': f'{work["euclid"]}, {end}',
      'primes': f'{work["primes"]}, {end}',
      'list': f'multiples of {b}: {multiples}, and {multiple}/{a}={multiple // a}, so {multiple}',
      'mental': f'so {g}, {multiple}',
    },
  )


def _primes(number: int) -> list[int]:
  """36 -> [2, 2, 3, 3]; 1 -> [1]."""
  out, p = [], 2
  while p * p <= number:
    while not number % p:
      out.append(p)
      number //= p
    p += 1
  return out + [number] if number > 1 or not out else out


def fraction_sum(rng: random.Random, level: int) -> Draft:
  """'1/2+1/3?', '1/2+1/3-1/4?', '(1/2+1/3)*3/4?'"""
  b, d = rng.randint(2, 9), rng.randint(2, 9)
  a, c = _numerator(rng, b), _numerator(rng, d)
  subtract = rng.random() < 0.5
  sign = '-' if subtract else '+'
  if (subtract and a * d < c * b) or (not subtract and a * d > c * b):
    a, b, c, d = c, d, a, b
  if subtract and a * d == c * b:
    sign, subtract = '+', False
  f = rng.randint(2, 4 if level == 2 else 9)
  e = _numerator(rng, f)
  if level == 2:  # terms that are added commute: one order for each problem
    if not subtract:
      (f, e), (d, c), (b, a) = sorted(((b, a), (d, c), (f, e)))
    elif e * b > a * f:
      a, b, e, f = e, f, a, b
  low = b * d // gcd(b, d)
  one, two = a * d, (-c if subtract else c) * b
  small_one, small_two = a * (low // b), c * (low // d)
  small = small_one - small_two if subtract else small_one + small_two
  cross = f'cross {a}*{d}={one}, {c}*{b}={abs(two)}, {one}{sign}{abs(two)}={one + two}, {b}*{d}={b * d}, '
  least = f'over {low}: {a}/{b}={small_one}/{low}, {c}/{d}={small_two}/{low}, {small_one}{sign}{small_two}={small}, '
  if level == 1:
    return Draft(
      (a, b, sign, c, d),
      f'{a}/{b}{sign}{c}/{d}?',
      ratio(small, low),
      {
        'cross': f'{cross}{reduce(one + two, b * d)}',
        'least': f'{least}{reduce(small, low)}',
        'mental': f'so {ratio(small, low)}',
      },
    )
  p, q = small // gcd(small, low), low // gcd(small, low)
  if level == 3:
    key, prompt = (a, b, sign, c, d, '*', e, f), f'({a}/{b}{sign}{c}/{d})*{e}/{f}?'
    end = f'{p}*{e}={p * e}, {q}*{f}={q * f}, {reduce(p * e, q * f)}'
    first, second = gcd(a * e, b * f), gcd(c * e, d * f)
    answer = ratio(p * e, q * f)
    n1, d1, n2, d2 = a * e // first, b * f // first, c * e // second, d * f // second
    common = d1 * d2 // gcd(d1, d2)
    m1, m2 = n1 * (common // d1), n2 * (common // d2)
    spread = (
      f'spread {a}*{e}={a * e}, {b}*{f}={b * f}, {reduce(a * e, b * f)}, {c}*{e}={c * e}, '
      f'{d}*{f}={d * f}, {reduce(c * e, d * f)}, '
      f'over {common}: {m1}{sign}{m2}={m1 - m2 if subtract else m1 + m2}, '
      f'{reduce(m1 - m2 if subtract else m1 + m2, common)}'
    )
    return Draft(
      key,
      prompt,
      answer,
      {
        'cross': f'{cross}{reduce(one + two, b * d)}, {end}',
        'least': f'{least}{reduce(small, low)}, {end}',
        'spread': spread,
        'mental': f'so {ratio(small, low)}, {answer}',
      },
    )
  whole = low * f // gcd(low, f)
  thirds = [a * (whole // b), c * (whole // d), e * (whole // f)]
  top = thirds[0] + (-thirds[1] if subtract else thirds[1]) + thirds[2]
  answer = ratio(top, whole)
  return Draft(
    (a, b, sign, c, d, '+', e, f),
    f'{a}/{b}{sign}{c}/{d}+{e}/{f}?',
    answer,
    {
      'cross': (
        f'{cross}{reduce(one + two, b * d)}, {p}*{f}+{e}*{q}={p * f}+{e * q}={p * f + e * q}, '
        f'{q}*{f}={q * f}, {reduce(p * f + e * q, q * f)}'
      ),
      'least': (
        f'over {whole}: {a}/{b}={thirds[0]}/{whole}, {c}/{d}={thirds[1]}/{whole}, '
        f'{e}/{f}={thirds[2]}/{whole}, {thirds[0]}{sign}{thirds[1]}+{thirds[2]}={top}, '
        f'{reduce(top, whole)}'
      ),
      'mental': f'so {answer}',
    },
  )


def _numerator(rng: random.Random, denominator: int) -> int:
  """A numerator below the denominator that leaves a reduced fraction."""
  while True:
    value = rng.randint(1, denominator - 1)
    if gcd(value, denominator) == 1:
      return value
