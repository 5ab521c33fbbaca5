"""Sums, losses and drawings of timeline.jsonl."""

import json

import pytest

from vibethinker_jax.eval.pages import goodput


def line(time, what, **seconds):
  return {'time': time, 'what': what, 'seconds': dict.fromkeys(goodput.PHASES, 0.0) | seconds}


def written(path, *lines, tail=''):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(''.join(json.dumps(x) + '\n' for x in lines) + tail)
  return path


STRAIGHT = (
  line(100, 'start', idle=30),
  line(110, 1, compile=8, train=2),
  line(114, 2, train=3, idle=1),
  line(120, 'end', checkpoint=6),
)
# Killed after step 3, 40 s later started again from the checkpoint of step 1.
RESUMED = (
  *STRAIGHT[:3],
  line(118, 3, train=3, rollout=1),
  line(158, 'start', idle=9),
  line(161, 2, train=3),
  line(164, 3, train=3),
  line(165, 'end', idle=1),
)


def test_a_stage_that_was_never_stopped(tmp_path):
  times = goodput.of_stage('sft', goodput.read(written(tmp_path / 'a', *STRAIGHT)))
  assert times.seconds == {'train': 5, 'rollout': 0, 'verify': 0, 'checkpoint': 6, 'compile': 8, 'idle': 1}
  assert (times.lost, times.stopped, times.total, times.goodput) == (0, 0, 20, 5 / 20)  # from 100 to 120


def test_steps_that_were_done_again_and_the_time_between(tmp_path):
  times = goodput.of_stage('sft', goodput.read(written(tmp_path / 'a', *RESUMED, tail='{"time": 1')))
  assert times.lost == 3 + 4 and times.stopped == 40  # steps 2 and 3 of the first start
  assert times.total == 165 - 100 and times.goodput == pytest.approx((2 + 3 + 3) / 65)


def test_all_stages_together(tmp_path):
  written(tmp_path / 'sft' / 'timeline.jsonl', *STRAIGHT)
  written(tmp_path / 'rl' / 'timeline.jsonl', *RESUMED)
  times = goodput.of_workdir(tmp_path, {'sft': 'sft', 'probe': 'probe', 'rl': 'rl'})
  whole = goodput.of_run(times)
  assert [t.name for t in times] == ['sft', 'rl']
  assert whole.total == 85 and whole.goodput == pytest.approx((5 + 8) / 85) and whole.stopped == 40
  assert goodput.of_run([]) is None


def test_drawings_show_what_counts(tmp_path):
  lines = goodput.read(written(tmp_path / 'a', *RESUMED))
  drawing = goodput.drawing('rl', lines)
  assert drawing.count('<title>step 2: train') == 1 and 'rollout' not in drawing  # the rollout was in a lost step
  many = goodput.with_losses([goodput.Line(i, i, dict.fromkeys(goodput.PHASES, 1.0)) for i in range(1, 1001)])
  assert 60 <= goodput.drawing('rl', many).count(': train') <= goodput.COLUMNS
  assert goodput.drawing('rl', lines[:2]) == ''


def test_the_phases_are_those_that_are_measured():
  from vibethinker_jax.runtime import timeline

  assert tuple(goodput.PHASES) == timeline.PHASES and goodput.USEFUL == timeline.USEFUL
