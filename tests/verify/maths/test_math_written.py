"""What people write for an answer: each pair is equal as the first, and different as the second."""

import pytest

from vibethinker_jax.verify import math
from vibethinker_jax.verify.maths import choice, extract, plain, words
from vibethinker_jax.verify.parts import parse
from vibethinker_jax.verify.pool import Pool

# gold, a right answer, a wrong answer
WRITTEN = [
  ('5600', '5.6 x 10^3', '5.6 x 10^4'),
  ('19, 46, 82', '\\text{19, 46, and 82}', '\\text{19, 46, and 83}'),
  ('\\emptyset', '\\text{The equation has no solution}', '\\text{The equation has a solution}'),
  ('16', '2⁴', '2⁵'),
  ('7', '\\text{The value is }7', '\\text{The value is }8'),
  ('125\\text{ miles}', '125\\text{ mi}', '125\\text{ km}'),
  ('[0,1)', '[0,1[', ']0,1]'),
  ('60\\text{ mph}', '60\\text{ miles per hour}', '60\\text{ m/s}'),
  ('\\frac{\\pi}{2}', 'pi/2', 'pi/3'),
  ('-2\\pi', '-2*pi', '2*pi'),
  ('10^{100}', '1e100', '1e101'),
  ('5600', '5.6e3', '5.6e4'),
  ('0.00042', '4.2E-4', '4.2E-5'),
  ('14-i', '14.0 + -1.0i', '14.0 + 1.0i'),
  ('3+4i', '4j+3', '3j+4'),
  ('14-i', '-i + 14', 'i + 14'),
  ('2\\sqrt3', '2 sqrt(3)', 'sqrt(6)'),
  ('\\sqrt{2+\\sqrt3}', 'sqrt(2+sqrt(3))', 'sqrt(2)+sqrt(3)'),
  ('e^{16}-1', 'exp(16)-1', 'exp(17)-1'),
  ('\\ln 2', 'ln(2)', 'ln(3)'),
  ('x^2+3x', 'x**2+3*x', 'x**2+3'),
  ('2\\sqrt3', '2√3', '3√2'),
  ('\\frac34', '¾', '½'),
  ('x^2', 'x²', 'x³'),
  ('\\frac{\\pi}{4}', 'atan(1)', 'atan(2)'),
  ('19, 46, 82', '19, 46, \\text{ and } 82', '19, 46, \\text{ and } 83'),
  ('19, 46, \\text{ and } 82', '82, 46 and 19', '82 and 19'),
  ('1, -3', 'x=1 \\quad \\text{or} \\quad x=-3', 'x=1 \\quad \\text{or} \\quad x=3'),
  ('40, 200', '40 \\text{ and } 200', '40200'),
  ('\\emptyset', '\\text{no solution}', '\\text{one solution}'),
  ('\\text{no solution}', '\\emptyset', '0'),
  ('\\emptyset', 'no real solutions', 'real solutions'),
  ('\\emptyset', '\\text{does not exist}', '\\infty'),
  ('\\text{None}', '\\varnothing', '\\{0\\}'),
  ('\\text{all real numbers}', '(-\\infty,\\infty)', '(0,\\infty)'),
  ('15', '15。', '16。'),
  ('2, 5', '2、5', '2、6'),
  ('2024', '２０２４', '２０２５'),
  ('(1,2)', '（1，2）', '（2，1）'),
  ('x=2', 'x＝２', 'x＝３'),
  ('7', '\\text{The answer is }7', '\\text{The answer is }8'),
  ('7', '\\text{The answer is 7.}', '\\text{The answer is 8.}'),
  ('7', '答案是7', '答案是8'),
  ('7', '\\fbox{7}', '\\fbox{8}'),
  ('7', '\\textcolor{blue}{7}', '\\textcolor{blue}{8}'),
  ('12:00', '12:00 \\text{ noon}', '12:00 \\text{ midnoon}'),
  ('\\text{noon}', '12:00 \\text{ p.m.}', '12:00 \\text{ a.m.}'),
  ('\\text{midnight}', '12 a.m.', '12 p.m.'),
  ('12:05', '12:05\\text{ p.m.}', '1:05'),
  ('C', '\\textbf{(C)}\\ 12', '\\textbf{(D)}\\ 12'),
  ('\\text{(C)}', '\\textbf{(C) } 12', '\\textbf{(C) or (D)}'),
  ('12', '\\textbf{(C)}\\ 12', '\\textbf{(C)}\\ 13'),
  ('\\textbf{(C)}\\ 12', 'C', 'B'),
  ('\\textbf{(C)}\\ 12', '12', '13'),
  ('C', '\\text{Option C}', '\\text{Option B}'),
  ('12^{\\mathrm{th}} \\text{ grade}', '\\text{12th grade}', '\\text{11th grade}'),
  ('12', '12^{\\mathrm{th}} \\text{ grade}', '12^{\\mathrm{th}}'),
  ('12^{\\mathrm{th}} \\text{ grade}', '12^{th}', '12\\text{ thousand}'),
  ('28\\%', '28 pct', '29 pct'),
  ('28\\%', '28 percentage', '27 percentage'),
  ('0.28', '28\\text{ per cent}', '2.8\\text{ percent}'),
  ('12000', '12\\text{ thousand}', '12'),
  ('125', '125\\textnormal{ miles}', '126\\textnormal{ miles}'),
  ('\\frac13', '\\frac{1}{3} \\textbf{meters}', '\\frac{1}{4} \\textbf{meters}'),
  ('5 \\text{ cm}', '5{\\rm cm}', '5{\\rm kg}'),
  ('5 \\text{ cm}', '5cm', '5m m'),
  ('12 \\text{ cm}^2', '12\\ \\mathrm{cm^2}', '12\\ \\mathrm{cm^3}'),
  ('\\$4.50', '450 \\text{ cents}', '4.50 \\text{ cents}'),
  (
    '\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}',
    '\\left[\\begin{array}{cc} 1 & 2 \\\\ 3 & 4 \\end{array}\\right]',
    '\\left[\\begin{array}{cc} 1 & 2 \\\\ 3 & 5 \\end{array}\\right]',
  ),
  (
    '\\begin{pmatrix} 2 \\\\ -11 \\end{pmatrix}',
    '\\left(\\begin{array}{c} 2 \\\\ -11 \\end{array}\\right)',
    '\\left|\\begin{array}{c} 2 \\\\ -11 \\end{array}\\right|',
  ),
  ('1', 'A:B=1', 'A:B=2'),
  ('3:4', 'a:b=3:4', 'a:b=4:3'),
  ('32349', '32,349', '32, 349'),
  ('32,349', '32349', '32 \\text{ and } 349'),
  ('100, 200', '100,200', '100200'),
  ('900,\\!000', '900000', '900'),
  (
    '(-\\infty, 0] \\cup (\\tfrac12, \\tfrac32]',
    'x \\le 0 \\text{ or } 0.5 < x \\le 1.5',
    'x \\le 0 \\text{ or } 0.5 < x < 1.5',
  ),
  ('(0,1)', '\\{x \\mid 0 < x < 1\\}', '\\{x \\mid 0 \\le x < 1\\}'),
  ('\\frac{1}{3}', '0.\\bar{3}', '0.\\bar{4}'),
  ('36^\\circ', '36\\degree', '36\\text{ radians}'),
  ('\\frac{5+\\sqrt7}{2}, \\frac{5-\\sqrt7}{2}', '\\frac{5 \\pm \\sqrt{7}}{2}', '\\frac{5 \\pm \\sqrt{6}}{2}'),
]


def test_what_people_write():
  rows = [(f'\\boxed{{{answer}}}', {'answer': gold}) for gold, *answers in WRITTEN for answer in answers]
  with Pool(workers=1) as pool:
    verdicts = pool.verify(rows)
  found = [
    (gold, right, verdicts[2 * i].status, wrong, verdicts[2 * i + 1].status)
    for i, (gold, right, wrong) in enumerate(WRITTEN)
  ]
  assert [row for row in found if row[2] != 'correct' or row[4] != 'wrong'] == []


@pytest.mark.parametrize(
  'response, answer',
  [
    ('So \\boxed 7', '7'),
    ('$\\boxed7$.', '7'),
    ('\\boxed 17', '17'),
    ('\\boxed\\pi', '\\pi'),
    ('\\boxed \\frac{1}{2}', '\\frac{1}{2}'),
    ('\\boxed -5', '-5'),
    ('the \\boxed command: \\boxed{7}', '7'),
    ('\\boxed7x', None),
    ('\\boxed{７}', '7'),
    ('\\boxed{٧}', None),
    ('$x = \\boxed{1}$ and $y = \\boxed{2}$', '1, 2'),
    ('\\boxed{1}, \\boxed{2}, \\text{ and } \\boxed{3}.', '1, 2, 3'),
    ('Roots.\n\\boxed{1} or \\boxed{-3}', '1, -3'),
    ('\\boxed{1}\nThen \\boxed{2}', None),
    ('\\boxed{1} or maybe \\boxed{2}', None),
    ('\\boxed{3}\n\\boxed{1}, \\boxed{2}', None),
    ('\\boxed{1}, \\boxed{2}, \\boxed{1}', None),
    ('\\boxed{1}\\boxed{}', None),
    ('\\boxed{1}, so not \\boxed{2}', None),
  ],
)
def test_boxes(response, answer):
  assert extract.answer_of(parse('<think>\\boxed{0}</think>' + response)) == answer


@pytest.mark.parametrize(
  'response, gold, status',
  [
    ('\\boxed{1} and \\boxed{-3}', '1, -3', 'correct'),
    ('\\boxed{1} and \\boxed{-3}', '1', 'wrong'),
    ('\\boxed{1} and \\boxed{-3}', '-3', 'wrong'),
    ('\\boxed{1}', '1, -3', 'wrong'),
    ('\\boxed{1}, \\boxed{-3}, \\boxed{5}', '1, -3', 'wrong'),
    ('$x=\\boxed{1}$, $y=\\boxed{2}$', '(1,2)', 'correct'),
    ('$x=\\boxed{2}$, $y=\\boxed{1}$', '(1,2)', 'wrong'),
    ('\\boxed{32}, \\boxed{349}', '32349', 'wrong'),
  ],
)
def test_an_answer_of_several_parts(response, gold, status):
  assert math.verify(response, gold).status == status


def test_choices_in_full_width():
  assert choice.letter_of(extract.answer_of(parse('\\boxed{（Ｂ）}')), ['3', '5']) == 'B'
  assert choice.letter_of(extract.answer_of(parse('\\boxed{５}')), ['3', '5']) == 'B'
  assert choice.letter_of('5', ['３', '５']) == 'B'


def test_words():
  assert words.option('\\textbf{(C)}\\ 12', 'C') == '' and words.option('12', 'C') is None
  assert (
    words.ordinal('17th', '17') is False and words.ordinal('21st floor', '21') and not words.ordinal('22nd floor', '21')
  )
  assert plain.ascii_text('２０２４。') == '2024.' and plain.latex('sqrt(2+sqrt(3))/2') == '\\sqrt{2+\\sqrt{3}}/2'
