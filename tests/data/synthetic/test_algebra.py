"""Algebra templates: answers against sympy on the prompt's own text, and every step of every solution."""

import re

from arithmetic import checked_equalities, draws, last_number, trace_tokens, wrong_equalities
import pytest
import sympy

from vibethinker_jax.data.synthetic import algebra, working

CASES = [(template, level) for template in algebra.TEMPLATES for level in (1, 2, 3)]
LONGEST = {1: 60, 2: 90, 3: 150}
LETTERS = sympy.symbols('a b c x y')
a, b, c, x, y = LETTERS


def parse(text: str) -> sympy.Expr:
  """'3x-2(x+1)^2' as sympy reads it."""
  text = re.sub(r'(\d)([a-z(])', r'\1*\2', text).replace('^', '**')
  return sympy.sympify(text, locals=dict(zip('abcxy', LETTERS)))


def equation(text: str) -> sympy.Expr:
  """'3x+5=20' -> 3x+5-20."""
  left, right = text.split('=')
  return parse(left) - parse(right)


def unknown(equations: str, wanted: sympy.Symbol) -> sympy.Expr:
  """The one value that all equations ('x+y=8, 3x+y=14') leave to a letter."""
  system = [equation(text) for text in equations.split(', ')]
  letters = sorted(set().union(*(e.free_symbols for e in system)), key=str)
  (solution,) = sympy.linsolve(system, letters)
  return solution[letters.index(wanted)]


def series(prompt: str) -> sympy.Expr:
  first, second = map(int, re.findall(r'(\d+), (\d+),', prompt)[0])
  last = re.search(r'\.\.\., (\d+)', prompt)
  if last:
    count = (int(last[1]) - first) // (second - first) + 1
  else:
    count = int(re.search(r'(\d+) terms', prompt)[1])
  return sympy.Add(*sympy.SeqFormula(first + (second - first) * x, (x, 0, count - 1)))


def ratio_share(prompt: str) -> sympy.Expr:
  if 'Find c' in prompt:
    p, q, r, s, amount = map(int, re.findall(r'\d+', prompt))
    (solution,) = sympy.linsolve([q * a - p * b, s * b - r * c, a + b + c - amount], [a, b, c])
    return solution[2]
  amount, *parts = map(int, re.findall(r'\d+', prompt))
  each = sympy.Rational(amount, sum(parts))
  return each * (max(parts) if 'arge' in prompt else min(parts))


def quadratic_root(prompt: str) -> sympy.Expr:
  roots = sympy.Poly(equation(prompt.split('. ')[0]), x).all_roots()
  return max(roots) if 'Larger' in prompt else min(roots)


SYMPY = {
  'linear_equation': lambda prompt: unknown(prompt[6:-1], x),
  'linear_system': lambda prompt: unknown(prompt.split('. ')[0], x),
  'quadratic_root': quadratic_root,
  'series_sum': series,
  'polynomial_value': lambda prompt: parse(prompt.split(' at ')[0]).subs(x, int(prompt.split('=')[1][:-1])),
  'ratio_share': ratio_share,
  'common_divisor': lambda prompt: (sympy.igcd if 'divisor' in prompt else sympy.ilcm)(
    *map(int, re.findall(r'\d+', prompt))
  ),
  'fraction_sum': lambda prompt: parse(prompt[:-1]),
}


@pytest.mark.parametrize(('template', 'level'), CASES)
def test_answer_agrees_with_sympy(template, level):
  for draft in draws(template, level, 40):
    assert str(SYMPY[template.__name__](draft.prompt)) == draft.answer, draft


@pytest.mark.parametrize(('template', 'level'), CASES)
def test_solutions_hold_and_reach_the_answer(template, level):
  checked = dict.fromkeys(draws(template, level, 1)[0].solutions, 0)
  for draft in draws(template, level, 150):
    assert len(draft.solutions) >= 2 and 'mental' in draft.solutions
    assert draft.final == {} and draft.tests is None
    for style, work in draft.solutions.items():
      assert wrong_equalities(work) == [], (draft.prompt, style)
      assert last_number(work) == draft.answer, (draft.prompt, style, work)
      assert trace_tokens(work) <= LONGEST[level], (draft.prompt, style, work)
      checked[style] = checked.get(style, 0) + checked_equalities(work)
    assert trace_tokens(draft.prompt) <= 35, draft.prompt
  # The check above must have had equalities to check; 'list' and 'mental' write plain results.
  few = {style for style, count in checked.items() if count < 150}
  assert few <= {'list', 'mental'}, checked


@pytest.mark.parametrize(('template', 'level'), CASES)
def test_many_problems_and_one_key_for_each(template, level):
  prompts, keys = {}, {}
  for draft in draws(template, level, 3000):
    assert all(type(part) in (int, str) for part in draft.key)
    assert prompts.setdefault(draft.key, draft.prompt) == draft.prompt
    assert keys.setdefault(draft.prompt, draft.key) == draft.key
  assert len(keys) >= 600


@pytest.mark.parametrize('template', algebra.TEMPLATES)
def test_levels_share_no_key_for_different_problems(template):
  prompts = {}
  for level in (1, 2, 3):
    for draft in draws(template, level, 500):
      assert prompts.setdefault(draft.key, draft.prompt) == draft.prompt


@pytest.mark.parametrize('level', [1, 2])
def test_commuted_terms_are_one_problem(level):
  keys = {}
  for draft in draws(algebra.fraction_sum, level, 3000):
    terms = tuple(sorted(re.findall(r'[+-]\d/\d', '+' + draft.prompt)))
    assert keys.setdefault(terms, draft.key) == draft.key


@pytest.mark.parametrize(('template', 'level'), CASES)
def test_same_seed_same_draft(template, level):
  assert draws(template, level, 20, seed=3) == draws(template, level, 20, seed=3)
  assert draws(template, level, 20, seed=3) != draws(template, level, 20, seed=4)


def test_styles_differ_in_path_and_length():
  styles = set()
  for template, level in CASES:
    for draft in draws(template, level, 20):
      styles |= draft.solutions.keys()
      assert len(set(draft.solutions.values())) == len(draft.solutions)
      lengths = {style: trace_tokens(work) for style, work in draft.solutions.items()}
      assert lengths['mental'] == min(lengths.values()), draft
      assert 2 * lengths['mental'] <= max(lengths.values()), draft
  assert len(algebra.TEMPLATES) >= 6 and len(styles) >= 4


def test_checker_finds_wrong_steps():
  assert wrong_equalities('so 2*3=6 and 1+1=3') == ['1+1=3']
  assert wrong_equalities('x=3+1=5, 2x=6') == ['3+1=5']
  assert wrong_equalities('a 2*2=4 1+1=3. so') == ['1+1=3']
  assert wrong_equalities('-2^2=4') == ['-2^2=4']
  assert wrong_equalities('2^3^2=512, -(3+1)/2=-2, 5--3=8, 1/2+1/3=5/6') == []
  assert checked_equalities('x=3+1=4, 2x=6') == 1
  assert [last_number(text) for text in ('x=6/4=3/2', '3-5=-2', 'sum 12.', '7-2')] == ['3/2', '-2', '12', '2']


def test_written_arithmetic():
  assert working.plus(48, 37) == '48+37=48+30+7=78+7=85'
  assert working.minus(85, 37) == '85-37=85-30-7=55-7=48'
  assert working.times(17, 6) == '17*6=10*6+7*6=60+42=102'
  assert working.divide(84, 6) == '84/6=60/6+24/6=10+4=14'
  assert working.total([3, 5, 8]) == '3+5+8=8+8=16'
  assert [working.reduce(6, 4), working.reduce(8, 4), working.reduce(-3, 4)] == ['6/4=3/2', '8/4=2', '-3/4']
  assert [working.ratio(-6, 4), working.ratio(0, 5), working.ratio(8, 4)] == ['-3/2', '0', '2']
  for one in range(0, 140, 7):
    for two in range(1, 60, 2):
      for text, value in (
        (working.plus(one, two), one + two),
        (working.minus(one, two), one - two),
        (working.times(one, two), one * two),
        (working.divide(one * two, two), one),
      ):
        assert wrong_equalities(text) == [] and last_number(text) == str(value), text
