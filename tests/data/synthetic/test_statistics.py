"""Statistics templates: answers by brute force, traces against exact arithmetic."""

from fractions import Fraction
import itertools
import random
import statistics as statistics_

from arithmetic import last_number, trace_tokens, wrong_equalities
import pytest

from vibethinker_jax.data.synthetic import statistics

CASES = [(template, level) for template in statistics.TEMPLATES for level in (1, 2, 3)]
LONGEST = {1: 95, 2: 125, 3: 165}  # the longest single trace; the mean of a style is bounded below
MEAN = {1: 62, 2: 92, 3: 140}


def mean(*numbers):
  return statistics_.mean(map(Fraction, numbers))


def missing(*key):
  *known, average = key
  return next(x for x in range(-200, 300) if statistics_.mean(map(Fraction, [*known, x])) == average)


def middle(*numbers):
  return statistics_.median(map(Fraction, numbers))


def deviation(*numbers, variance=False):
  if variance:
    return statistics_.pvariance(map(Fraction, numbers))
  average = statistics_.mean(map(Fraction, numbers))
  return statistics_.mean(abs(number - average) for number in numbers)


def weighted(*key):
  return statistics_.mean(Fraction(value) for value, size in zip(key[::2], key[1::2]) for _ in range(size))


def urn(*key):
  *counts, question = key
  balls = [colour for colour, count in zip(('red', 'blue', 'green', 'white'), counts) for _ in range(count)]
  if ' or ' in question:
    return Fraction(sum(ball in question.split(' or ') for ball in balls), len(balls))
  draws = list(itertools.permutations(balls, 2))
  return Fraction(sum(draw == tuple(question.split(' then ')) for draw in draws), len(draws))


def dice(m, n, *rest):
  rolls = list(itertools.product(range(1, m + 1), range(1, n + 1)))
  if len(rest) == 3:
    i, word, j = rest
    good = [(a <= i and b <= j) if word == 'and' else (a <= i or b <= j) for a, b in rolls]
  else:
    word, target = rest
    good = [
      {'at least': a + b >= target, 'at most': a + b <= target, 'exactly': a + b == target}[word] for a, b in rolls
    ]
  return Fraction(sum(good), len(rolls))


def expected(whole, *key):
  fields = [win for win, share in zip(key[::2], key[1::2]) for _ in range(share)]
  assert len(fields) == whole
  return statistics_.mean(map(Fraction, fields))


def drafts(template, level, count):
  rng = random.Random(f'{template.__name__}/{level}')
  return [template(rng, level) for _ in range(count)]


@pytest.mark.parametrize('template, level', CASES)
def test_answers_equal_brute_force(template, level):
  for draft in drafts(template, level, 40):
    variance = {'variance': True} if template is statistics.deviation and level == 3 else {}
    value = globals()[template.__name__](*draft.key, **variance)
    assert draft.answer == str(value), draft


@pytest.mark.parametrize('template, level', CASES)
def test_traces(template, level):
  lengths = {}
  for draft in drafts(template, level, 150):
    assert trace_tokens(draft.prompt) <= 35
    assert len(draft.solutions) >= 2 and len(set(draft.solutions.values())) == len(draft.solutions)
    for style, text in draft.solutions.items():
      assert wrong_equalities(text) == [], (draft.prompt, style, text)
      assert last_number(text) == draft.answer, (draft.prompt, style, text)
      lengths.setdefault(style, []).append(trace_tokens(text))
  assert len(lengths) >= 3
  for style, counts in lengths.items():
    assert max(counts) <= LONGEST[level] and sum(counts) / len(counts) <= MEAN[level], (style, max(counts))
  # The mental style is the short one, some other style is at least twice as long.
  average = {style: sum(counts) / len(counts) for style, counts in lengths.items()}
  assert min(average, key=average.get) == 'mental' and max(average.values()) >= 2 * average['mental']


@pytest.mark.parametrize('template, level', CASES)
def test_keys(template, level):
  found = {}
  for draft in drafts(template, level, 2200):
    assert all(isinstance(part, (int, str)) for part in draft.key)
    # Equal keys are the same problem, whatever the order of its data.
    assert found.setdefault(draft.key, draft.answer) == draft.answer
  assert len(found) >= 600
  assert drafts(template, level, 20) == drafts(template, level, 20)
