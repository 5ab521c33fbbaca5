"""Axes with round numbers."""

import pytest

from vibethinker_jax.eval.pages import drawing


@pytest.mark.parametrize(
  'low, high, log, expected',
  [
    (0, 900, False, [0, 200, 400, 600, 800]),
    (0.28, 5.3, True, [0.5, 1, 2, 5]),
    (1e-7, 5e-7, False, 5),
    (0.001, 900, True, 6),
    (3.5, 4.4, True, [3.6, 3.8, 4, 4.2, 4.4]),
  ],
)
def test_ticks(low, high, log, expected):
  found = drawing.ticks(low, high, log)
  assert all(low - 1e-12 <= t <= high + 1e-12 for t in found)
  assert found == pytest.approx(expected) if isinstance(expected, list) else len(found) == expected
