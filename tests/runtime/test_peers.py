"""Who is to blame when a host is silent or behind; a second of the tests is an hour of nobody's time."""

import pytest

from vibethinker_jax.runtime import peers

SILENT, BEHIND = peers.SILENT, peers.BEHIND


def message(number, count, active=0, busy='', what='step 3'):
  return {'number': number, 'count': count, 'active': active, 'busy': busy, 'what': what, 'name': 'a'}


def heard(*messages, top=5):
  """A Beat that heard a message a second."""
  beat = peers.Beat(0.0)
  for second, m in enumerate(messages):
    beat.hear(m, top, float(second))
  return beat, float(len(messages) - 1)


def test_a_host_that_speaks_and_moves_is_well():
  beat, now = heard(*(message(i, i) for i in range(200)), top=0)
  assert beat.trouble(now + SILENT) == ''


def test_silence_is_noticed_and_says_since_when():
  beat, now = heard(message(0, 4), message(1, 5))
  assert beat.trouble(now + SILENT - 1) == ''
  assert "no sign of life for 21 s, since 'step 3'" in beat.trouble(now + SILENT + 1)
  assert peers.Beat(0.0).trouble(SILENT + 1)  # one that never spoke


def test_one_behind_and_idle_hangs():
  beat, now = heard(*(message(i, 4) for i in range(int(BEHIND) + 3)))
  assert beat.trouble(now).startswith('hangs: the others have waited for it for 4')
  beat, now = heard(*(message(i, 4) for i in range(int(BEHIND) - 1)))
  assert beat.trouble(now) == ''


@pytest.mark.parametrize('good', [dict(count=5), dict(active=1), dict(busy='compiling')], ids=str)
def test_one_that_works_or_is_not_behind_does_not_hang(good):
  """The others wait for a host that compiles, or decodes: no reason to end it."""
  times = range(int(BEHIND) * 3)
  beat, now = heard(
    *(message(i, **{'count': 4, **{k: v * i if k == 'active' else v for k, v in good.items()}}) for i in times)
  )
  assert beat.trouble(now) == ''


def test_one_that_is_done_is_left_alone():
  beat, now = heard(message(0, 5) | {'done': True})
  assert beat.trouble(now + 10 * SILENT) == ''
