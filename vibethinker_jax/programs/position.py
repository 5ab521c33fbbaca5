"""Where an RL stage stands, and whether it has learned anything lately."""

from typing import NamedTuple

import numpy as np

IDLE_STEPS = 10  # in a row without a useful group: the stage ends


class Fruitless(ValueError):
  """Training that came to nothing, though all was in order: its prompts taught nothing."""


class Position(NamedTuple):
  """Where a stage stands; saved with every checkpoint.

  Attributes:
    step: rollout batches that were trained on.
    cursor: prompts that were drawn of their endless sequence.
    histogram: groups by the number of their correct responses, [G + 1].
    idle: steps without a useful group since the last with one. made: updates made.
    entropy: coefficient of the entropy bonus, which may adapt. tokens: sampled in all steps.
  """

  step: int
  cursor: int
  histogram: np.ndarray
  idle: int
  made: int
  entropy: float = 0.0
  tokens: int = 0

  def after(self, cursor: int, sampled: dict, updated: bool, entropy: float = 0.0) -> 'Position':
    return Position(
      self.step + 1,
      cursor,
      self.histogram + sampled['histogram'],
      0 if sampled['useful'] else self.idle + 1,
      self.made + int(updated),
      entropy,
      self.tokens + int(sampled['tokens']),
    )

  def tired(self) -> bool:
    return self.idle > 0 and self.idle % IDLE_STEPS == 0

  def done(self, steps: int, token_budget: int) -> bool:
    return self.step >= steps or 0 < token_budget <= self.tokens

  def saved(self) -> dict:
    return self._asdict() | {'histogram': self.histogram.tolist()}


def refuse_idle(stage: str, at: Position, done: bool) -> None:
  """Ends a stage that learns nothing. done: it has no step left.

  Raises:
    Fruitless: IDLE_STEPS steps in a row (or as many again) had no useful group, or none of all steps made an update.
  """
  step, idle, made = at.step, at.idle, at.made
  if not (idle >= IDLE_STEPS and (done or idle % IDLE_STEPS == 0) or done and not made):
    return
  what = (
    f'no group was useful in the last {idle} steps'
    if idle >= IDLE_STEPS
    else f'none of the {step} steps made an update'
  )
  then = (
    'it has no step left: train on others in a new stage or workdir'
    if done
    else 'started again, it goes on with the next prompts'
  )
  raise Fruitless(
    f'stage {stage!r}: {what} (the warnings above and metrics.jsonl say what was seen). It is not done; '
    f'the checkpoint of step {step} is kept, and {then}. Problems that the model solves sometimes are '
    'needed: easier or harder ones, a larger group or more max_rounds; where all are wrong, look at responses in '
    'examples.jsonl'
  )
