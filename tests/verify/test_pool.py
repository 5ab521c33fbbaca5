import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from vibethinker_jax.verify import pool as pool_lib, response
from vibethinker_jax.verify.code.sandbox.client import UNSAFE
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.verdict import Verdict

HERE = __name__.rpartition('.')[0]
FAKE = (HERE + '.' if HERE else '') + 'fake_verifiers'
TESTS = {'cases': [{'input': '2 3\n', 'output': '5\n'}]}


def program(source):
  return f'<think>x</think>\n```python\n{source}\n```'


@pytest.fixture(autouse=True)
def fakes_importable(monkeypatch):
  monkeypatch.syspath_prepend(os.path.dirname(os.path.abspath(__file__)) if not HERE else os.getcwd())


def test_mixed_pairs_come_back_in_order():
  pairs, expected = [], []
  for i in range(60):
    kind = i % 4
    if kind == 0:
      pairs.append((program(f'print({i})'), {'tests': {'cases': [{'input': '', 'output': str(i // 8 * 8)}]}}))
      expected.append(Verdict('correct', 'accepted') if i % 8 == 0 else Verdict('wrong', 'wrong_answer'))
    elif kind == 1:
      pairs.append((f'\\boxed{{{i}}}', {'answer': str(i), 'tests': None}))
      expected.append(Verdict('correct', 'equal'))
    elif kind == 2:
      pairs.append((f'\\boxed{{\\sqrt{{{4 * i}}}}}', {'answer': f'2\\sqrt{{{i}}}', 'extra': object()}))
      expected.append(Verdict('correct', 'equal'))
    else:
      pairs.append(('no answer', {'answer': '1'} if i % 8 == 3 else {'tests': TESTS}))
      expected.append(Verdict('wrong', 'no_answer'))
  with Pool(workers=2) as pool:
    assert pool.verify(pairs) == expected
    assert pool.stats.tasks == 60 and pool.stats.fast >= 30 and pool.stats.faults == pool.stats.restarts == 0


def test_identical_pairs_in_flight_are_judged_once():
  with Pool(workers=1) as pool:
    slow = program('import time\ntime.sleep(0.2)\nprint(5)')
    # other thoughts, same program
    futures = [pool.submit(f'<think>{i}' + slow[7:], {'tests': TESTS}) for i in range(5)]
    assert {f.result() for f in futures} == {Verdict('correct', 'accepted')}
    assert pool.stats.shared == 4


def test_hanging_verifier_is_killed_and_the_others_go_on():
  with Pool(workers=2, verifier=FAKE + ':obedient', timeout=0.7) as pool:
    pool.verify([('ok', {}), ('ok2', {})])
    start = time.monotonic()
    verdicts = pool.verify([('hang', {}), ('hang in C', {'tests': 1})] + [(f'ok {i}', {}) for i in range(20)])
    assert time.monotonic() - start < 6
    assert verdicts[:2] == [Verdict('invalid', 'timeout')] * 2
    assert pool.first_fault == f'{FAKE}:obedient: gave no verdict in 0.7 s on a response of 4 characters'
    assert set(verdicts[2:]) == {Verdict('correct', 'equal')}
    assert pool.stats.timeouts == pool.stats.restarts == 2


def test_time_waiting_in_an_idle_pool_does_not_count():
  with Pool(workers=1, verifier=FAKE + ':obedient', timeout=0.5) as pool:
    pool.verify([('ok', {})])
    time.sleep(1.0)
    assert pool.verify([('sleep 0.3', {})]) == [Verdict('correct', 'equal')]


def test_frames_larger_than_the_pipe_behind_a_hanging_task():
  with Pool(workers=1, verifier=FAKE + ':obedient', timeout=0.7) as pool:
    verdicts = pool.verify([('hang', {})] + [(f'ok {i}', {'pad': 'x' * 300_000}) for i in range(4)])
    assert [v.reason for v in verdicts] == ['timeout'] + ['equal'] * 4


def test_dying_worker_is_tried_twice_then_invalid(tmp_path):
  with Pool(workers=1, verifier=FAKE + ':obedient') as pool:
    once = tmp_path / 'once'
    verdicts = pool.verify([('ok', {}), ('die', {}), (f'die unless {once}', {}), ('ok too', {})])
    assert [v.status for v in verdicts] == ['correct', 'invalid', 'correct', 'correct']
    assert verdicts[1].reason == 'fault' and pool.stats.faults == 1 and pool.stats.restarts == 3


def test_blame_for_a_death_falls_on_the_right_task():
  with Pool(workers=1, verifier=FAKE + ':obedient') as pool:
    verdicts = pool.verify([(f'{"die" if i % 4 == 1 else "ok"} {i}', {}) for i in range(16)])
    assert [v.status for v in verdicts] == ['invalid' if i % 4 == 1 else 'correct' for i in range(16)]


def test_raising_or_lying_verifier_is_a_fault(capfd):
  with Pool(workers=1, verifier=FAKE + ':obedient') as pool:
    verdicts = pool.verify([('raise', {}), ('return nonsense', {}), ('print', {}), ('ok', {})])
    assert [v.status for v in verdicts] == ['invalid', 'invalid', 'correct', 'correct']
    assert pool.stats.faults == 2 and pool.stats.restarts == 0
  assert capfd.readouterr().err.count('told to raise') >= 1


def test_verifier_that_cannot_be_imported_is_an_error():
  with Pool(workers=1, verifier='no_such_module:f') as pool:
    with pytest.raises(RuntimeError, match='no_such_module'):
      pool.verify([('a', {})])
    with pytest.raises(RuntimeError, match='no_such_module'):
      pool.submit('b', {})


def test_memory_of_a_worker_is_capped():
  with Pool(workers=1, verifier=FAKE + ':obedient') as pool:
    assert pool.verify([('allocate', {}), ('ok', {})]) == [Verdict('wrong', 'different'), Verdict('correct', 'equal')]


def test_workers_have_a_clean_environment(monkeypatch):
  monkeypatch.setenv('WANDB_API_KEY', 'secret')
  with Pool(workers=1, verifier=FAKE + ':environment') as pool:
    assert pool.verify([('', {})])[0] == Verdict('correct', 'clean')


def test_bad_rows_and_closed_pools():
  pool = Pool(workers=1)
  with pytest.raises(ValueError, match='answer'):
    pool.submit('\\boxed{1}', {})
  pool.close()
  with pytest.raises(RuntimeError, match='closed'):
    pool.submit('\\boxed{\\sqrt{2}}', {'answer': 'x+1'})
  with pytest.raises(ValueError, match='workers'):
    Pool(workers=0)


def test_close_ends_what_runs():
  pool = Pool(workers=1, verifier=FAKE + ':obedient')
  pool.verify([('ok', {})])
  futures = [pool.submit('hang', {}), pool.submit('ok', {})]
  start = time.monotonic()
  pool.close()
  assert time.monotonic() - start < 3
  assert [f.result() for f in futures] == [Verdict('invalid', 'fault')] * 2


def test_the_queue_is_bounded(monkeypatch):
  monkeypatch.setattr(pool_lib, 'QUEUE', 8)
  with Pool(workers=1, verifier=FAKE + ':obedient') as pool:
    pool.verify([('ok', {})])
    start = time.monotonic()
    futures = [pool.submit(f'sleep 0.05 {i}', {}) for i in range(30)]
    assert time.monotonic() - start > 0.7  # all but 8 and the 4 that the worker holds are done
    assert sum(f.done() for f in futures) >= 30 - 8 - 2 * pool_lib.PIPELINE
    assert {f.result().status for f in futures} == {'correct'}


def test_a_blocked_submit_ends_with_the_pool(monkeypatch):
  monkeypatch.setattr(pool_lib, 'QUEUE', 1)
  pool, raised = Pool(workers=1, verifier=FAKE + ':obedient'), []

  def submit():
    try:
      for i in range(20):
        pool.submit(f'hang {i}', {}) if i else pool.submit('hang', {})
    except RuntimeError as e:
      raised.append(str(e))

  thread = threading.Thread(target=submit)
  pool.verify([('ok', {})])
  thread.start()
  time.sleep(0.3)
  pool.close()
  thread.join(5)
  assert not thread.is_alive() and raised == ['the verifier pool is closed']


# 4 s of sympy; an integral may stand in an answer where the gold answer has one
BOMB = ('\\boxed{\\int_0^{1} x^5 e^{x}\\, dx}', {'answer': '\\int_0^{2} x^5 e^{x}\\, dx-\\int_1^{2} x^5 e^{x}\\, dx'})


def test_answers_that_take_long_go_to_the_slow_lane():
  """They are judged there with more time; the others do not wait behind them."""
  with Pool(workers=1) as pool:
    # 0.65 s: between the 0.1 s of the first lane and the 4 s of the slow one on machines six times faster and slower.
    slow = pool.submit('\\boxed{\\int_0^{1} x^5 e^{x}\\, dx}', {'answer': '\\int_0^{1} e^{t} t^5\\, dt'})
    assert slow.result() == Verdict('correct', 'equal')
    assert pool.stats.slow == 1 and pool.stats.timeouts == 0 and 0 < pool.stats.busy
    future = pool.submit(*BOMB)
    others = pool.verify([(f'\\boxed{{\\sqrt{{{4 * i}}}}}', {'answer': f'2\\sqrt{{{i}}}'}) for i in range(3, 23)])
    assert {v.status for v in others} == {'correct'} and not future.done()


def test_close_while_an_answer_waits_for_the_slow_lane():
  pool = Pool(workers=1)
  future = pool.submit(*BOMB)
  deadline = time.monotonic() + 30
  while not pool.stats.slow and time.monotonic() < deadline:
    time.sleep(0.01)
  pool.close()
  assert future.result() == Verdict('invalid', 'fault')


def test_response_verify_needs_a_judgeable_row():
  assert response.verify('\\boxed{5}', {'answer': 5}) == Verdict('correct', 'equal')
  assert response.verify('```python\nprint(5)\n```', {'tests': TESTS, 'answer': '6'}) == Verdict('correct', 'accepted')
  with pytest.raises(ValueError, match='"tests", "answer" or'):
    response.verify('\\boxed{5}', {'question': 'x'})


def session_processes(marker):
  found = []
  for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
      with open(f'/proc/{pid}/cmdline', 'rb') as f, open(f'/proc/{pid}/status', encoding='ascii') as g:
        if marker.encode() in f.read() and 'State:\tZ' not in g.read():
          found.append(int(pid))
    except OSError:
      pass
  return found


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_killing_the_trainer_leaves_no_process_behind():
  source = (
    'import sys\nfrom vibethinker_jax.verify.pool import Pool\npool = Pool(workers=2)\n'
    'block = "```python\\n# %d\\n%s\\n```"\n'
    'row = {"tests": {"cases": [{"input": "", "output": "1"}]}}\n'
    'pool.verify([(block % (i, "print(1)"), row) for i in range(8)])\n'
    'for i in range(4): pool.submit(block % (i, "import time\\ntime.sleep(4)"), row)\n'
    'print("ready", flush=True)\nsys.stdin.read()\n'
  )
  env = dict(os.environ, PYTHONPATH=os.pathsep.join([os.getcwd(), *filter(None, sys.path)]))
  env.pop(UNSAFE, None)
  trainer = subprocess.Popen([sys.executable, '-c', source], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
  assert trainer.stdout.readline() == b'ready\n'
  time.sleep(0.3)  # the sleeping programs have started
  workers = session_processes(f'\0{trainer.pid}\0')
  children = workers + [p for w in workers for p in session_processes(f'\0{w}')]
  assert len(workers) == 2 and len(children) >= 4
  os.kill(trainer.pid, signal.SIGKILL)
  trainer.wait()
  trainer.stdin.close()
  trainer.stdout.close()
  deadline = time.monotonic() + 3
  while left := [p for p in children if os.path.exists(f'/proc/{p}') and alive(p)]:
    assert time.monotonic() < deadline, left
    time.sleep(0.05)


def alive(pid):
  try:
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
      return 'State:\tZ' not in f.read()
  except OSError:
    return False
