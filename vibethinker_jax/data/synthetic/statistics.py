"""Statistics problems: averages, spread, missing values, dice, urns, choices and expected values.

Style names mean the same idea everywhere: `mental` leaps to the result, the others take small steps along
different paths (a sum, a guess that is corrected, a list, the opposite case).
"""

import random

from vibethinker_jax.data.synthetic.polynomials import add, mul, sums
from vibethinker_jax.data.synthetic.problem import Draft
from vibethinker_jax.data.synthetic.working import ratio, reduce, signed


def listed(numbers: list[int]) -> str:
  """[3, 5, 8] -> '3 5 8'."""
  return ' '.join(map(str, numbers))


def balanced(rng: random.Random, count: int, low: int, high: int) -> list[int]:
  """`count` random numbers from low to high whose mean is whole."""
  numbers = [rng.randint(low, high) for _ in range(count)]
  excess = sum(numbers) % count
  for i, number in enumerate(numbers):
    # Moving one number by less than `count` makes the sum divisible and keeps the rest random.
    if number - excess >= low:
      numbers[i] = number - excess
      return numbers
  return balanced(rng, count, low, high)


def running(numbers: list[int]) -> str:
  """[3, 5, 8] -> '3+5=8, 8+8=16'."""
  return ', '.join(sums(numbers))


def mean(rng: random.Random, level: int) -> Draft:
  """mean of 4, 9, 2, 5."""
  count = (4, 5, 6)[level - 1]
  low, high = ((1, 15), (10, 39), (20, 79))[level - 1]
  numbers = balanced(rng, count, low, high)
  answer = sum(numbers) // count
  guess = numbers[0] if level == 1 else numbers[0] // 10 * 10
  gaps = [number - guess for number in numbers]
  ordered = sorted(numbers)
  pairs = [ordered[i] + ordered[-1 - i] for i in range(count // 2)] + ([ordered[count // 2]] if count % 2 else [])
  paired = ', '.join(add(ordered[i], ordered[-1 - i]) for i in range(count // 2))
  return Draft(
    tuple(ordered),
    f'mean of {", ".join(map(str, numbers))}',
    str(answer),
    {
      'mental': f'sum {sum(numbers)} so {answer}',
      'sum': f'{running(numbers)}, {sum(numbers)}/{count}={answer}',
      'guess': f'guess {guess}, gaps {listed(gaps)}, add {running(gaps)}, '
      f'{sum(gaps)}/{count}={sum(gaps) // count}, {add(guess, sum(gaps) // count)}',
      'pairs': f'sorted {listed(ordered)}, pairs {paired}, add {running(pairs)}, {sum(numbers)}/{count}={answer}',
    },
  )


def missing(rng: random.Random, level: int) -> Draft:
  """4, 9, 2 and x have mean 5, find x."""
  count = (4, 5, 6)[level - 1]
  low, high = ((1, 12), (10, 29), (20, 59))[level - 1]
  numbers = balanced(rng, count, low, high)
  average = sum(numbers) // count
  *known, answer = numbers
  gaps = [number - average for number in known]
  left, rest = [average * count], []
  for number in known:
    rest.append(add(left[-1], -number))
    left.append(left[-1] - number)
  return Draft(
    (*sorted(known), average),
    f'{", ".join(map(str, known))} and x have mean {average}, find x',
    str(answer),
    {
      'mental': f'sums {average * count} and {sum(known)} so {answer}',
      'sum': f'{mul(average, count)}, {running(known)}, {add(average * count, -sum(known))}',
      'gaps': f'gaps {listed(gaps)}, add {running(gaps)}, {add(average, -sum(gaps))}',
      'take': f'{mul(average, count)}, take {", ".join(rest)}',
    },
  )


def middle(rng: random.Random, level: int) -> Draft:
  """median of 7, 2, 9, 4, 3."""
  count = (5, 6, 8)[level - 1]
  low, high = ((1, 19), (1, 40), (10, 69))[level - 1]
  while True:
    numbers = [rng.randint(low, high) for _ in range(count)]
    ordered = sorted(numbers)
    a, b = ordered[(count - 1) // 2], ordered[count // 2]
    if (a + b) % 2 == 0:
      break
  answer = (a + b) // 2
  finish = f'middle {a}' if count % 2 else f'middle {a} and {b}, {add(a, b)}, half {answer}'
  crossed, inner = [], ordered
  while len(inner) > 2:
    crossed.append(f'{inner[0]} and {inner[-1]}')
    inner = inner[1:-1]
  rank = (count - 1) // 2
  # The careful style counts for each number how many are below it, as one would for an unsorted list.
  small = ordered[: rank + 1] if count % 2 else ordered[: rank + 2]
  return Draft(
    tuple(ordered),
    f'median of {", ".join(map(str, numbers))}',
    str(answer),
    {
      'mental': f'middle {answer}' if count % 2 else f'middle {a} and {b} so {answer}',
      'sort': f'sorted {listed(ordered)}, {finish}',
      'cross': f'cross {", ".join(crossed)}, {finish}',
      'smallest': f'smallest first {", ".join(f"{i + 1}: {number}" for i, number in enumerate(small))}, {finish}',
    },
  )


def deviation(rng: random.Random, level: int) -> Draft:
  """mean absolute deviation of 4, 9, 2, 5 (level 3: variance)."""
  count = (3, 4, 4)[level - 1]
  low, high = ((1, 24), (1, 20), (1, 17))[level - 1]
  numbers = balanced(rng, count, low, high)
  average, total = sum(numbers) // count, sum(numbers)
  power = 2 if level == 3 else 1
  gaps = [abs(number - average) for number in numbers]
  spread = sum(gap**power for gap in gaps)
  answer = ratio(spread, count)
  ordered = sorted(numbers)
  about = f'{running(numbers)}, {total}/{count}={average}'
  if level < 3:
    above = [number - average for number in ordered if number > average]
    reached = running(above) if above else '0'
    return Draft(
      tuple(ordered),
      f'mean absolute deviation of {", ".join(map(str, numbers))}',
      answer,
      {
        'mental': f'mean {average}, gaps {listed(gaps)} so {answer}',
        'sum': f'{about}, gaps {listed(gaps)}, add {running(gaps)}, {reduce(spread, count)}',
        # The gaps above the mean add up to those below it, so one half is enough.
        'above': f'{about}, above {listed(above)}, add {reached}, twice {spread}, {reduce(spread, count)}',
      },
    )
  squares, own = [gap * gap for gap in gaps], [number * number for number in numbers]
  each = ', '.join(f'{gap}*{gap}={gap * gap}' for gap in gaps)
  return Draft(
    tuple(ordered),
    f'variance of {", ".join(map(str, numbers))}',
    answer,
    {
      'mental': f'mean {average}, squares {listed(squares)} so {answer}',
      'sum': f'{about}, gaps {listed(gaps)}, {each}, add {running(squares)}, {reduce(spread, count)}',
      'squares': f'{about}, squares {listed(own)}, add {running(own)}, {count}*{average}*{average}='
      f'{count * average * average}, {sum(own)}-{count * average * average}={spread}, '
      f'{reduce(spread, count)}',
    },
  )


def weighted(rng: random.Random, level: int) -> Draft:
  """3 tests of 70 and 2 tests of 80: mean."""
  groups = (2, 2, 3)[level - 1]
  top = (15, 40, 40)[level - 1]
  while True:
    sizes = [rng.randint(1, 6) for _ in range(groups)]
    values = [rng.randint(1, top) for _ in range(groups)]
    count, total = sum(sizes), sum(size * value for size, value in zip(sizes, values))
    if total % count == 0 and len(set(values)) == groups:
      break
  answer = total // count
  products = [size * value for size, value in zip(sizes, values)]
  low = min(values)
  gaps = [value - low for value in values]
  over = [size * gap for size, gap in zip(sizes, gaps)]
  extra = sum(over)
  pairs = sorted(zip(values, sizes))
  solutions = {
    'mental': f'total {total}, count {count} so {answer}',
    'sum': f'{", ".join(mul(size, value) for size, value in zip(sizes, values))}, add {running(products)}, '
    f'count {running(sizes)}, {total}/{count}={answer}',
    'guess': f'guess {low}, gaps {listed(gaps)}, '
    f'{", ".join(f"{size}*{gap}={size * gap}" for size, gap in zip(sizes, gaps) if gap)}, '
    f'add {running([o for o in over if o])}, count {running(sizes)}, '
    f'{extra}/{count}={extra // count}, '
    f'{add(low, extra // count)}',
  }
  words = [f'{size} numbers of {value}' for size, value in zip(sizes, values)]
  return Draft(tuple(x for pair in pairs for x in pair), f'mean of {" and ".join(words)}', str(answer), solutions)


def urn(rng: random.Random, level: int) -> Draft:
  """urn with 3 red, 4 blue, 5 green: chance of not blue."""
  colours = ('red', 'blue', 'green', 'white')[: 3 if level == 1 else 4]
  counts = [rng.randint(1, 9) for _ in colours]
  total = sum(counts)
  drawn, other = rng.sample(range(len(colours)), 2)
  a, b = counts[drawn], counts[other]
  shown = ', '.join(f'{count} {colour}' for count, colour in zip(counts, colours))
  all_of = running(counts)
  if level < 3:
    rest = [count for i, count in enumerate(counts) if i not in (drawn, other)]
    good, question = a + b, f'{colours[min(drawn, other)]} or {colours[max(drawn, other)]}'
    bad = sum(rest)
    answer = ratio(good, total)
    return Draft(
      (*counts, question),
      f'urn with {shown}: chance of {question}',
      answer,
      {
        'mental': f'{good} of {total} so {answer}',
        'count': f'{add(a, b)}, all {all_of}, {reduce(good, total)}',
        'other': f'all {all_of}, not {running(rest) if len(rest) > 1 else bad}, {add(total, -bad)}, '
        f'{reduce(good, total)}',
        'split': f'all {all_of}, {a}/{total}+{b}/{total}={reduce(good, total)}',
      },
    )
  same = rng.random() < 0.5
  # Small urns keep the products of two draws learnable.
  counts = [1 + count % 4 for count in counts]
  counts[drawn] += same and counts[drawn] == 1
  total, a = sum(counts), counts[drawn]
  second = a - 1 if same else counts[other]
  shown = ', '.join(f'{count} {colour}' for count, colour in zip(counts, colours))
  top, bottom = a * second, total * (total - 1)
  answer = ratio(top, bottom)
  question = f'{colours[drawn]} then {colours[drawn if same else other]}'
  first = f'{a}/{total}' if ratio(a, total) == f'{a}/{total}' else reduce(a, total)
  return Draft(
    (*counts, question),
    f'urn with {shown}, two drawn: chance of {question}',
    answer,
    {
      'mental': f'{a}/{total} then {second}/{total - 1} so {answer}',
      'count': f'all {running(counts)}, ways {a}*{second}={top}, of {mul(total, total - 1)}, {reduce(top, bottom)}',
      'chain': f'all {running(counts)}, first {first}, left {total}-1={total - 1}, second '
      f'{reduce(second, total - 1)}, '
      f'{ratio(a, total)}*{ratio(second, total - 1)}={answer}',
    },
  )


def dice(rng: random.Random, level: int) -> Draft:
  """dice with 6 and 8 sides: chance that the sum is at least 11."""
  integer = rng.randint
  if level == 1:
    m, n = integer(3, 9), integer(3, 9)
    i, j = integer(1, m - 1), integer(1, n - 1)
    return both(m, n, i, j, rng.choice(('and', 'or')))
  m, n = sorted((integer(3, 5), integer(4, 12)) if level == 2 else (integer(5, 8), integer(6, 12)))
  word, target = rng.choice(('at least', 'at most', 'exactly')), integer(3, m + n - 1)
  if word == 'at least':
    rows = [min(n, max(0, n - target + i + 1)) for i in range(1, m + 1)]
  elif word == 'at most':
    rows = [min(n, max(0, target - i)) for i in range(1, m + 1)]
  else:
    rows = [int(1 <= target - i <= n) for i in range(1, m + 1)]
  good = sum(rows)
  others = [n - row for row in rows]
  bad = m * n - good
  used, unused = [row for row in rows if row] or [0], [row for row in others if row] or [0]
  return Draft(
    (m, n, word, target),
    f'dice with {m} and {n} sides: chance that the sum is {word} {target}',
    ratio(good, m * n),
    {
      'mental': f'{good} of {m * n} so {ratio(good, m * n)}',
      'list': f'ways {listed(used)}, add {running(used)}, of {mul(m, n)}, {reduce(good, m * n)}',
      'other': f'not {listed(others)}, add {running(unused)}, {mul(m, n)}, {add(m * n, -bad)}, {reduce(good, m * n)}',
    },
  )


def both(m: int, n: int, i: int, j: int, word: str) -> Draft:
  """dice with 6 and 8 sides: chance of first at most 2 and second at most 5."""
  all_of = m * n
  good = i * j if word == 'and' else all_of - (m - i) * (n - j)
  answer = ratio(good, all_of)
  if word == 'and':
    solutions = {
      'mental': f'{good} of {all_of} so {answer}',
      'count': f'ways {i}*{j}={good}, of {m}*{n}={all_of}, {reduce(good, all_of)}',
      'chain': f'{reduce(i, m)} and {reduce(j, n)}, {ratio(i, m)}*{ratio(j, n)}={answer}',
    }
  else:
    bad = (m - i) * (n - j)
    solutions = {
      'mental': f'{good} of {all_of} so {answer}',
      'other': f'not {m - i}*{n - j}={bad}, of {m}*{n}={all_of}, {add(all_of, -bad)}, {reduce(good, all_of)}',
      'count': f'first {i}*{n}={i * n}, left {m}-{i}={m - i}, {m - i}*{j}={(m - i) * j}, '
      f'add {add(i * n, (m - i) * j)}, of {m}*{n}={all_of}, {reduce(good, all_of)}',
    }
  return Draft(
    (m, n, i, word, j),
    f'dice with {m} and {n} sides: chance of first at most {i} {word} second at most {j}',
    answer,
    solutions,
  )


def expected(rng: random.Random, level: int) -> Draft:
  """win 5 with chance 1/4, else lose 2: expected win."""
  integer = rng.randint
  parts = (2, 3, 3)[level - 1]
  while True:
    whole = integer(3, 10 if level < 3 else 12)
    cuts = sorted(rng.sample(range(1, whole), parts - 1))
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, whole])]
    wins = rng.sample(range(1, 13 if level < 3 else 31), parts)
    if level == 3:
      wins[-1] = -wins[-1]
    products = [share * win for share, win in zip(shares, wins)]
    total = sum(products)
    # Mostly whole answers, some fractions.
    if total % whole == 0 or rng.random() < 0.1:
      break
  low = min(wins)
  gaps = [win - low for win in wins]
  over = [share * gap for share, gap in zip(shares, gaps) if gap]
  extra = sum(over)
  finish = (
    f'{reduce(extra, whole)}, {low}{signed(extra // whole)}={total // whole}'
    if extra % whole == 0
    else f'{low}*{whole}={low * whole}, add {add(low * whole, extra)}, {reduce(total, whole)}'
  )
  answer = ratio(total, whole)
  pairs = sorted(zip(wins, shares))
  game = ', '.join(f'{win} on {share}' for win, share in zip(wins, shares))
  return Draft(
    (whole, *(x for pair in pairs for x in pair)),
    f'a wheel of {whole} fields pays {game}: expected pay',
    answer,
    {
      'mental': f'total {total} so {answer}',
      'sum': f'{", ".join(mul(share, win) for share, win in zip(shares, wins))}, add '
      f'{running(products)}, '
      f'{reduce(total, whole)}',
      'guess': f'guess {low}, gaps {listed(gaps)}, '
      f'{", ".join(mul(share, gap) for share, gap in zip(shares, gaps) if gap)}, '
      f'add {running(over)}, {finish}',
    },
  )


TEMPLATES = (mean, missing, middle, deviation, weighted, urn, dice, expected)
