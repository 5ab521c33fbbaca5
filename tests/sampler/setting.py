"""What the tests of rollouts share: shapes, and what is the same of two of them."""

import numpy as np

T, GROUP, STOPS = 12, 3, (3, 7)
LENGTHS = (5, 1, 9, 2, 7)
OPTIONS = dict(max_tokens=T, slots=16, steps_per_call=4)


def same(found, expected):
  """Equal tokens, though other slots, steps or devices are other programs whose logits differ in the last bits:
  test_no_draw_is_near_a_border says that none of these draws is so close that it would matter."""
  assert (found.tokens_PGL == expected.tokens_PGL).all()
  assert (found.lengths_PG == expected.lengths_PG).all() and (found.stopped_PG == expected.stopped_PG).all()
  np.testing.assert_allclose(found.logps_PGL, expected.logps_PGL, atol=1e-5)


def check_ends(responses, limit):
  """Lengths, reasons and padding agree with the tokens."""
  for p, g in np.ndindex(responses.lengths_PG.shape):
    tokens, n = responses.tokens_PGL[p, g], responses.lengths_PG[p, g]
    ends = np.flatnonzero(np.isin(tokens[:n], STOPS))
    assert 1 <= n <= limit
    assert (tokens[n:] == 0).all() and (responses.logps_PGL[p, g, n:] == 0).all()
    if responses.stopped_PG[p, g]:
      assert ends.tolist() == [n - 1]
    else:
      assert ends.size == 0 and n == limit
