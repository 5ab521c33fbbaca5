"""What users' functions return: as TRL and verl have them, and what is no reward."""

import fractions
import os

import numpy as np
import pytest

from vibethinker_jax.verify import returned
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.verdict import EQUAL, Verdict


@pytest.fixture(autouse=True)
def fakes_importable(monkeypatch):
  monkeypatch.syspath_prepend(os.path.dirname(os.path.abspath(__file__)))


@pytest.mark.parametrize(
  'value, verdict',
  [
    (True, Verdict('correct', 'judged', 1.0)),
    (np.bool_(False), Verdict('wrong', 'judged', 0.0)),
    (1, Verdict('correct', 'graded', 1.0)),
    (0.99, Verdict('wrong', 'graded', 0.99)),
    (-3.5, Verdict('wrong', 'graded', -3.5)),
    (np.float32(2.5), Verdict('correct', 'graded', 2.5)),
    (np.array(0.5), Verdict('wrong', 'graded', 0.5)),
    (fractions.Fraction(1, 4), Verdict('wrong', 'graded', 0.25)),
    ({'answer': True, 'length': 0.5}, Verdict('correct', 'graded', 1.5, {'answer': 1.0, 'length': 0.5})),
    ({'score': -1.0, 'acc': False, 'pred': '7'}, Verdict('wrong', 'graded', -1.0, {'acc': 0.0})),
    ({'reward': 2, 'score': 9}, Verdict('correct', 'graded', 2.0, {'score': 9.0})),
    ({'score': 1}, Verdict('correct', 'graded', 1.0)),
    (EQUAL, EQUAL),
    (('wrong', 'long'), Verdict('wrong', 'long')),
    (Verdict('correct', 'mine', np.float64(0.25), {'a': 1}), Verdict('correct', 'mine', 0.25, {'a': 1.0})),
    (Verdict('invalid', 'down'), Verdict('invalid', 'down')),
  ],
)
def test_rewards(value, verdict):
  assert returned.verdict_of(value) == verdict


def test_from_which_reward_a_response_is_correct():
  assert returned.verdict_of(0.5, correct_at=0.5).status == 'correct'
  assert returned.verdict_of({'a': 0.25, 'b': 0.2}, correct_at=0.5).status == 'wrong'
  assert returned.verdict_of(Verdict('wrong', 'x', 0.9), correct_at=0.5).status == 'wrong'  # it says so itself
  assert returned.verdict_of(False, correct_at=-1.0).status == 'wrong'


BAD = [
  (None, 'it returned None; a reward is a finite number, True or False'),
  ('1.0', "it returned str '1.0'; a reward is"),
  (float('nan'), 'it returned float nan, which is not finite'),
  (float('-inf'), 'it returned float -inf, which is not finite'),
  (1e39, 'it returned float 1e+39, which is not finite'),
  (10**400, 'which is not finite'),
  ([1.0], r'it returned list [1.0]; a reward is'),
  (np.array([1.0, 2.0]), 'it returned ndarray array([1., 2.]); a reward is'),
  (1j, 'it returned complex 1j; a reward is'),
  ({}, 'it returned dict {}, which has no number'),
  ({'a': float('nan')}, "it returned float nan as 'a' of dict {'a': nan}, which is not finite"),
  ({'a': 'x', 'b': 1}, "it returned str 'x' as 'a' of dict"),
  ({'score': 'x'}, "it returned str 'x' as 'score' of dict"),
  ({'score': None}, "it returned None as 'score' of dict"),
  (Verdict('splendid', 'x'), "it returned tuple ('splendid', 'x'); a Verdict has the status correct, wrong or invalid"),
  (Verdict('correct', 'x', float('inf')), 'which is not finite'),
  (Verdict('correct', 'x', '1'), "it returned str '1' as the reward of tuple"),
  ((1.0, 'x'), "it returned tuple (1.0, 'x'); a Verdict has"),
]


@pytest.mark.parametrize('value, text', BAD, ids=lambda x: str(x)[:40])
def test_what_is_no_reward(value, text):
  with pytest.raises((TypeError, ValueError)) as error:
    returned.verdict_of(value)
  assert text in str(error.value) and '\n' not in str(error.value)


def test_through_a_pool():
  """What a function of a module returns comes back as it is; numbers count as correct from `correct_at`."""
  cases = {'0.25': 0.25, '3': 3, 'True': True, "{'score': 0.5, 'pred': 'x', 'acc': 1}": None, "{'a': 0.125, 'b': 1}": 1}
  with Pool(workers=1, verifier='fake_verifiers:literal', correct_at=0.5) as pool:
    assert pool.verify([(text, {}) for text in cases]) == [
      Verdict('wrong', 'graded', 0.25),
      Verdict('correct', 'graded', 3.0),
      Verdict('correct', 'judged', 1.0),
      Verdict('correct', 'graded', 0.5, {'acc': 1.0}),
      Verdict('correct', 'graded', 1.125, {'a': 0.125, 'b': 1.0}),
    ]
    assert pool.first_fault == '' and pool.stats.faults == 0


def test_the_first_fault_is_kept_with_its_own_lines_alone(capfd):
  with Pool(workers=1, verifier='fake_verifiers:literal') as pool:
    assert pool.verify([('None', {}), ('no python', {}), ('1.0', {})]) == [
      Verdict('invalid', 'fault'),
      Verdict('invalid', 'fault'),
      Verdict('correct', 'graded', 1.0),
    ]
    assert pool.first_fault.startswith('fake_verifiers:literal: it returned None; a reward is a finite number')
  assert capfd.readouterr().err.count('verifier fault') == 1
  with Pool(workers=1, verifier='fake_verifiers:obedient') as pool:
    pool.verify([('raise', {})])
    assert pool.first_fault.startswith('Traceback') and pool.first_fault.endswith("KeyError: 'told to raise'")
    assert 'fake_verifiers.py' in pool.first_fault and 'worker.py' not in pool.first_fault
  with Pool(workers=1, verifier='fake_verifiers:obedient') as pool:
    pool.verify([('die', {})])
    assert (
      pool.first_fault == 'fake_verifiers:obedient: its process ended by itself, twice, on a response of 3 characters'
    )
