"""Shared n-grams, against a search by hand; boilerplate and short problems apart."""

from vibethinker_jax.data import overlap

TAIL = 'please reason step by step and put your final answer within boxed'
FIRST = 'a train leaves the old station at nine with seven hundred merry passengers'
SECOND = 'how many ways are there to arrange twelve blue books on a narrow shelf'


def find(problems, *training, n=10):
  return overlap.find(problems, [(f'line {i + 1}', text) for i, text in enumerate(training)], n)


def test_ten_words_in_a_row():
  nine, ten = ' '.join(FIRST.split()[:9]), ' '.join(FIRST.split()[:10])
  assert find([FIRST, SECOND], f'Once {nine} of them').shared == {}
  shouted = f'Once A Train, leaves the old station at NINE with {" ".join(FIRST.split()[9:11])}'
  found = find([FIRST, SECOND], 'nothing', shouted, ten)
  assert found.shared == {0: (ten, 'line 2')}


def test_words_of_every_problem_are_boilerplate():
  problems = [f'{text} {TAIL}' for text in (FIRST, SECOND, 'something else altogether with words of its own here')]
  found = find(problems, f'unrelated text {TAIL}')
  assert found.shared == {} and 'please reason step by step and put your final answer' in found.boilerplate
  two = find(problems[:2], f'unrelated text {TAIL}')  # in two problems it may be theirs
  assert set(two.shared) == {0, 1}


def test_short_problems_are_looked_for_whole():
  found = find(['Compute cos 150 degrees', 'x y', FIRST], 'one must compute $\\cos 150$ degrees first', 'x y')
  assert list(found.shared) == [0] and found.too_short == [1]


def test_a_gram_of_two_problems_hits_both():
  assert list(find([FIRST, f'{FIRST} again'], FIRST).shared) == [0, 1]
