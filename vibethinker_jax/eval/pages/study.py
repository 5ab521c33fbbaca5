"""report.html of a study: what each claim came to, every arm with its intervals, and curves."""

import json
import pathlib

import numpy as np

from vibethinker_jax.eval import paired, trials
from vibethinker_jax.eval.pages import drawing, page
from vibethinker_jax.eval.pages.drawing import Plot

LAST = (
  *('probed', 'tokens', 'truncated', 'accuracy', 'entropy', 'useful', *trials.DIFFICULTY),
  *('sampled_tokens', 'seconds', 'tokens_to', 'seconds_to'),
)
WORDS = {
  'probed': 'Pass@K probed',
  'tokens': 'response, tokens',
  'truncated': 'cut off',
  'accuracy': 'accuracy at the end',
  'entropy': 'entropy at the end, nats',
  'useful': 'useful groups',
  **{name: f'groups of {name}' for name in trials.DIFFICULTY},
  'sampled_tokens': 'tokens sampled',
  'seconds': 'seconds',
  'tokens_to': 'tokens to the accuracy',
  'seconds_to': 'seconds to the accuracy',
}


def write(workdir: pathlib.Path, study, joined, result: dict) -> None:
  """Writes report.html, whole or not at all."""
  page.written(
    workdir / 'report.html',
    'study.html',
    {
      'title': workdir.resolve().name,
      'study': study,
      'result': result,
      'tables': tables(study, result),
      'forests': forests(study, result),
      'curves': curves(workdir, study, joined, result),
      'words': WORDS,
    },
  )


def measured(result: dict, claims=()) -> dict[str, list[str]]:
  """{stage: names of its metrics that any arm has}, Pass@1 and Pass@K of the total first; of single domains those that
  claims are about."""
  asked, found = {metric for claim in claims for metric in (claim.metric, claim.beside)}, {}
  for of in result['arms'].values():
    for metrics in of.values():
      for metric in metrics:
        stage, _, name = metric.partition('.')
        if name in LAST or name.startswith('pass@') or metric in asked:
          found.setdefault(stage, set()).add(name)
  place = lambda name: LAST.index(name) + 99 if name in LAST else int(name.rpartition('@')[2])
  return {stage: sorted(names, key=lambda name: ('.' in name, place(name), name)) for stage, names in found.items()}


def values(result: dict, arm: str, metric: str) -> list[float]:
  return [metrics[metric] for metrics in result['arms'][arm].values() if metric in metrics]


def cell(result: dict, arm: str, metric: str) -> str:
  """'36.9 [35.1, 38.7]' over seeds; how many had it, where not all have."""
  found = values(result, arm, metric)
  if not found:
    return '-'
  scale = 100 if trials.is_share(metric) else 1
  mean, low, high = (scale * x for x in paired.mean(found))
  number = (lambda x: f'{x:.1f}') if scale == 100 else lambda x: f'{x:,.0f}' if abs(mean) >= 100 else f'{x:.3g}'
  short = len(found) < len(result['arms'][arm])
  return (
    number(mean)
    + (f' [{number(low)}, {number(high)}]' if len(found) > 1 else '')
    + (f' ({len(found)} of {len(result["arms"][arm])})' if short else '')
  )


def tables(study, result: dict) -> dict:
  """{stage: {'metrics', 'rows': [(arm, says, seeds, cells)]}} of arms that have the stage."""
  found = {}
  for stage, names in measured(result, study.claims.values()).items():
    rows = [
      (arm, study.arms[arm].says or arm, len(of), [cell(result, arm, f'{stage}.{name}') for name in names])
      for arm, of in result['arms'].items()
      if any(f'{stage}.' == metric[: len(stage) + 1] for metrics in of.values() for metric in metrics)
    ]
    found[stage] = {'metrics': names, 'rows': rows}
  return found


def forests(study, result: dict) -> dict:
  """{metric: SVG}: the paired difference of every arm to the baseline, with its interval."""
  first = study.baseline
  trial = {arm: {int(seed): m for seed, m in of.items()} for arm, of in result['arms'].items()}
  found = {}
  for stage, names in measured(result, study.claims.values()).items():
    for name in [n for n in names if 'pass@' in n]:
      metric, rows = f'{stage}.{name}', []
      for arm in study.arms:
        differences = trials.pairs(trial, arm, first, metric)
        if len(differences) > 1 and any(differences):
          rows.append((study.arms[arm].says or arm, *(100 * x for x in paired.mean(differences))))
      if rows:
        found[metric] = forest(rows, study.arms[first].says or first, metric)
  return found


def forest(rows: list[tuple], first: str, metric: str) -> str:
  """A dot and an interval for each row, around 0; names stand above their lines, so that a phone shows them whole."""
  low, high = min([0, *(r[2] for r in rows)]), max([0, *(r[3] for r in rows)])
  pad = 0.08 * (high - low) or 1.0
  plot = Plot((low - pad, high + pad), (0, 1), left=12, width=336, top=4, height=32 * len(rows))
  parts = [f'<path class="boundary" d="M{plot.px(0):.1f} {plot.top}v{plot.height}"/>']
  for i, (name, mean, a, b) in enumerate(rows):
    y, shade = plot.top + 32 * i + 23, 'c2' if a > 0 else 'c1' if b < 0 else 'muted'
    parts.append(drawing.text(plot.left, y - 10, f'{name}: {mean:+.1f} [{a:+.1f}, {b:+.1f}]', 'start'))
    parts.append(f'<path class="line {shade}" d="M{plot.px(a):.1f} {y}H{plot.px(b):.1f}"/>')
    parts.append(f'<path class="line dot {shade}" d="M{plot.px(mean):.1f} {y}h0"/>')
  base = plot.top + plot.height
  for t in drawing.ticks(*plot.x):
    parts.append(
      f'<path class="axis" d="M{plot.px(t):.1f} {base}v4"/>' + drawing.text(plot.px(t), base + 16, f'{t:+.3g}')
    )
  parts.append(f'<path class="axis" d="M{plot.left} {base}h{plot.width}"/>')
  parts.append(drawing.text(plot.left + plot.width / 2, base + 32, f'points of {metric} more than {first}'))
  description = f'{metric} of each arm minus that of {first}, points with 95% intervals'
  return f'<svg viewBox="0 0 360 {base + 40}" role="img" aria-label="{description}">{"".join(parts)}</svg>'


def curves(workdir: pathlib.Path, study, joined, result: dict) -> dict:
  """{rl stage: [(arm, SVG)]}: accuracy of the rollouts over sampled tokens, the mean of all seeds, the baseline
  beside."""
  found, first = {}, study.baseline
  for arm, of in result['arms'].items():
    for stage in (s for s, names in measured({'arms': {arm: of}}).items() if 'sampled_tokens' in names):
      files = [workdir / f'seed_{seed}' / joined.names[arm][stage] / 'metrics.jsonl' for seed in of]
      found.setdefault(stage, {})[arm] = averaged(files)
  return {
    stage: [
      (study.arms[arm].says or arm, chart(lines, [] if arm == first else of.get(first, [])))
      for arm, lines in of.items()
    ]
    for stage, of in found.items()
  }


def averaged(files: list[pathlib.Path]) -> list[tuple[float, float]]:
  """[(tokens, accuracy)] by step: means over runs as far as all go, the accuracy over trials.WINDOW steps."""
  runs = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
  steps = min(map(len, runs))
  tokens = np.mean([np.cumsum([x['sampled_tokens'] for x in run[:steps]]) for run in runs], axis=0)
  accuracy = np.mean([[x['accuracy'] for x in run[:steps]] for run in runs], axis=0)
  smooth = [float(accuracy[max(0, i + 1 - trials.WINDOW) : i + 1].mean()) for i in range(steps)]
  return list(zip(tokens.tolist(), smooth))


def chart(lines: list, first: list) -> str:
  plot = Plot((0, max(x for x, _ in (*lines, *first)) or 1), (0, 1))
  drawn = drawing.path(plot, first, 'line dashed muted', 'the baseline')
  return drawing.svg(
    drawing.frame(plot, 'tokens sampled', as_percent=True) + drawn + drawing.path(plot, lines, 'line c0'),
    'Accuracy of the rollouts over tokens sampled',
  )


def table(study, result: dict) -> str:
  """For a terminal: each claim's sentence, then Pass@1 of every arm after its last stage."""
  claims = result['claims'].values()
  lines = [f'{claim["says"]}\n  {claim["sentence"]}' for claim in claims if claim['n'] > 1]
  if open_ := [claim['says'] for claim in claims if claim['n'] < 2]:
    lines.append(f'Not two seeds yet of {len(open_)} claims: ' + '; '.join(open_))
  for stage, names in measured(result).items():
    if 'pass@1' in names:
      lines.append(f'{stage}: Pass@1, percent [95% over seeds]')
      lines += [
        f'  {arm:<24}{cell(result, arm, f"{stage}.pass@1")}'
        for arm in result['arms']
        if values(result, arm, f'{stage}.pass@1')
      ]
  return '\n'.join(lines + [f'{where} ended: {why}' for where, why in result['failed'].items()])
