"""Charts of the pages as SVG, and short words for numbers; no JAX.

SVG made here, not by matplotlib: panels as narrow as a phone wrap without shrinking their text, their colours follow
the light or dark theme, and a page takes milliseconds.
"""

import html
import itertools
import math
from typing import NamedTuple


def finite(x) -> bool:
  return x is not None and math.isfinite(x)


def duration(seconds: float) -> str:
  if seconds < 90:
    return f'{seconds:.0f} s' if seconds >= 10 else f'{seconds:.2g} s'
  return f'{seconds / 60:.1f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


def cut(words: str, limit: int) -> str:
  """The beginning and the end of a long text."""
  if len(words) <= limit:
    return words
  head, tail = words[: limit * 2 // 3], words[len(words) - limit // 3 :]
  return f'{head}\n[... {len(words) - len(head) - len(tail):,} characters left out ...]\n{tail}'


class Plot(NamedTuple):
  """A rectangle of a drawing and the ranges of data that it shows; log: of the y axis."""

  x: tuple
  y: tuple
  log: bool = False
  left: float = 48
  top: float = 8
  width: float = 292
  height: float = 150

  def px(self, v: float) -> float:
    return self.left + self.width * (v - self.x[0]) / (self.x[1] - self.x[0])

  def py(self, v: float) -> float:
    low, high, v = (math.log(u) for u in (*self.y, v)) if self.log else (*self.y, v)
    return self.top + self.height * (high - v) / (high - low)

  def at(self, x: float, y: float) -> str:
    return f'{self.px(x):.1f} {self.py(y):.1f}'


def spread(values, zero: bool = False, log: bool = False) -> tuple[float, float]:
  """The range of an axis that shows the values (none of them negative), never empty; zero: from 0 on."""
  values = [v for v in values if finite(v)] or [0.0, 1.0]
  low, high = 0.0 if zero else min(values), max(values)
  if log:
    return low / 1.1, high * 1.1
  pad = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
  return 0.0 if zero else max(0.0, low - pad), high + pad


def ticks(low: float, high: float, log: bool = False) -> list[float]:
  """Round numbers, about five."""
  if log:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    every = [(m, m * 10.0**e) for e in decades for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    if len(every) >= 3:
      return [t for m, t in every if len(every) <= 7 or m == 1]
  step = 10.0 ** math.floor(math.log10((high - low) / 5))
  step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 5)
  return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def frame(plot: Plot, x_label: str, as_percent: bool = False) -> str:
  """Grid, ticks and labels."""
  base, parts = plot.top + plot.height, []
  number = lambda v: f'{v:,.0f}' if abs(v) >= 1000 else f'{v:.3g}'
  for t in ticks(*plot.y, plot.log):
    parts.append(f'<path class="grid" d="M{plot.left} {plot.py(t):.1f}h{plot.width}"/>')
    parts.append(text(plot.left - 6, plot.py(t) + 4, f'{100 * t:.3g}%' if as_percent else number(t), 'end'))
  for t in ticks(*plot.x):
    parts.append(f'<path class="axis" d="M{plot.px(t):.1f} {base}v4"/>')
    parts.append(text(plot.px(t), base + 16, number(t)))
  parts.append(f'<path class="axis" d="M{plot.left} {base}h{plot.width}"/>')
  return ''.join(parts) + text(plot.left + plot.width / 2, base + 33, x_label)


def path(plot: Plot, points, classes: str, title: str = '') -> str:
  """A line with gaps where there is no value; a value between two gaps becomes a dot."""
  groups = itertools.groupby(points, lambda p: finite(p[1]))
  runs = [[plot.at(*p) for p in run] for known, run in groups if known]
  drawn = ''.join('M' + 'L'.join(r if len(r) > 1 else r * 2) for r in runs)
  hover = f'<title>{html.escape(title)}</title>' if title else ''
  return f'<path class="{classes}" d="{drawn}">{hover}</path>' if drawn else ''


def text(x: float, y: float, words: str, anchor: str = 'middle', classes: str = '') -> str:
  return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{classes}">{html.escape(words)}</text>'


def svg(body: str, description: str) -> str:
  return f'<svg viewBox="0 0 360 198" role="img" aria-label="{html.escape(description)}">{body}</svg>'
