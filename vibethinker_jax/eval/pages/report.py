"""What a person sees of a run: the table in the terminal and report.html, which needs nothing but a browser.

Words are in the template, charts are drawing.py's.
"""

import itertools
import json
import math
import pathlib
from typing import NamedTuple

import jinja2
from jinja2.utils import htmlsafe_json_dumps

from vibethinker_jax.data import turns
from vibethinker_jax.eval.pages import goodput, rewards
from vibethinker_jax.eval.pages.drawing import Plot, cut, duration, finite, frame, path, spread, svg, text
from vibethinker_jax.runtime import disk, origins

RL_PANELS = ('accuracy', 'response_tokens', 'entropy', 'useful_groups', 'grad_norm', 'logp_gap')
EXAMPLES_BYTES = 1_200_000  # of sampled responses in the page; the rest of it is small
RESPONSE_CHARS = 4000  # of one response or prompt
TOTAL = 'all problems'  # beside the domains of a set of files
POINTS = 300  # per line: as many as a panel has pixels


def table(models: dict, k: int) -> str:
  """Pass@1 (totals with 95% interval) and Pass@k of the totals per model, for a terminal of 120 columns.

  Args:
    models: {model: {domain: passk.summary}}. k: of Pass@k; there is no such column where k is 1 or was not measured.
  """
  singles, totals = domains_of(models)
  tails = [d for d in totals if k > 1 and any(score(scores, d, k) is not None for scores in models.values())]

  def rows(with_intervals):
    found = [['model', *singles, *totals, *(f'{d} @{k}' for d in tails)]]
    for name, scores in models.items():
      found.append(
        [
          name,
          *(percent(score(scores, d)) for d in singles),
          *(percent(score(scores, d)) + interval(scores, d) * with_intervals for d in totals),
          *(percent(score(scores, d, k)) for d in tails),
        ]
      )
    return found

  def aligned(cells):
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ['  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]

  turned = aligned(list(zip(*rows(False))))  # a line for each domain: there are many
  body = next((x for x in map(aligned, (rows(True), rows(False))) if max(map(len, x)) <= 120), turned)
  return '\n'.join(
    ['Held-out problems: Pass@1 in percent [95% interval]' + (f'; @{k}: Pass@{k}' if tails else ''), *body]
  )


def rewards_said(found: dict) -> str:
  """'mean reward 0.31 (deviation 0.5), format 0.9 (0.3)' of {name: (mean, deviation)}, the whole under ''."""
  if '' not in found:
    return 'no reward, for no response has a verdict'
  parts = [f'{name} {x[0]:.4g} ({x[1]:.4g})' for name, x in found.items() if name]
  return ', '.join([f'mean reward {found[""][0]:.4g} (deviation {found[""][1]:.4g})', *parts])


def write(workdir: pathlib.Path, config: dict) -> None:
  """Writes `workdir/report.html`, whole or not at all, from whatever the stages have left there so far."""
  page = render(workdir, config)
  with disk.replacing(workdir / 'report.html', 'the report') as temporary:
    temporary.write_text(page, encoding='utf-8')


def render(workdir: pathlib.Path, config: dict) -> str:
  """The page as text."""
  run = read_run(workdir, config)
  times = goodput.of_workdir(workdir, {s.name: s.program for s in run})
  examples, left_out = fit(read_examples(workdir, run), EXAMPLES_BYTES)
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters |= {'percent': percent, 'duration': duration, 'finite': finite}
  return environment.get_template('report.html').render(
    workdir=workdir.resolve().name,
    origins=origins.read(workdir),
    config=config,
    parameters=parameters(config),
    stages=run,
    longest=max((s.seconds() for s in run), default=0),
    total_seconds=sum(s.seconds() for s in run),
    finals=[final(s, run) for s in run if s.result.get('models')],
    sft=[(s, sft_panels(s)) for s in of(run, 'sft')],
    probes=[probe(s, run) for s in of(run, 'probe') if s.result],
    rl=rl_panels(of(run, 'rl')),
    rewards=rewards.panels(of(run, 'rl'), thin),
    means=[(s.name, {label(m, run): x for m, x in s.result['rewards'].items()}) for s in run if 'rewards' in s.result],
    times=times,
    whole=goodput.of_run(times),
    PHASES=goodput.PHASES,
    examples=examples,
    left_out=left_out,
    histograms=[(s, histogram(s)) for s in of(run, 'rl') if s.result.get('group_accuracy_histogram')],
  )


class Stage(NamedTuple):
  """What a stage has left: its config, result.json ({} while unfinished), lines of metrics.jsonl, and the first prompts
  of its asked.json."""

  name: str
  program: str
  options: dict
  result: dict
  lines: list
  asked: list = []

  def phases(self) -> list[float]:
    """Seconds of rollout, of waiting for verdicts and of training, over all steps of an RL stage."""
    return [sum(x.get(f'seconds/{p}') or 0.0 for x in self.lines) for p in ('rollout', 'verify', 'train')]

  def seconds(self) -> float:
    """A resumed stage's result counts from its last start; but every step of an RL stage was timed."""
    return max(self.result.get('seconds', 0.0), sum(x.get('seconds/step') or 0.0 for x in self.lines))


def read_run(workdir: pathlib.Path, config: dict) -> list[Stage]:
  stages = []
  for name in config.get('stages', ()):
    options, path = config.get(name, {}), workdir / name / 'result.json'
    result = json.loads(path.read_text()) if path.exists() else {}
    lines = read_lines(path.parent / 'metrics.jsonl')
    path = path.with_name('asked.json')
    asked = json.loads(path.read_text()) if path.exists() else []
    stages.append(Stage(name, options.get('program', ''), options, result, lines, asked))
  return stages


def read_lines(path: pathlib.Path) -> list[dict]:
  """The whole lines of a JSON lines file; a killed process may have left half of one."""
  found = []
  for line in path.read_text().splitlines() if path.exists() else []:
    try:
      found.append(json.loads(line))
    except ValueError:
      continue
  return found


def of(run: list[Stage], program: str) -> list[Stage]:
  """The stages of a program that have left something."""
  return [s for s in run if s.program == program and (s.result or s.lines)]


def label(model: str, run: list[Stage]) -> str:
  """A model's name for a reader; several merged ones of a run keep the names of their stages."""
  merged = [s.name for s in run if s.program == 'merge']
  return 'base' if model == 'init' else 'SFT merged' if [model] == merged else model


def parameters(config: dict) -> str:
  """About how many parameters, or the name of an imported base."""
  m = {'tie_word_embeddings': True, **config.get('model', {})}
  vocabulary = m.get('vocab_size') or config.get('tokenizer', {}).get('vocab_size', 0)
  try:
    heads = 2 * (m['num_attention_heads'] + m['num_key_value_heads']) * m['head_dim']
    layers = m['num_hidden_layers'] * (heads + 3 * m['intermediate_size'])
    count = m['hidden_size'] * (layers + vocabulary * (1 if m['tie_word_embeddings'] else 2))
  except KeyError:
    return pathlib.Path(config.get('base', 'size unknown')).name
  million = f'{count / 1e6:.1f} million' if count >= 1e5 else f'{count:,}'
  size = f'{count / 1e9:.1f} billion' if count >= 1e9 else million
  return f'about {size} parameters ({m["num_hidden_layers"]} layers, width {m["hidden_size"]})'


def mean(values: list) -> float | None:
  values = [v for v in values if finite(v)]
  return sum(values) / len(values) if values else None


def score(scores: dict, domain: str, k: int = 0) -> float | None:
  """Pass@1, or Pass@k if k > 0; None where it was not measured."""
  s = scores.get(domain, {})
  return s.get('pass@k', {}).get(str(k)) if k else s.get('pass@1')


def bounds(scores: dict, domain: str, k: int = 0) -> list:
  """The 95% interval of `score`, or [None, None]."""
  s = scores.get(domain, {})
  pair = s.get('pass@k_ci95', {}).get(str(k)) if k else s.get('ci95')
  return pair if pair and all(map(finite, pair)) else [None, None]


def percent(x: float | None) -> str:
  return f'{100 * x:.1f}' if finite(x) else '-'


def interval(scores: dict, domain: str, k: int = 0) -> str:
  low, high = bounds(scores, domain, k)
  return f' [{percent(low)}, {percent(high)}]' if finite(low) else ''


def domains_of(models: dict) -> tuple[list[str], list[str]]:
  """(the domains, as they are named; the totals): of files TOTAL, of synthetic problems maths and code, of one domain
  it."""
  names = list(dict.fromkeys(d for scores in models.values() for d in scores))
  totals = [d for d in (TOTAL,) if d in names] or [d for d in ('maths', 'code') if d in names]
  totals = totals or (names if len(names) == 1 else [])
  return [d for d in names if d not in totals], totals


def thin(points: list) -> list:
  """At most POINTS points: means of neighbours."""
  size = math.ceil(len(points) / POINTS) or 1
  parts = (points[i : i + size] for i in range(0, len(points), size))
  return [(part[0][0], mean([y for _, y in part])) for part in parts]


def smooth(points: list, radius: int = 2) -> list:
  return [
    (x, mean([v for _, v in points[max(0, i - radius) : i + radius + 1]]) if finite(y) else None)
    for i, (x, y) in enumerate(points)
  ]


def weight(p: float, strength: float, target: float) -> float:
  """`exp(-strength * D_ME(p || target))`, VibeThinker-1.5B §3.4; as in rl.mgpo, without JAX."""
  pairs = ((p, target), (1 - p, 1 - target))
  return math.exp(-strength * sum(q * math.log(q / q0) for q, q0 in pairs if q > 0))


def final(stage: Stage, run: list[Stage]) -> dict:
  """The compared models: rows of cells, and marks on a scale from 0 to 1 for maths and code."""
  models = stage.result['models']
  singles, totals = domains_of(models)
  every = [s for scores in models.values() for s in scores.values()]
  k = max((int(k) for s in every for k in s['pass@k']), default=1)
  columns = [(d, 0) for d in singles + totals] + [(d, k) for d in totals if k > 1]
  best = {c: max(filter(finite, (score(s, *c) for s in models.values())), default=None) for c in columns}
  cell = lambda scores, c: {
    'value': score(scores, *c),
    'interval': interval(scores, *c),
    'bounds': bounds(scores, *c),
    'best': bool(best[c]) and score(scores, *c) == best[c],
  }
  return {
    'k': k,
    'columns': columns,
    'totals': totals,
    'name': stage.name,
    'samples': max(s['samples'] for s in every),
    'problems': max(s['problems'] for s in every),
    'rows': [
      {'name': name, 'label': label(name, run), 'cells': {c: cell(scores, c) for c in columns}}
      for name, scores in models.items()
    ],
  }


def sft_panels(stage: Stage) -> dict[str, str]:
  panels = {}
  for name in ('loss', 'entropy'):
    points = thin([(x['step'], x.get(name)) for x in stage.lines])
    values = [y for _, y in points if finite(y)]
    log = name == 'loss' and min(values, default=0) > 0
    plot = Plot((0, max([x for x, _ in points], default=1)), spread(values, log=log), log)
    panels[name] = svg(frame(plot, 'SFT step') + path(plot, points, 'line c0'), f'{name} over SFT steps')
  return panels


def probe(stage: Stage, run: list[Stage]) -> dict:
  """Pass@k and Pass@1 over the checkpoints of each subdomain, and of the merged model once there is one."""
  k, scores, chosen = stage.result['k'], stage.result['scores'], stage.result['chosen']
  merged = next((s.result['merged'] for s in run if s.options.get('probe') == stage.name and s.result), {})
  seen = [v for s in (*scores.values(), merged) for d in s for v in (score(s, d), score(s, d, k), *bounds(s, d, k))]
  steps, panels = sorted(map(int, scores)), {}
  plot = Plot((0, steps[-1]), spread(seen))
  for domain, step in chosen.items():
    lows, highs = zip(*(bounds(scores[str(t)], domain, k) for t in steps))
    body = frame(plot, 'SFT step of the checkpoint', as_percent=True)
    body += path(plot, [*zip(steps, lows), *zip(steps[::-1], highs[::-1])], 'band c1')
    for j, colour in ((0, 'c0'), (k, 'c1')):
      points = [(t, score(scores[str(t)], domain, j)) for t in steps]
      level = score(merged, domain, j)
      body += path(plot, [(plot.x[0], level), (plot.x[1], level)], f'line dashed {colour}')
      body += path(plot, points, f'line {colour}')
      body += ''.join(path(plot, [p], f'line dot {colour}', f'step {p[0]}: {percent(p[1])}%') for p in points)
    ring = plot.at(step, score(scores[str(step)], domain, k))
    panels[domain] = svg(
      f'{body}<path class="ring" d="M{ring}m-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0"/>',
      f'{domain}: Pass@1 and Pass@{k} over checkpoints, step {step} chosen',
    )
  return {'name': stage.name, 'k': k, 'panels': panels, 'chosen': chosen, 'merged': bool(merged)}


def rl_panels(stages: list[Stage]) -> dict[str, str]:
  """All RL stages on one axis of steps, a colour each."""
  stages = [s for s in stages if s.lines]
  ends, panels = [0, *itertools.accumulate(s.lines[-1]['step'] for s in stages)], {}
  for name in RL_PANELS if stages else ():
    series = [[(start + x['step'], x.get(name)) for x in s.lines] for s, start in zip(stages, ends)]
    values = [y for points in series for _, y in points]
    plot = Plot((0, ends[-1]), spread(values, zero=name != 'response_tokens'))
    body = frame(plot, 'RL step', as_percent=name == 'accuracy')
    body += ''.join(path(plot, [(x, plot.y[0]), (x, plot.y[1])], 'boundary') for x in ends[1:-1])
    for i, points in enumerate(series):
      body += path(plot, thin(points), f'line faint c{i % 6}')
      body += path(plot, thin(smooth(points)), f'line c{i % 6}')
    if not any(map(finite, values)):
      body += text(plot.left + plot.width / 2, plot.top + 70, 'not measured: no useful group yet')
    panels[name] = svg(body, f'{name} over RL steps')
  return panels


def histogram(stage: Stage) -> str:
  """Shares of group accuracies, and over them the weight that a group of that accuracy has (right axis)."""
  counts = stage.result['group_accuracy_histogram']
  top, total = len(counts) - 1, sum(counts) or 1
  plot = Plot((-0.5 / top, 1 + 0.5 / top), spread([c / total for c in counts], zero=True), width=276)
  body, half = frame(plot, 'group accuracy p', as_percent=True), 0.42 / top
  for i, count in enumerate(counts):
    left, right, share = i / top - half, i / top + half, count / total
    body += path(
      plot,
      [(left, 0.0), (left, share), (right, share), (right, 0.0)],
      'bar muted' if i in (0, top) else 'bar c0',
      f'{i} of {top} right: {count:,} groups',
    )
  scale = plot._replace(y=(0.0, 1.06))
  weights = [(i / 60, weight(i / 60, stage.result['strength'], stage.result['target'])) for i in range(61)]
  body += path(scale, weights, 'line c3')
  for t in (0, 0.5, 1):
    body += text(plot.left + plot.width + 6, scale.py(t) + 4, f'{t:g}', 'start', 'tinted c3')
  return svg(body, f'{stage.name}: histogram of group accuracies and the entropy-deviation weight')


def read_examples(workdir: pathlib.Path, run: list[Stage]) -> dict[str, list[dict]]:
  """{where from: groups} of the RL stages and of the evaluated models, in the order of the recipe."""
  sources = {}
  for s in run:
    if s.program == 'rl':
      sources[f'{s.name}, training'] = read_lines(workdir / s.name / 'examples.jsonl')
    for model in s.options.get('models', ()):
      path_ = workdir / s.name / f'scores_{model}.json'
      if path_.exists():
        sources[f'{label(model, run)}, {s.name}'] = json.loads(path_.read_text()).get('examples', [])
  return {source: groups for source, groups in sources.items() if groups}


def fit(sources: dict[str, list[dict]], limit: int) -> tuple[list[dict], int]:
  """(groups for the page, how many were left out): every source gets an equal share of `limit` bytes."""
  kept, total = [], 0
  for source, groups in sources.items():
    used, taken, total = 0, {}, total + len(groups)
    # The golden ratio spreads what fits over the whole source. One group always fits, though a character may
    # take 6 bytes in the page (\u003c).
    for i in sorted(range(len(groups)), key=lambda i: i * 0.618034 % 1):
      group = shown(source, groups[i], limit // len(sources) // 7)
      size = len(htmlsafe_json_dumps(group))
      if used + size <= limit / len(sources):
        taken[i], used = group, used + size
    kept += [taken[i] for i in sorted(taken)]
  return kept, total - len(kept)


def shown(source: str, group: dict, chars: int) -> dict:
  """What the page shows of a group. A number that is not finite becomes null: JSON.parse knows no NaN."""
  limit = min(RESPONSE_CHARS, chars // (1 + len(group['responses'])))
  responses = [{**r, 'text': cut(r['text'], limit)} for r in group['responses']]
  accuracy = group.get('accuracy', mean([r['reward'] for r in responses]))
  return {
    'source': source,
    'step': group.get('step'),
    'domain': group['domain'],
    'answer': group['answer'],
    'prompt': cut(turns.text(group['prompt']), limit),
    'accuracy': accuracy if finite(accuracy) else None,
    'weight': group['weight'] if finite(group.get('weight')) else None,
    'responses': responses,
  }
