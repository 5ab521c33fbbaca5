"""SIGTERM and the watchdog in a run of one process."""

import os
import signal
import threading
import time

import pytest

from vibethinker_jax.runtime import hosts, peers, watch


def term():
  os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_in_a_loop_waits_for_the_step():
  with pytest.raises(watch.Preempted) as stop, watch.guard(), watch.deferred():
    for step in range(9):
      if step == 3:
        term()
      if watch.preempted(step):
        raise watch.Preempted('sft', step)
  assert stop.value.code == 143 and 'stage sft is saved at step 3' in stop.value.text


def test_sigterm_elsewhere_stops_at_once(capsys):
  with pytest.raises(watch.Preempted), watch.guard():
    term()
    pytest.fail('went on')
  assert 'stopped by SIGTERM' in capsys.readouterr().err
  assert not watch.preempted(1)  # forgotten with the guard
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_hung_step_is_reported_with_stacks(monkeypatch, capfd):
  for name, value in (('PATIENCE', 0.3), ('TIMES', 3.0)):
    monkeypatch.setattr(watch, name, value)
  monkeypatch.setattr(peers, 'PERIOD', 0.05)
  with watch.guard():
    hosts.reach('sft step 7')
    waiting_for_nothing()
  err = capfd.readouterr().err
  assert 'nothing was finished for' in err and "since 'sft step 7'" in err
  assert 'in waiting_for_nothing' in err
  assert 1 <= err.count('watchdog:') <= 3  # each report waits for twice the time


def waiting_for_nothing():
  threading.Event().wait(1.5)


def test_steps_as_long_as_those_before_are_not_reported(monkeypatch, capfd):
  for name, value in (('PATIENCE', 0.2), ('TIMES', 2.0)):
    monkeypatch.setattr(watch, name, value)
  monkeypatch.setattr(peers, 'PERIOD', 0.05)
  with watch.guard():
    with hosts.busy('the report'):
      time.sleep(0.6)
    for wait in (0.15, 0.25, 0.4, 0.6):
      time.sleep(wait)
      hosts.reach('a step')
  assert capfd.readouterr().err == ''


def test_a_process_that_hangs_too_long_is_ended(monkeypatch, capfd):
  ended = threading.Event()
  monkeypatch.setattr(peers, 'leave', lambda status: ended.set())
  monkeypatch.setattr(peers, 'PERIOD', 0.05)
  with watch.guard(hang_seconds=0.4):
    assert ended.wait(20)
  assert 'error: this process hangs' in capfd.readouterr().err


def test_exceptions_pass_in_a_run_of_one_process():
  with pytest.raises(ValueError, match='the cat'), watch.guard():
    raise ValueError('the cat')
