"""What the report of a run shows of rewards: means and deviations of all parts over the steps, failed verdicts."""

import itertools

from vibethinker_jax.eval.pages.drawing import Plot, finite, frame, path, svg

MEAN, DEVIATION, INVALID = 'reward', 'reward_std', 'invalid'  # in metrics.jsonl, of a part 'reward/NAME'
MOST = 24  # panels; all others are in metrics.jsonl


def panels(stages: list, thin) -> tuple[dict[str, str], int]:
  """({title: drawing} of all RL stages on one axis of steps, how many parts are left out).

  Args:
    stages: with `lines` of metrics.jsonl. thin: points -> at most as many as a panel shows.
  """
  stages = [s for s in stages if s.lines]
  ends = [0, *itertools.accumulate(s.lines[-1]['step'] for s in stages)]
  names = dict.fromkeys(
    key for s in stages for line in s.lines for key in line if key == MEAN or key.startswith(f'{MEAN}/')
  )
  found = {}
  for name in list(names)[:MOST]:
    part = name.removeprefix(MEAN)
    series = [_series(s.lines, start, name, f'{DEVIATION}{part}') for s, start in zip(stages, ends)]
    title = part.removeprefix('/') or 'Reward (the sum)'
    found[title] = _drawn(series, ends, thin, f'{title} over RL steps: mean and deviation')
  if any(line.get(INVALID) for s in stages for line in s.lines):
    series = [_series(s.lines, start, INVALID, '') for s, start in zip(stages, ends)]
    found['Responses without a verdict'] = _drawn(series, ends, thin, 'invalid verdicts over RL steps')
  return found, max(0, len(names) - MOST)


def _series(lines: list[dict], start: int, name: str, deviation: str) -> list[tuple]:
  """(step, mean, deviation) of a stage."""
  return [(start + line['step'], line.get(name), line.get(deviation) or 0.0) for line in lines]


def _drawn(series: list, ends: list[int], thin, description: str) -> str:
  values = [y + sign * d for points in series for _, y, d in points if finite(y) for sign in (-1, 1)]
  low, high = min(values, default=0.0), max(values, default=1.0)
  pad = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
  plot = Plot((0, ends[-1]), (low - pad if low < 0 else max(0.0, low - pad), high + pad))
  body = frame(plot, 'RL step')
  body += ''.join(path(plot, [(x, plot.y[0]), (x, plot.y[1])], 'boundary') for x in ends[1:-1])
  for i, points in enumerate(series):
    known = [p for p in points if finite(p[1])]
    lows, highs = (thin([(x, y + sign * d) for x, y, d in known]) for sign in (-1, 1))
    if any(d for _, _, d in known):
      body += path(plot, lows + highs[::-1], f'band c{i % 6}')
    body += path(plot, thin([(x, y) for x, y, _ in points]), f'line c{i % 6}')
  return svg(body, description)
