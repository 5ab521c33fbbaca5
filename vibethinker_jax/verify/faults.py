"""When too many responses got no verdict for anything to be learned from the rest."""

from __future__ import annotations

import collections
from collections.abc import Iterable

OPTION = 'config.verify.invalid_share'
REMEDY = 'Nothing is made of the rest, and the stage is not done: mend the verifier and start again'


def refuse(
  what: str, invalid: Iterable[str], total: int, share: float, fault: str, option: str = OPTION, remedy: str = REMEDY
) -> None:
  """Ends what cannot be judged, before anything is made of it.

  Args:
    what: of whose verdicts it is said. invalid: reasons of the invalid ones. total: all verdicts. share: more invalid
      ones are refused. fault: the first, as of Pool.first_fault; '' where nothing failed (problems without an answer).
    option: that sets the share. remedy: what to do.

  Raises:
    ValueError: too many are invalid.
  """
  reasons = collections.Counter(invalid)
  count = sum(reasons.values())
  if count <= share * total:
    return
  kinds = ', '.join(f'{n} {reason or "unknown"}' for reason, n in reasons.most_common())
  raise ValueError(
    f'{what}: {count} of {total} verdicts are invalid ({kinds}), more than {option}={share:g}. {remedy}'
    + (f'. The first fault:\n{fault}' if fault else '; no_gold and no_tests are problems that cannot be judged')
  )
