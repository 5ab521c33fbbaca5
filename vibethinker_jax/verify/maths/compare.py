"""Whether two parsed answers are equal: numbers and functions by exact.py, everything made of them part by part.

Sets in any order, tuples and matrices place by place, intervals by their ends, equations up to a constant factor or by
their solutions, inequalities by direction. Imported by workers only (sympy).
"""

from __future__ import annotations

import dataclasses

import sympy
from sympy import Basic, Eq, Expr, FiniteSet, Interval, MatrixBase, Rational, Set, Symbol, Tuple, Union
from sympy.core.function import AppliedUndef
from sympy.core.relational import Ne, Relational
from sympy.logic.boolalg import And

from vibethinker_jax.verify.maths import exact


@dataclasses.dataclass(frozen=True)
class Rules:
  """decimals: value -> digits after the point, of the decimals that the answer has; digits: how many of them an
  approximation needs; exact_gold: whether the gold has no decimal of its own."""

  decimals: dict
  digits: int
  exact_gold: bool


def equal(g, a, rules: Rules) -> bool:
  """Whether an answer equals the gold, both as the parser gives them."""
  g, a = _simple(g), _simple(a)
  if isinstance(a, (Eq, And)) and _parts(a) and not isinstance(g, (Relational, And)):
    a = stated(a)
  elif isinstance(g, (Eq, And)) and _parts(g) and not isinstance(a, (Relational, And)):
    g = _named(g)
  if g is None or a is None:
    return False
  if isinstance(g, Set) and isinstance(a, (Relational, And)):
    if not _solves(a):  # x^2<9 for (-3,3)
      return False
    a = _simple(_solved(a))
    if a is None:
      return False
  if isinstance(g, (Relational, And)):
    if isinstance(a, Set):
      return equal(_solved(g), a, rules)
    return isinstance(a, (Relational, And)) and (_solves(a) or not _solves(g)) and _relations(g, a, rules)
  again = lambda x, y: equal(x, y, rules)
  if isinstance(g, MatrixBase) or isinstance(a, MatrixBase):
    return (
      isinstance(g, MatrixBase)
      and isinstance(a, MatrixBase)
      and g.shape == a.shape
      and all(map(again, g.flat(), a.flat()))
    )
  if isinstance(g, (Interval, Tuple)) and isinstance(a, (Interval, Tuple)):
    (ends, brackets), (its, others) = _ends(g), _ends(a)
    return brackets == others and len(ends) == len(its) and all(map(again, ends, its))
  if isinstance(g, (Interval, Tuple)) and isinstance(a, FiniteSet):  # y=2, x=1 for (1,2)
    if not all(isinstance(e, Eq) and isinstance(e.lhs, Symbol) for e in a.args):
      return False
    (ends, brackets), listed = _ends(g), sorted(a.args, key=lambda e: e.lhs.name)
    return brackets == '()' and len(ends) == len(listed) and all(map(again, ends, listed))
  if isinstance(g, FiniteSet) or isinstance(a, FiniteSet):
    members = lambda s: s.args if isinstance(s, FiniteSet) else (s,)
    others = [s for s in (g, a) if isinstance(s, Set) and not isinstance(s, FiniteSet)]
    return not others and exact.matched(members(g), members(a), again)
  if isinstance(g, Union) and isinstance(a, Union):
    return exact.matched(g.args, a.args, again)
  if isinstance(g, Set) or isinstance(a, Set):
    return g == a
  if isinstance(g, Symbol) and isinstance(a, Symbol):
    return g.name == a.name or len(g.name) > 1 and g.name.lower() == a.name.lower()
  return isinstance(g, Expr) and isinstance(a, Expr) and number(g, a, rules)


def number(g, a, rules: Rules) -> bool:
  """Whether two expressions are the same, or the answer is a decimal that rounds the gold correctly. The constants of
  an integral or a solution may be written c or C."""
  names, others = ({s.name: s for s in e.free_symbols} for e in (g, a))
  a = a.xreplace(
    {
      s: names[other]
      for name, s in others.items()
      if name[0] in 'cCkK' and name not in names and (other := name.swapcase()) in names and other not in others
    }
  )
  if exact.same(g, a):
    return True
  if not (a.is_Rational and rules.exact_gold and abs(a) in rules.decimals):
    return False
  places = rules.decimals[abs(a)]
  significant = len(str(abs(int(a * 10**places))))
  return significant >= rules.digits and exact.rounding(g, a, places)


def _simple(e):
  """Sets and products with a matrix worked out; numbers and functions stay as written."""
  if isinstance(e, (sympy.MatrixExpr, Set)) and not isinstance(e, (FiniteSet, Interval, MatrixBase)):
    e = e.doit()
    if e == sympy.S.Reals:
      e = Interval(-sympy.oo, sympy.oo)
  return e


def _ends(e) -> tuple[tuple, str]:
  """(members, brackets) of an interval or a tuple: (1, 2) is either."""
  if isinstance(e, Interval):
    return (e.start, e.end), ('(' if e.left_open else '[') + (')' if e.right_open else ']')
  return tuple(e.args), '()'


def _parts(e) -> list | None:
  """a = b = c -> [a, b, c]; None if there is another relation in it."""
  links = e._unsorted_args if hasattr(e, '_unsorted_args') else e.args if isinstance(e, And) else [e]
  if not all(isinstance(link, Eq) for link in links):
    return None
  return [links[0].lhs] + [link.rhs for link in links]


def _free(e) -> set[str]:
  return {s.name for s in e.free_symbols} - {'i'} if isinstance(e, Basic) else set()


def stated(e):
  """What an answer that is an equation or a chain of them states as the value: its last member.

  The members before it must be names of it (x, f(x), m+n for a number) or be equal to it: 2+3=5 states 5, 4=5
  nothing. None if they are not."""
  parts = _parts(e)
  if parts is None:
    return None
  last = parts[-1]
  if len(parts) == 2 and isinstance(last, Symbol) and not _free(parts[0]):
    parts, last = [last, parts[0]], parts[0]  # 5=x
  for part in parts[:-1]:
    named = _free(part) and (isinstance(part, AppliedUndef) or not _free(part) & _free(last))
    if named and not _affine(part):
      continue
    if not (isinstance(part, Expr) and isinstance(last, Expr) and exact.same(part, last)):
      return None
  return last


def _affine(e) -> bool:
  """Whether e is 2x, -x or x+1 of one variable: 2x=4 is an equation to solve, not the name of 4."""
  return (
    isinstance(e, Expr)
    and len(e.free_symbols) == 1
    and not isinstance(e, Symbol)
    and not e.atoms(sympy.Function)
    and bool(e.is_polynomial(*e.free_symbols))
    and sympy.degree(e, *e.free_symbols) == 1
  )


def _named(g):
  """The value of a gold such as x=5 or D=(0,1); None if it is an equation that no name solves."""
  parts = _parts(g)
  if parts is None:
    return None
  name, value = parts[0], parts[-1]
  if isinstance(name, (Symbol, AppliedUndef)):
    return value
  apart = _free(name) and not _free(name) & _free(value)
  number = isinstance(value, Expr) and not isinstance(value, MatrixBase)
  return value if apart and not (number and name.atoms(sympy.Number)) else None


def _solved(g):
  """The set of an inequality in one variable, None for others."""
  return g.as_set() if len(g.free_symbols) == 1 else None


def _solves(e) -> bool:
  """Whether each relation of e has a name alone on one side and no name on the other: x=3, -3<x, not 2x=6 or x^2<9."""
  return all(
    isinstance(name, (Symbol, AppliedUndef))
    and not _free(value)
    or isinstance(value, Symbol)
    and not _free(name)
    or not _free(name)
    and not _free(value)  # x=2+1=3
    for r in _links(e)
    for name, value in [(r.lhs, r.rhs)]
  )


def _oriented(r):
  """(kind, d) of a relation: d = 0, d != 0, d > 0 or d >= 0."""
  if isinstance(r, (Eq, Ne)):
    return type(r), (r.lhs, r.rhs)
  if isinstance(r, (sympy.StrictLessThan, sympy.LessThan)):
    return sympy.Gt if isinstance(r, sympy.StrictLessThan) else sympy.Ge, (r.rhs, r.lhs)
  return type(r), (r.lhs, r.rhs)


def _links(e):
  return (e._unsorted_args if hasattr(e, '_unsorted_args') else e.args) if isinstance(e, And) else [e]


def _relations(g, a, rules: Rules) -> bool:
  golds, answers = _links(g), _links(a)
  if all(isinstance(link, Eq) for link in (*golds, *answers)) and (len(golds) > 1 or len(answers) > 1):
    names, value = (_parts(e) for e in (g, a))  # x=2+3=5 for x=5
    if names[0] == value[0] and isinstance(names[0], (Symbol, AppliedUndef)):
      its, value = stated(a), names[-1]
      return its is not None and equal(value, its, rules)
  if len(golds) == len(answers) == 1 and isinstance(a, Eq) and isinstance(g, Eq):
    a = a.xreplace(_renamed(g.lhs, a.lhs))  # f(t)=t+1 for f(x)=x+1
    answers = [a]
  if exact.matched(golds, answers, lambda x, y: _relation(x, y, rules)):
    return True
  if any(isinstance(link, (Eq, Ne)) for link in (*golds, *answers)) or g.free_symbols != a.free_symbols:
    return False
  return len(g.free_symbols) == 1 and equal(_solved(g), _solved(a), rules)


def _renamed(g, a) -> dict:
  if (
    isinstance(g, AppliedUndef) and isinstance(a, AppliedUndef) and g.func == a.func and len(g.args) == len(a.args) == 1
  ):
    if isinstance(g.args[0], Symbol) and isinstance(a.args[0], Symbol):
      return {a.args[0]: g.args[0]}
  return {}


def _relation(g, a, rules: Rules) -> bool:
  (kind, (gl, gr)), (its, (al, ar)) = _oriented(g), _oriented(a)
  if kind is not its and not (kind in (sympy.Gt, sympy.Ge) and its is kind):
    return False
  if not all(isinstance(side, Expr) for side in (gl, gr, al, ar)):
    return equal(gl, al, rules) and equal(gr, ar, rules)
  if equal(gl, al, rules) and equal(gr, ar, rules):
    return True
  if any(side.has(sympy.oo) for side in (gl, gr, al, ar)) or _free(gl - gr) != _free(al - ar) or not _free(gl - gr):
    return False
  return _proportional(gl - gr, al - ar, kind in (Eq, Ne)) or kind is Eq and _same_solutions(gl - gr, al - ar)


def _proportional(g, a, either_sign: bool) -> bool:
  """Whether a = c g with a constant c, which is positive unless either_sign."""
  at = {
    s: Rational(7 * k + 11, 5 * k + 3)
    for k, s in enumerate(sorted(g.free_symbols | a.free_symbols, key=str))
    if s.name != 'i'
  }
  there, here = (e.xreplace(at) for e in (g, a))
  zero = sympy.Integer(0)
  if exact.same(there, zero) or exact.same(here, zero):
    return False
  if not either_sign and not bool(here / there > 0):
    return False
  return exact.same(g * here, a * there)


def _same_solutions(g, a) -> bool:
  """Whether two equations have the same solutions for each of their variables: xy=1 and y=1/x."""
  for symbol in sorted(g.free_symbols, key=str):
    if symbol.name == 'i' or symbol not in a.free_symbols:
      return False
    golds, answers = sympy.solve(g, symbol), sympy.solve(a, symbol)
    if not golds or not exact.matched(golds, answers, lambda x, y: exact.same(x, y)):
      return False
  return True
