"""Geometry templates: answers against sympy's own geometry, and every step of every worked solution."""

import re

from arithmetic import checked_equalities, draws, last_number, trace_tokens, wrong_equalities
import pytest
import sympy

from vibethinker_jax.data.synthetic import geometry

CASES = [(template, level) for template in geometry.TEMPLATES for level in (1, 2, 3)]
LONGEST = {1: 60, 2: 90, 3: 150}
r, r1, r2, t, angle = sympy.symbols('r r1 r2 t angle')
# k of a ring sector's area k*pi, and of a disc's with r1 = 0.
SECTOR = sympy.integrate(sympy.integrate(r, (r, r1, r2)), (t, 0, 2 * sympy.pi * angle / 360)) / sympy.pi


def numbers(prompt: str) -> list[int]:
  return [int(number) for number in re.findall(r'-?\d+', prompt)]


def points(prompt: str) -> list[sympy.Point]:
  return [sympy.Point(*map(int, inside.split(','))) for inside in re.findall(r'\(([^)]*)\)', prompt)]


def squared_distance(prompt: str) -> sympy.Expr:
  corners = points(prompt)
  pairs = [corners[:2]] if len(corners) == 2 else [(corners[i], corners[i - 1]) for i in range(3)]
  return sum(one.distance(two) ** 2 for one, two in pairs)


def missing_angle(prompt: str) -> sympy.Expr:
  sides = {'Triangle': 3, 'Quadrilateral': 4, 'Pentagon': 5}[prompt.split()[0]]
  (last,) = sympy.solve(sum(180 - known for known in numbers(prompt)) + 180 - t - 360, t)
  assert len(numbers(prompt)) == sides - 1
  return last


def l_shape(prompt: str) -> sympy.Expr:
  w, h, a, b, c, d = (numbers(prompt) + [0, 0])[:6]
  left = [(c, h), (c, h - d), (0, h - d)] if c else [(0, h)]
  return abs(sympy.Polygon((0, 0), (w, 0), (w, h - b), (w - a, h - b), (w - a, h), *left).area)


def ring_sector(prompt: str) -> sympy.Expr:
  if 'angle' not in prompt:
    p, q, small, large = numbers(prompt)
    return SECTOR.subs({r1: small, r2: large, angle: sympy.Rational(360 * p, q)})
  small, large, first, *disc = numbers(prompt)
  k = SECTOR.subs({r1: small, r2: large, angle: first})
  return k + (SECTOR.subs({r1: 0, r2: disc[0], angle: disc[1]}) if disc else 0)


def similar_side(prompt: str) -> sympy.Expr:
  a, b, c = numbers(prompt)
  if 'Area' in prompt:  # a rectangle of sides a and c/a, grown
    return sympy.prod(sympy.Matrix([a, sympy.Rational(c, a)]) * sympy.Rational(b, a))
  (side,) = sympy.solve(t / c - sympy.Rational(b, a), t)
  return side


def dividing_point(prompt: str) -> sympy.Expr:
  m, n = map(int, re.search(r'(\d+):(\d+)', prompt).groups())
  ends = points(prompt) or [sympy.Point(number, 0) for number in numbers(prompt)[:2]]
  return sum((sympy.solve(n * (t - one) - m * (two - t), t)[0] for one, two in zip(*ends)), sympy.Integer(0))


SYMPY = {
  'polygon_area': lambda prompt: abs(sympy.Polygon(*points(prompt)).area),
  'squared_distance': squared_distance,
  'missing_angle': missing_angle,
  'l_shape': l_shape,
  'ring_sector': ring_sector,
  'similar_side': similar_side,
  'dividing_point': dividing_point,
  'line_value': lambda prompt: sympy.interpolate([tuple(p) for p in points(prompt)], r).subs(r, numbers(prompt)[-1]),
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
  # The check above must have had equalities to check; only 'mental' writes plain results.
  assert {style for style, count in checked.items() if count < 150} <= {'mental'}, checked


@pytest.mark.parametrize(('template', 'level'), CASES)
def test_many_problems_and_one_key_for_each(template, level):
  prompts, keys = {}, {}
  for draft in draws(template, level, 3000):
    assert all(type(part) in (int, str) for part in draft.key)
    assert prompts.setdefault(draft.key, draft.prompt) == draft.prompt
    assert keys.setdefault(draft.prompt, draft.key) == draft.key
  assert len(keys) >= 600


@pytest.mark.parametrize('template', geometry.TEMPLATES)
def test_levels_share_no_key_for_different_problems(template):
  prompts = {}
  for level in (1, 2, 3):
    for draft in draws(template, level, 500):
      assert prompts.setdefault(draft.key, draft.prompt) == draft.prompt


@pytest.mark.parametrize('level', [1, 2])
def test_turned_shapes_are_one_problem(level):
  keys = {draft.key for draft in draws(geometry.l_shape, level, 3000)}
  assert all((w, h, a, b) == (h, w, b, a) or (h, w, b, a) not in keys for w, h, a, b in keys)


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
  assert len(geometry.TEMPLATES) >= 6 and len(styles) >= 4
