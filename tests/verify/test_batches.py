"""Functions that judge many responses at once: who shares a call, and what a bad call or a bad value costs."""

import os

import pytest

from vibethinker_jax.eval.rewards import Rewards
from vibethinker_jax.verify import tasks
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.verdict import FAULT, OVERDUE, Verdict

TRUE = Verdict('correct', 'judged', 1.0)


@pytest.fixture(autouse=True)
def fakes_importable(monkeypatch):
  monkeypatch.syspath_prepend(os.path.dirname(os.path.abspath(__file__)))


def pool(name, **options):
  return Pool(**{'workers': 1, 'verifier': f'fake_batches:{name}'} | options)


def test_the_rule():
  assert tasks.is_batched('mine:judge_batch') and tasks.is_batched('a.b_batch:score_batch')
  assert not tasks.is_batched('mine_batch:judge') and not tasks.is_batched('mine:batch')


def test_calls_are_full_but_the_last_and_their_order_is_that_of_the_responses():
  with pool('score_batch', batch=4, workers=3) as judging:
    found = judging.verify([(str(i / 8), {'id': i}) for i in range(10)])
  assert [v.reward for v in found] == [i / 8 for i in range(10)]
  assert [v.parts['beside'] for v in found] == [4.0] * 8 + [2.0] * 2
  assert [v.status for v in found] == ['wrong'] * 8 + ['correct'] * 2
  assert judging.stats.tasks == 10 and judging.stats.shared == 0


def test_who_waits_has_the_rest_judged_and_who_shares_a_call_does_not_depend_on_time():
  with pool('score_batch', batch=3) as judging:
    futures = [judging.submit(str(i), {}) for i in range(4)]
    assert not futures[3].done()
    futures[1].result()  # of the full call: the open one stays open
    assert not futures[3].done() and judging._open.futures == [futures[3]]
    futures += [judging.submit(str(i), {}) for i in (4, 4)]
    assert [f.result().parts['beside'] for f in futures] == [3.0] * 6
    late = judging.submit('7', {})
    assert late.result().parts['beside'] == 1.0


def test_what_is_wrong_with_one_value_is_its_own():
  texts = ['1.5', 'None', 'True', "'x'", "{'score': -2, 'acc': 1}", '1e99']
  with pool('literal_batch') as judging:
    found = judging.verify([(text, {}) for text in texts])
    assert judging.first_fault.startswith('fake_batches:literal_batch: it returned None; a reward is a finite number')
    assert judging.stats.faults == 3 and judging.stats.split == 0
  graded = [Verdict('correct', 'graded', 1.5), Verdict('wrong', 'graded', -2.0, {'acc': 1.0})]
  assert found == [graded[0], FAULT, TRUE, FAULT, graded[1], FAULT]


@pytest.mark.parametrize(
  'returns, said',
  [
    ('[1.0]', 'it returned 1 rewards for 3 responses, in list [1.0]'),
    ('[1, 2, 3, 4]', 'it returned 4 rewards for 3 responses'),
    ('None', 'it returned None for 3 responses; it must return a list of as many rewards'),
    ('1.0', 'it returned float 1.0 for 3 responses; it must'),
    ("'abc'", "it returned str 'abc' for 3 responses; it must"),
    ("{'a': 1, 'b': 2, 'c': 3}", "it returned dict {'a': 1, 'b': 2, 'c': 3} for 3 responses; it must"),
  ],
)
def test_what_is_no_list_of_rewards(returns, said):
  with pool('first_batch') as judging:
    assert judging.verify([(str(i), {'returns': returns}) for i in range(3)]) == [FAULT] * 3
    assert judging.first_fault.startswith(f'fake_batches:first_batch: {said}') and '\n' not in judging.first_fault
    assert judging.stats.faults == 3


@pytest.mark.parametrize('word, verdict', [('raise', FAULT), ('die', FAULT), ('hang', OVERDUE)])
def test_a_bad_response_costs_its_own_verdict_only(word, verdict, capfd):
  with pool('obedient_batch', timeout=1.0, batch=4) as judging:
    found = judging.verify([(text, {}) for text in ('a', word, 'b', 'c', 'd')])
    assert found == [TRUE, verdict, TRUE, TRUE, TRUE]
    assert judging.stats.split == 1 and judging.stats.faults == 1
    assert {'raise': 'told to raise', 'die': 'twice, on a response of 3', 'hang': 'no verdict in 1 s on a'}[
      word
    ] in judging.first_fault
  assert capfd.readouterr().err.count('failed on 4 responses at once; they are judged one by one') == 1


def test_large_responses_do_not_share_a_call(monkeypatch):
  monkeypatch.setattr(tasks, 'BYTES', 1000)
  with pool('score_batch', batch=8) as judging:
    found = judging.verify([(str(i), {'pad': 'x' * 400}) for i in range(5)])
  assert [v.parts['beside'] for v in found] == [2.0, 2.0, 2.0, 2.0, 1.0]


def test_what_was_not_begun_ends_with_the_pool():
  judging = pool('obedient_batch', batch=8)
  future = judging.submit('a', {})
  judging.close()
  assert future.result() == FAULT
  with pytest.raises(RuntimeError, match='closed'):
    judging.submit('b', {})
  with pytest.raises(TypeError, match='JSON'), pool('obedient_batch') as judging:
    judging.submit('a', {'x': object()})


def test_in_a_sum():
  names = (('fake_batches:score_batch', 2.0), ('fake_batches:literal_batch', 1.0), ('repetition', 1.0))
  with Rewards(names, correct_at=6.0, workers=1, batch=4) as several:
    futures = [several.submit(str(i), {}) for i in range(3)]
    assert not any(f.done() for f in futures)
    found = [f.result() for f in futures]
  assert [v.reward for v in found] == [0.0, 3.0, 6.0] and [v.status for v in found] == ['wrong', 'wrong', 'correct']
  assert found[1].parts == {
    'fake_batches:score_batch': 1.0,
    'fake_batches:score_batch/beside': 3.0,
    'fake_batches:literal_batch': 1.0,
    'repetition': 0.0,
  }


def test_the_environment_is_what_is_named(monkeypatch):
  monkeypatch.setenv('MY_KEY', 'secret')
  monkeypatch.setenv('OTHER_KEY', 'secret')
  with pool('environment_batch', environment=('MY_KEY', 'NOT_SET')) as judging:
    assert [v.status for v in judging.verify([('MY_KEY', {}), ('OTHER_KEY', {})])] == ['correct', 'wrong']
