"""Where the wall time of a run went, from the timeline.jsonl of its stages; no JAX.

Each line: when, what (a step, 'start' or 'end' of the stage), seconds of each phase since the line before.
"""

import itertools
import json
import math
import pathlib
from typing import NamedTuple

from vibethinker_jax.eval.pages.drawing import Plot, frame, svg

PHASES = {  # as in timeline.py: colour, words
  'train': ('c2', 'train'),
  'rollout': ('c0', 'rollout'),
  'verify': ('c1', 'verify'),
  'checkpoint': ('c3', 'checkpoint'),
  'compile': ('c4', 'compile'),
  'idle': ('muted', 'idle'),
}
USEFUL = ('train', 'rollout')
COLUMNS = 80  # of a drawing at most


class Line(NamedTuple):
  """time: unix. what: step, 'start' or 'end'. seconds: of each phase. lost: the step was done again after a stop."""

  time: float
  what: int | str
  seconds: dict
  lost: bool = False


class Times(NamedTuple):
  """Of one stage. seconds: of each phase; lost: of train and rollout, what was done again; stopped: between a stop and
  the next start; total: all of it; goodput: the share of useful phases that was not lost."""

  name: str
  seconds: dict
  lost: float
  stopped: float
  total: float
  goodput: float
  drawing: str


def read(path: pathlib.Path) -> list[Line]:
  """The lines of one stage; a killed process may have left half of one."""
  lines = []
  for text in path.read_text().splitlines() if path.exists() else []:
    try:
      line = json.loads(text)
      lines.append(Line(line['time'], line['what'], {p: float(line['seconds'].get(p, 0)) for p in PHASES}))
    except (ValueError, KeyError, TypeError, AttributeError):
      continue
  return with_losses(lines)


def with_losses(lines: list[Line]) -> list[Line]:
  """Marks the steps that a later start did again."""
  found, ahead = [], math.inf
  for line in reversed(lines):
    step = line.what if isinstance(line.what, int) else None
    found.append(line._replace(lost=step is not None and step >= ahead))
    ahead = min(ahead, step) if step is not None else ahead
  return found[::-1]


def of_stage(name: str, lines: list[Line], drawn: bool = True) -> Times | None:
  """The sums of a stage, None if it left no time. drawn: its steps too."""
  spent = [line for line in lines if line.what != 'start']  # what lies before a start is not this stage's
  seconds = {p: sum(line.seconds[p] for line in spent) for p in PHASES}
  lost = sum(line.seconds[p] for line in spent for p in USEFUL if line.lost)
  stopped = sum(max(0.0, b.time - a.time) for a, b in itertools.pairwise(lines) if b.what == 'start')
  total = sum(seconds.values()) + stopped
  if total <= 0:
    return None
  useful = sum(seconds[p] for p in USEFUL) - lost
  return Times(name, seconds, lost, stopped, total, useful / total, drawing(name, spent) if drawn else '')


def of_run(stages: list[Times]) -> Times | None:
  """All stages together."""
  if not stages:
    return None
  seconds = {p: sum(s.seconds[p] for s in stages) for p in PHASES}
  lost, stopped, total = (sum(getattr(s, name) for s in stages) for name in ('lost', 'stopped', 'total'))
  return Times('all', seconds, lost, stopped, total, sum(s.goodput * s.total for s in stages) / total, '')


def drawing(name: str, lines: list[Line]) -> str:
  """Seconds of a step, phases stacked, over the steps of a stage; '' for a stage without steps."""
  steps = [line for line in lines if isinstance(line.what, int) and not line.lost]
  if len(steps) < 2:
    return ''
  firsts = [0, *(line.what for line in steps)]
  per_step = [(line.what, max(1, line.what - before), line.seconds) for before, line in zip(firsts, steps)]
  size = math.ceil(len(per_step) / COLUMNS)
  bars = []
  for i in range(0, len(per_step), size):
    part = per_step[i : i + size]
    count = sum(n for _, n, _ in part)
    bars.append((part[0][0] - part[0][1], part[-1][0], {p: sum(s[p] for _, _, s in part) / count for p in PHASES}))
  # One slow first step (compilation) would flatten all others: the scale ends at twice the nine tenths quantile.
  heights = sorted(sum(s.values()) for _, _, s in bars)
  plot = Plot(
    (bars[0][0], bars[-1][1]), (0.0, min(heights[-1], 2 * heights[int(0.9 * (len(heights) - 1))]) * 1.05 or 1.0)
  )
  body = frame(plot, 'step')
  for start, end, seconds in bars:
    left, width, height = plot.px(start), plot.px(end) - plot.px(start), 0.0
    for p, (colour, words) in PHASES.items():
      low, high = (plot.py(min(v, plot.y[1])) for v in (height, height + seconds[p]))
      height += seconds[p]
      if low - high > 0.05:
        body += (
          f'<path class="bar {colour}" d="M{left:.1f} {high:.1f}h{max(0.5, width - 0.3):.1f}V{low:.1f}H{left:.1f}z">'
          f'<title>step {end}: {words} {seconds[p]:.2g} s</title></path>'
        )
  return svg(body, f'{name}: seconds of a step by phase')


def of_workdir(workdir: pathlib.Path, programs: dict[str, str]) -> list[Times]:
  """Of every stage that left times, in the order of the recipe. programs: of the stages."""
  found = (
    of_stage(name, read(workdir / name / 'timeline.jsonl'), program in ('sft', 'rl'))
    for name, program in programs.items()
  )
  return [times for times in found if times]
