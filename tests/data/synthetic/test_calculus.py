"""Calculus templates: answers against sympy, traces against exact arithmetic."""

import random

from arithmetic import last_number, trace_tokens, wrong_equalities
import pytest
import sympy

from vibethinker_jax.data.synthetic import calculus

CASES = [(template, level) for template in calculus.TEMPLATES for level in (1, 2, 3)]
LONGEST = {1: 95, 2: 125, 3: 165}  # the longest single trace; the mean of a style is bounded below
MEAN = {1: 62, 2: 92, 3: 140}
X = sympy.Symbol('x')


def polynomial(coefficients):
  return sympy.Poly(coefficients, X).as_expr()


def power_rule(*key):
  return sympy.diff(polynomial(key[:-1]), X).subs(X, key[-1])


def line_integral(a, b, p, q, area=False):
  f = polynomial([a, b])
  return sympy.integrate(sympy.Abs(f) if area else f, (X, p, q))


def tangent(*key):
  *coefficients, n, m = key
  f = polynomial(coefficients)
  # The tangent is the remainder of dividing f by (x-n)^2.
  return sympy.rem(f, (X - n) ** 2, X).subs(X, m) if sympy.degree(f, X) > 1 else f.subs(X, m)


def peak(a, b, c, *interval):
  f = polynomial([a, b, c])
  if not interval:
    return sympy.maximum(f, X, sympy.Reals) if a < 0 else sympy.minimum(f, X, sympy.Reals)
  values = [f.subs(X, x) for x in range(interval[0], interval[1] + 1)]  # the peak is a whole number
  return max(values) + min(values)


def limit(*key):
  *top, a, extra = key
  return sympy.limit(polynomial(top) / (X - a), X, a) + extra


def series(*key):
  *coefficients, p, q = key
  return sympy.summation(polynomial(coefficients), (X, p, q))


def average_rate(*key):
  *coefficients, p, q = key
  return sympy.integrate(sympy.diff(polynomial(coefficients), X), (X, p, q)) / (q - p)


def curve_integral(*key):
  *coefficients, p, q = key
  return sympy.integrate(polynomial(coefficients), (X, p, q))


def drafts(template, level, count):
  rng = random.Random(f'{template.__name__}/{level}')
  return [template(rng, level) for _ in range(count)]


@pytest.mark.parametrize('template, level', CASES)
def test_answers_equal_sympy(template, level):
  for draft in drafts(template, level, 12):
    if template is calculus.line_integral and level == 3:
      expected = line_integral(*draft.key, area=True)
    else:
      expected = globals()[template.__name__](*draft.key)
    assert draft.answer == str(expected), draft


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
    # Equal keys are the same problem: same answer and same work.
    assert found.setdefault(draft.key, (draft.answer, draft.solutions)) == (draft.answer, draft.solutions)
  assert len(found) >= 600
  assert drafts(template, level, 20) == drafts(template, level, 20)
