"""Normalised words, n-grams that are shared, and traces that repeat themselves."""

import pytest

from vibethinker_jax.data import ngrams


@pytest.mark.parametrize(
  'text, words',
  [
    ('Find $x+2$.', 'find x 2'),
    ('find X + 2', 'find x 2'),
    ('\\(x+2\\)', 'x 2'),
    ('', ''),
    ('$ + !?', ''),
    ('ﬁnd １２ x²', 'find 12 x2'),
    ('STRASSE straße', 'strasse strasse'),
    ('snake_case', 'snake case'),
    ("don't", 'don t'),
    ('a\u00a0b\tc\n\nd', 'a b c d'),
    ('\\frac{1}{2}', 'frac 1 2'),
    ('é e\u0301', 'é é'),
    ('1,000.5', '1 000 5'),
    ('求x的值', '求 x 的 值'),
    ('カナ kana', 'カ ナ kana'),
    ('한국어 문제', '한국어 문제'),
    ('Ответ: 5', 'ответ 5'),
  ],
  ids=repr,
)
def test_words(text, words):
  assert ngrams.words(text) == words.split()


def test_grams():
  assert list(ngrams.grams('a b c d'.split(), 3)) == [('a', 'b', 'c'), ('b', 'c', 'd')]
  assert list(ngrams.grams(['a'], 2)) == []


EVALUATION = [
  'How many positive integers less than 100 are divisible by 7 or 11?',
  'Let $ABCD$ be a square of side one. Find the area of the circle in it.',
  'Compute $\\cos 150^\\circ$.',
  'Go on.',
  '',
]


@pytest.fixture(scope='module')
def index():
  return ngrams.Index(EVALUATION, 10)


def shared(index, text):
  return [(hit.text, ' '.join(hit.gram)) for hit in index.shared(text)]


def test_ten_words_are_shared_and_nine_are_not(index):
  ten = 'Many POSITIVE integers, less than 100, are divisible by 7'
  nine = 'positive integers less than 100 are divisible by 7'
  assert shared(index, f'He asks how {ten}!') == [
    (0, 'how many positive integers less than 100 are divisible by'),
    (0, 'many positive integers less than 100 are divisible by 7'),
  ]
  assert shared(index, f'- {nine} -') == []
  assert shared(index, EVALUATION[0].replace('less', 'smaller')) == []


def test_a_gram_counts_once_and_names_the_first_text():
  index = ngrams.Index(['a b c d e', 'b c d e f'], 3)
  assert shared(index, 'b c d . b c d . d e f') == [(0, 'b c d'), (1, 'd e f')]
  assert len(index) == 4 and index.short == index.ignored == []


def test_short_texts_are_found_whole(index):
  assert shared(index, 'Compute cos 150 circ. Please reason step by step.') == [(2, 'compute cos 150 circ')]
  assert shared(index, 'compute cos 15 circ') == shared(index, 'cos 150 circ') == []
  assert index.short == [2] and index.ignored == [3, 4] and shared(index, 'go on') == []
  assert len(index) == 4 + 7 + 1


def test_an_n_that_means_nothing():
  with pytest.raises(ValueError, match='n-grams of 1 words'):
    ngrams.Index(EVALUATION, 1)


def text(words, start=0):
  return ' '.join(f'w{i}' for i in range(start, start + words))


def test_repetition_is_the_share_of_grams_that_stood_before():
  assert ngrams.repetition(text(500)) == 0.0
  assert ngrams.repetition('a b a b x', n=2) == pytest.approx(1 / 4)  # ab ba ab bx
  half = f'{text(200)} {text(200)} {text(10, 900)}'
  assert ngrams.repetition(half, n=20) == pytest.approx(181 / 391)
  assert ngrams.repetition(text(10)) == ngrams.repetition('') == 0.0


@pytest.mark.parametrize(
  'loop, times, looping',
  [
    ('wait', 60, True),
    ('wait', 30, False),
    (text(7, 5000), 6, True),
    (text(7, 5000), 4, False),
    (text(30, 5000), 4, True),
    (text(30, 5000), 3, False),
    (text(300, 5000), 4, True),
    (text(301, 5000), 4, False),
  ],
  ids=lambda x: str(x)[:12],
)
def test_a_text_that_ends_in_a_loop(loop, times, looping):
  found = ngrams.repetition(text(4000) + f' {loop}' * times)
  assert found == 1.0 if looping else found < 0.4


def test_a_loop_cut_off_in_the_middle_and_one_that_was_left():
  loop = text(9, 5000)
  assert ngrams.repetition(f'{text(900)} {(loop + " ") * 9} w5000 w5001') == 1.0
  assert ngrams.repetition(f'{text(900)} {(loop + " ") * 9} and so the answer is 5') < 0.1
