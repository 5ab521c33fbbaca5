"""Near is not equal, and an answer is no task for the verifier: what symbolic.equal, closed.closed and the pool
decide."""

from fractions import Fraction
import time

import pytest

from vibethinker_jax.verify import verdict
from vibethinker_jax.verify.maths import answers, closed, symbolic
from vibethinker_jax.verify.pool import Pool


@pytest.fixture(scope='module')
def judged():
  with Pool(workers=1) as pool:
    yield lambda pairs: _equal(pool, pairs)


def _equal(pool, pairs):
  verdicts = pool.verify([(f'\\boxed{{{answer}}}', {'answer': gold}) for answer, gold in pairs])
  return [pair for pair, verdict in zip(pairs, verdicts) if verdict.status == 'correct']


NEAR = [
  ('1/2^{98}', '\\frac{1}{2^{99}}'),
  ('e^{-60}', 'e^{-50}'),
  ('e^{-50}', '0'),
  ('0', 'e^{-50}'),
  ('0', '2^{-70}'),
  ('1-(5/6)^{301}', '1-\\left(\\frac56\\right)^{300}'),
  ('\\sqrt2', '\\sqrt2+10^{-30}'),
  ('\\sqrt{2}+10^{-300}', '\\sqrt2'),
  ('10^{-10}', '\\sin(10^{-10})'),
  ('100!+1', '100!'),
  ('\\frac{\\binom{60}{30}+1}{2^{60}}', '\\frac{\\binom{60}{30}}{2^{60}}'),
  ('262537412640768744', 'e^{\\pi\\sqrt{163}}'),
  ('10^{30}\\sqrt{2}+1', '10^{30}\\sqrt{2}'),
  ('1', '\\cos(10^{-20})'),
  ('\\frac{1}{2006!}', '\\frac{1}{2004!}'),
  ('2^{1000}+1', '2^{1000}'),
  ('10^{20}', '\\sqrt{10^{40}+1}'),
  # inside of what is made of numbers
  ('(\\sqrt{2}+10^{-30}, 1)', '(\\sqrt{2}, 1)'),
  ('\\{1, 2+10^{-25}\\}', '\\{1,2\\}'),
  ('(0, e^{-61})', '(0, e^{-60})'),
  ('(-\\infty, 2^{-101}) \\cup (1, \\infty)', '(-\\infty, 2^{-100}) \\cup (1, \\infty)'),
  ('[0,2^{100}+1]', '[0,2^{100}]'),
  ('\\begin{pmatrix} 1 & 10^{-30} \\\\ 0 & 1 \\end{pmatrix}', '\\begin{pmatrix} 1 & 0 \\\\ 0 & 1 \\end{pmatrix}'),
  ('y = x + e^{-51}', 'y = x + e^{-50}'),
  ('x > e^{-51}', 'x > e^{-50}'),
  ('3:10^{-20}', '3:10^{-21}'),
  ('1:2:3', '1:3:2'),
  # functions of variables
  ('x', 'x + 10^{-25}'),
  ('x^{101}', 'x^{100}'),
  ('(3^{100}+1)n', '3^{100}n'),
  ('\\sin(x+10^{-20})', '\\sin x'),
  ('0', '\\frac{x}{10^{30}}'),
  ('|x-1000|', '1000-x'),
  ('\\sqrt{x^2}', 'x'),
  ('(n-1)!', 'n!'),
  ('e^{-60}x', 'e^{-50}x'),
]
EQUAL = [
  ('\\frac{e^{80}-1}{e^{80}}', '1-e^{-80}'),
  ('\\frac{1}{\\sqrt{10^{40}+1}+10^{20}}', '\\sqrt{10^{40}+1}-10^{20}'),
  ('2\\binom{99}{49}', '\\binom{100}{50}'),
  ('\\frac{100}{100!}', '\\frac{1}{99!}'),
  ('\\frac{2^{150}}{3^{150}}', '\\left(\\frac23\\right)^{150}'),
  ('2\\cos\\frac{\\pi}{16}', '\\sqrt{2+\\sqrt{2+\\sqrt{2}}}'),
  ('\\sqrt[3]{20+14\\sqrt{2}}', '2+\\sqrt2'),
  ('-2', '\\sqrt[3]{-8}'),
  ('0', '\\sin^2 1+\\cos^2 1-1'),
  ('\\sin^2 x', '1-\\cos^2 x'),
  ('n(n-1)', '\\frac{n!}{(n-2)!}'),
  ('x\\sqrt{x}', 'x^{3/2}'),
  ('2\\ln x - 3\\ln y', '\\ln\\frac{x^2}{y^3}'),
  ('xy=1', 'y=\\frac1x'),
  ('3<x', 'x>3'),
  ('1.570796326795', '\\frac{\\pi}{2}'),
  ('(3, 1.570796326795)', '(3, \\frac{\\pi}{2})'),
  ('2:4:6', '1:2:3'),
  ('\\frac{x^3}{3}+c', '\\frac{x^3}{3}+C'),
  ('\\cot 70^\\circ', '\\tan 20^\\circ'),
]


def test_unfinished_answers_are_none(judged):
  assert judged(UNFINISHED) == []


def test_near_is_not_equal(judged):
  assert judged(NEAR) == []
  assert judged([(gold, answer) for answer, gold in NEAR]) == []  # neither way round


def test_equal_in_another_form(judged):
  assert judged(EQUAL) == EQUAL


@pytest.mark.parametrize(
  'digits, right', [('1.5707963267', False), ('1.5707963268', True), ('1.570796327', True), ('1.57079633', False)]
)
def test_decimals_that_people_round(digits, right):
  assert symbolic.equal(digits, '\\frac{\\pi}{2}') == right  # correctly rounded, from 10 digits on


# an equation that is not solved, a unit that is another, what is dropped on the way
UNFINISHED = [
  ('2x=6', 'x=3'),
  ('x+1=4', 'x=3'),
  ('(x-3)^2=0', 'x=3'),
  ('2x=4', '4'),
  ('-x=5', '5'),
  ('x \\ne 5', '5'),
  ('2x>4', 'x>2'),
  ('x^2<9', '(-3,3)'),
  ('x^2-4x+3\\le0', '[1,3]'),
  ('60\\text{ km/h}', '60\\text{ mph}'),
  ('5\\text{ months}', '5\\text{ years}'),
  ('1, 2, 2', '1, 1, 2'),
  ('1, 2', '1, 1, 2'),
  ('\\tanh 100', '\\tanh 101'),
  ('1', '\\tanh 100'),
  ('|2x-11|', '|x-5|+|x-6|'),
  ('\\sin 1^\\circ', '\\sin 1'),
  ('0.5\\%', '0.5'),
  ('5\\approx 2', '2'),
  ('(-1,1)∩(0,2)', '(0,1)'),
  ('32，349', '32349'),
  ('(C), A', 'C'),
  ('e^{-\\infty}', '0'),
  ('\\ln\\infty', '\\infty'),
  ('1\\text{2}', '12'),
  ('\\text{1}\\text{2}', '12'),
]
TASKS = [
  ('\\lim_{x\\to0}\\frac{\\sin 2x}{x}', '2'),
  ('lim_{x->0} sin(x)/x', '1'),
  ('\\frac{d}{dx}x^2', '2x'),
  ("(x^2)'", '2x'),
  ('\\frac{\\mathrm{d}}{\\mathrm{d}x}\\left(x^2\\right)', '2x'),
  ('\\frac{d(x^2)}{dx}', '2x'),
  ('\\frac{\\partial}{\\partial x}(x^2+y)', '2x'),
  ('diff(x**2, x)', '2x'),
  ('d/dx(x^2)', '2x'),
  ('\\int_0^1 dx', '1'),
  ('\\int\\limits_{0}^{1} x^{2} \\mathrm{d}x', '\\frac13'),
  ('integrate(x**2, (x, 0, 1))', '1/3'),
  ('\\sum_{k=1}^{10} k', '55'),
  ('sum(k, k, 1, 10)', '55'),
  ('1+2+\\cdots+10', '55'),
  ('1+2+3+...+10', '55'),
  ('\\prod_{k=1}^{5} k', '120'),
  ('\\det\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}', '-2'),
  ('\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}', '-2'),
  ('\\left|\\begin{matrix}1&2\\\\3&4\\end{matrix}\\right|', '-2'),
  ('\\mathrm{det}\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}', '-2'),
  ('\\operatorname{tr}\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}', '5'),
  ('\\max(3,5)', '5'),
  ('max(3,5)', '5'),
  ('\\min\\{3,5\\}', '3'),
  ('\\gcd(10,15)', '5'),
  ('gcd(10,15)', '5'),
  ('\\operatorname{lcm}(10,15)', '30'),
  ('\\text{lcm}(10,15)', '30'),
  ('lcm(10, 15)', '30'),
  ('\\lfloor 5.9\\rfloor', '5'),
  ('floor(5.9)', '5'),
  ('\\lceil 5.2 \\rceil', '6'),
  ('10 \\bmod 3', '1'),
  ('10 mod 3', '1'),
  ('10 \\% 3', '1'),
  ('\\Re(3+4i)', '3'),
  ('\\text{Im}(3+4i)', '4'),
  ('\\arg(i)', '\\frac{\\pi}{2}'),
  ('|3+4i|', '5'),
  ('\\|(3,4)\\|', '5'),
  ('C(5,2)', '10'),
  (
    '\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}^{-1}',
    '\\begin{pmatrix} -2 & 1 \\\\ \\frac32 & -\\frac12 \\end{pmatrix}',
  ),
  (
    '\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}',
    '\\begin{pmatrix} 7 & 10 \\\\ 15 & 22 \\end{pmatrix}',
  ),
  ('[0,5]\\cap[3,9]', '[3,5]'),
  ('(10)_{2}', '90'),
  ('\\Gamma(5)', '24'),
  ('x^2|_{x=3}', '9'),
  ('\\text{the value of }5', '5'),
]


def test_a_task_is_no_answer(judged):
  assert judged(TASKS) == []


@pytest.mark.parametrize(
  'answer, gold',
  [
    ('\\sum_{j=1}^{100} j', '\\sum_{k=1}^{100} k'),
    ('5050', '\\sum_{k=1}^{100} k'),
    ('3', '\\lfloor \\sqrt{10} \\rfloor'),
    ('6', '\\gcd(12,18)'),
    ('\\max\\{a,b\\}', '\\max(b,a)'),
    ('\\gcd(n,m)', '\\gcd(m,n)'),
    ('\\lceil n/3 \\rceil', '\\left\\lceil \\frac{n}{3} \\right\\rceil'),
    ('\\frac12', '\\int_0^1 x\\,dx'),
    ('\\int_{0}^{1} e^{-t^{2}} \\, dt', '\\int_0^1 e^{-x^2}\\,dx'),
    ('\\sum_{k=0}^{\\infty}(k+1)x^k', '\\sum_{n=0}^{\\infty}(n+1) x^{n}'),
  ],
)
def test_what_the_gold_has_an_answer_may_have(answer, gold):
  assert answers.fast_answer(answer, gold) in (None, verdict.EQUAL)
  assert symbolic.equal(answer, gold)
  assert not symbolic.equal(answer + '+1', gold)


def test_a_gcd_of_variables_is_not_one():
  assert not symbolic.equal('1', '\\gcd(m,n)') and not symbolic.equal('\\gcd(k,n)', '\\gcd(m,n)')


def test_names_are_no_tasks():
  for answer in ('x_{\\max}=5', "f'(2)=5", 'f_{\\min} = 5', 'P(A|B)=5', '\\angle ABC=5'):
    assert closed.closed(closed.unlabelled(answer, '5'), '5') and symbolic.equal(answer, '5'), answer
  assert symbolic.equal('\\frac{dy}{dx}=2x', '2x') and symbolic.equal("y'=2x", '2x')
  assert not closed.closed(closed.unlabelled('\\gcd(10,15)=5', '5'), '5')


@pytest.mark.parametrize(
  'answer, right',
  [
    ('4=5', False),
    ('5=4', False),
    ('5=6', False),
    ('1=2=3=4=5', False),
    ('2+2=5', False),
    ('x=2+4=5', False),
    ('5 \\ne 5', False),
    ('\\frac{5}{1}=6', False),
    ('1<5', False),
    ('5 \\implies 6', False),
    ('6 \\to 5', False),
    ('[5,5]', False),
    ('5 \\le x \\le 5', False),
    ('5\\pm0', False),
    ('2+3=5', True),
    ('10/2=5', True),
    ('x=2+3=5', True),
    ('5=6-1', True),
    ('5=5=5', True),
    ('m+n=5', True),
    ('A:B=5', True),
  ],
)
def test_chains_must_hold_from_end_to_end(judged, answer, right):
  assert (judged([(answer, '5')]) != []) == right


@pytest.mark.parametrize(
  'answer, gold, right',
  [
    ('x=2x', '2x', False),
    ('3x=2x', '2x', False),
    ('x+x=2x', '2x', True),
    ('y=2x', '2x', True),
    ('f(x)=2x', '2x', True),
    ('\\sqrt2\\approx1.41', '\\sqrt2', True),
    ('\\sqrt2\\approx1.5', '\\sqrt2', False),
    ('5\\approx6', '5', False),
    ('12d', '12', False),
    ('2d', '2c', False),
    ('2A', '2a', False),
    ('12_5', '12', False),
    ('12_5+0', '12', False),
    ('\\{\\emptyset\\}', '\\emptyset', False),
    ('x>y', '\\emptyset', False),
    ('2\\mathbf{j}', '2\\mathbf{i}', False),
    ('y=2, x=1', '(1,2)', True),
    ('x=2, y=1', '(1,2)', False),
  ],
)
def test_names_and_equations(judged, answer, gold, right):
  assert (judged([(answer, gold)]) != []) == right


def test_out_of_time_is_not_equal():
  with pytest.raises(symbolic.OutOfTime):
    with symbolic.cpu_seconds(0.2):
      end = time.process_time() + 20
      while time.process_time() < end:
        symbolic.equal('(1+\\sqrt{2})^{9000}+(3-\\sqrt2)^{8000}', '(1+\\sqrt{2})^{9000}+(3-\\sqrt2)^{8000}+1')


def test_numbers_are_read_exactly():
  value, decimals = symbolic._parse('1.5\\pi+0.1')
  assert not value.atoms(symbolic.sympy.Float)
  assert {Fraction(int(v.p), int(v.q)) for v in decimals} == {Fraction(3, 2), Fraction(1, 10)}
