"""report.html of an evaluation, comparison.html of several: each one file that needs nothing but a browser."""

import math
import os
import pathlib

import jinja2

from vibethinker_jax import config as config_lib
from vibethinker_jax.data import turns
from vibethinker_jax.eval import compare, sets as sets_lib
from vibethinker_jax.eval.pages import drawing, formulas, terminal
from vibethinker_jax.eval.pages.drawing import Plot
from vibethinker_jax.runtime import disk, storage

TEXT_BYTES = 2_000_000  # of prompts and responses in the page; all of them are in responses.jsonl
MATHML_BYTES = 3_000_000
RESPONSE_CHARS = 6000  # of one response
BINS = 20
LISTED = 200  # disagreements, and problems in a table


def write(output: pathlib.Path, result: dict, chosen: list[sets_lib.Set], lines: list[dict], timing: dict) -> None:
  """Writes report.html, whole or not at all.

  Args:
    result: of result.json. lines: judged responses (judge.lines_of). timing: Journal.timing.
  """
  by_problem = {}
  for line in lines:
    by_problem.setdefault((line['set'], line['id']), []).append(line)
  _write(
    output / 'report.html',
    'evaluation.html',
    {
      'title': _title(result),
      'result': result,
      'timing': timing,
      'browser': browser(result, chosen, by_problem),
      'charts': {s.name: charts(result['sets'][s.name], [x for x in lines if x['set'] == s.name]) for s in chosen},
    },
  )


def write_comparison(output: pathlib.Path, pages: list[tuple[str, pathlib.Path]], compared: dict) -> None:
  """Writes comparison.html; pages: (model, directory of its evaluation)."""
  where = storage.far(output)
  links = [
    (name, os.path.relpath(path / 'report.html', where))
    for name, path in pages
    if storage.remote(path) == storage.remote(where) and (path / 'report.html').exists()
  ]
  _write(
    output / 'comparison.html',
    'comparison.html',
    {
      'title': ', '.join(compared['models']),
      'compared': compared,
      'links': dict(links),
      'listed': LISTED,
      'charts': {name: comparison_charts(s) for name, s in compared['sets'].items()},
      'changes': {name: changes(s) for name, s in compared['sets'].items()},
    },
  )


def _write(path: pathlib.Path, template: str, values: dict) -> None:
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters |= {'percent': terminal.percent, 'duration': drawing.duration, 'interval': terminal.with_interval}
  text = environment.get_template(template).render(**values)
  with disk.replacing(path, f'the page {path.name}') as temporary:
    temporary.write_text(text, encoding='utf-8')


def _title(result: dict) -> str:
  where = pathlib.Path(result['model']['path'] if 'model' in result else result['responses'])
  return '/'.join(where.parts[-2:])


def charts(score: dict, lines: list[dict]) -> dict[str, str]:
  """Pass@k over k, how many problems are how hard, how long right and wrong responses are."""
  found = {}
  ks = sorted(map(int, score['pass@k']))
  if len(ks) > 1:
    plot = Plot((0, math.log2(ks[-1])), (0.0, 1.0))
    bounds = [(math.log2(k), score['pass@k'][str(k)]['ci95']) for k in ks]
    body = _frame(plot, [(math.log2(k), str(k)) for k in _few(ks)], 'k', as_percent=True)
    body += drawing.path(plot, [(x, b[0]) for x, b in bounds] + [(x, b[1]) for x, b in bounds[::-1]], 'band c1')
    points = [(math.log2(k), score['pass@k'][str(k)]['value']) for k in ks]
    body += drawing.path(plot, points, 'line c1') + ''.join(
      drawing.path(plot, [p], 'line dot c1', f'Pass@{k}: {terminal.percent(p[1])}%') for k, p in zip(ks, points)
    )
    found['pass@k'] = drawing.svg(body, 'Pass@k over k')
  solved = [p['avg'] for p in score['per_problem'] if p['avg'] is not None]
  if len(solved) > 1 and score['samples'][1] > 1:
    found['difficulty'] = _difficulty(solved, score['samples'][1])
  unit = 'tokens' if score['tokens'] else 'characters'
  sizes = [
    (len(x['response']) if unit == 'characters' else x['tokens'], x['status'])
    for x in lines
    if unit == 'characters' or x['tokens'] is not None
  ]
  if sizes:
    found['lengths'] = _lengths(
      [n for n, status in sizes if status == 'correct'], [n for n, status in sizes if status == 'wrong'], unit
    )
  return found


def _few(ks: list[int]) -> list[int]:
  """At most eight of them, the first and the last among them."""
  return ks if len(ks) <= 8 else ks[::2] + ks[-1:] * (len(ks) % 2 == 0)


def _frame(plot: Plot, marks: list[tuple[float, str]], x_label: str, as_percent: bool = False) -> str:
  """Grid, and marks of its own on the x axis; as_percent: quarters from 0 to 100%."""
  base, parts = plot.top + plot.height, []
  for t in (0.0, 0.25, 0.5, 0.75, 1.0) if as_percent else drawing.ticks(*plot.y):
    parts.append(f'<path class="grid" d="M{plot.left} {plot.py(t):.1f}h{plot.width}"/>')
    parts.append(drawing.text(plot.left - 6, plot.py(t) + 4, f'{100 * t:.0f}%' if as_percent else f'{t:,.10g}', 'end'))
  for x, words in marks:
    parts.append(f'<path class="axis" d="M{plot.px(x):.1f} {base}v4"/>' + drawing.text(plot.px(x), base + 16, words))
  parts.append(f'<path class="axis" d="M{plot.left} {base}h{plot.width}"/>')
  return ''.join(parts) + drawing.text(plot.left + plot.width / 2, base + 33, x_label)


def _bars(plot: Plot, columns: list, colours: list[str]) -> str:
  """Stacked columns; columns: (left, right, heights, words)."""
  drawn = []
  for left, right, heights, words in columns:
    below = 0.0
    for height, colour in zip(heights, colours):
      corners = [(left, below), (left, below + height), (right, below + height), (right, below)]
      drawn.append(drawing.path(plot, corners, f'bar {colour}', words) if height else '')
      below += height
  return ''.join(drawn)


def _difficulty(solved: list[float], samples: int) -> str:
  """Histogram of the problems' shares of correct responses."""
  bins = min(BINS, max(samples, 1))
  counts = [0] * (bins + 1)
  for value in solved:
    counts[round(value * bins)] += 1
  plot = Plot((-0.5 / bins, 1 + 0.5 / bins), (0.0, 1.06 * max(counts)))
  half = 0.42 / bins
  columns = [
    (i / bins - half, i / bins + half, [n], f'{100 * i / bins:.0f}% right: {n} problems') for i, n in enumerate(counts)
  ]
  marks = [(t, f'{100 * t:.0f}%') for t in (0, 0.25, 0.5, 0.75, 1)]
  return drawing.svg(
    _frame(plot, marks, 'of the responses are right') + _bars(plot, columns, ['c0']), 'how many problems are how hard'
  )


def _lengths(right: list[int], wrong: list[int], unit: str) -> str:
  top = max(right + wrong) or 1
  size = max(1, math.ceil((top + 1) / BINS))
  counts = [[0, 0] for _ in range(top // size + 1)]
  for kind, values in enumerate((right, wrong)):
    for n in values:
      counts[n // size][kind] += 1
  plot = Plot((0, len(counts) * size), (0.0, 1.06 * max(map(sum, counts))))
  columns = [
    (
      (i + 0.06) * size,
      (i + 0.94) * size,
      pair,
      f'{i * size} to {(i + 1) * size - 1} {unit}: {pair[0]} right, {pair[1]} wrong',
    )
    for i, pair in enumerate(counts)
  ]
  return drawing.svg(
    drawing.frame(plot, f'{unit} of a response') + _bars(plot, columns, ['c2', 'c1']),
    f'{unit} of right and wrong responses',
  )


def browser(result: dict, chosen: list[sets_lib.Set], by_problem: dict) -> dict:
  """What the page's script shows: sets of problems with their responses, and a table of formulas.

  Every problem is there; its responses share the bytes that it gets. Texts are lists of pieces, where a number is a
  formula of the table [[LaTeX source, MathML or '', display], ...].
  """
  table, index, spent, left_out = [], {}, 0, 0

  def pieces(text: str, maths: bool = True) -> list:
    nonlocal spent
    found = []
    for piece in formulas.split(text) if maths else [text]:
      if isinstance(piece, str):  # a formula on a line of its own ends that line itself
        after = found and isinstance(found[-1], int) and table[found[-1]][2]
        found.append(piece.removeprefix('\n') if after else piece)
        continue
      if piece not in index:
        made = formulas.mathml(*piece[:2]) if spent < MATHML_BYTES else None
        spent += len(made or '')
        index[piece] = len(table)
        table.append([piece[2], made or '', piece[1]])
      found.append(index[piece])
    return found

  count = sum(len(s.rows) for s in chosen) or 1
  share, found = TEXT_BYTES // count, []
  for s in chosen:
    numbers, problems = {p['id']: p for p in result['sets'][s.name]['per_problem']}, []
    shared = result['sets'][s.name].get('overlap', {}).get('shared', {})
    for row in s.rows:
      lines, code = by_problem.get((s.name, row['id']), []), row.get('tests') is not None
      limit = max(600, min(RESPONSE_CHARS, share // max(1, len(lines))))
      kept = _kinds(lines, max(2, share // limit))
      left_out += len(lines) - len(kept)
      problems.append(
        numbers[row['id']]
        | {
          'prompt': pieces(drawing.cut(turns.text(row['prompt']), RESPONSE_CHARS)),
          'gold': pieces(f'${row["answer"]}$' if _is_latex(row) else str(row['answer'] or '')),
          'shared': shared.get(row['id']),
          'responses': [
            {
              'sample': x['sample'],
              'text': pieces(drawing.cut(x['response'], limit), not code),
              'status': x['status'],
              'reason': x['reason'],
              'answer': x['answer'],
              'tokens': x['tokens'],
              'cut_off': x['cut_off'],
            }
            | ({'reward': x['reward']} if 'reward' in x else {})
            for x in kept
          ],
        }
      )
    found.append({'name': s.name, 'problems': problems})
  return {'sets': found, 'formulas': table, 'left_out': left_out}


def _kinds(lines: list[dict], count: int) -> list[dict]:
  """At most `count` of a problem's responses, right and wrong ones by turns, in their order."""
  if len(lines) <= count:
    return lines
  right, wrong = [x for x in lines if x['status'] == 'correct'], [x for x in lines if x['status'] != 'correct']
  few = min(len(right), len(wrong), count // 2)
  chosen = right[:few] + wrong[:few]
  chosen += (right[few:] + wrong[few:])[: count - len(chosen)]
  return [x for x in lines if any(x is y for y in chosen)]


def _is_latex(row: dict) -> bool:
  text = str(row['answer'] or '')
  return not row.get('choices') and '$' not in text and any(c in text for c in '\\^_')


def comparison_charts(s: dict) -> dict[str, str]:
  """Every model's score with its interval; Pass@k curves of all."""
  found, models = {}, list(s['scores'])
  ks = sorted({int(k) for curve in s['pass@k'].values() for k in curve})
  if len(ks) > 1:
    plot = Plot((0, math.log2(ks[-1])), (0.0, 1.0))
    body = _frame(plot, [(math.log2(k), str(k)) for k in _few(ks)], 'k', as_percent=True)
    for i, model in enumerate(models):
      points = [(math.log2(int(k)), v['value']) for k, v in s['pass@k'][model].items()]
      body += drawing.path(plot, points, f'line c{i % 6}')
      body += ''.join(
        drawing.path(plot, [p], f'line dot c{i % 6}', f'{model}: {terminal.percent(p[1])}%') for p in points
      )
    found['pass@k'] = drawing.svg(body, 'Pass@k of every model')
  return found


def changes(s: dict) -> list[dict]:
  """Problems on which the models differ, the greatest change first."""
  problems = list(dict.fromkeys(name for scores in s['per_problem'].values() for name in scores))
  rows = []
  for name in problems:
    values = [s['per_problem'][model].get(name) for model in s['scores']]
    known = [v for v in values if v is not None]
    if len(known) > 1 and max(known) > min(known):
      rows.append({'id': name, 'values': values, 'range': max(known) - min(known)})
  return sorted(rows, key=lambda row: -row['range'])


def compared(directories: list[pathlib.Path], output: pathlib.Path) -> None:
  """result.json and report.html of a comparison, and its table on the screen."""
  evaluations = compare.read(directories, compare.labels([str(path) for path in directories]))
  result = compare.result(evaluations)
  if any(path.resolve() == storage.far(output).resolve() for path in directories):
    raise ValueError(f'--output={storage.far(output)} is one of the compared directories: give another')
  config_lib.write_json(output / 'comparison.json', result)
  write_comparison(output, [(e.name, e.directory) for e in evaluations], result)
  print(terminal.comparison(result))
  print(f'{storage.far(output)}/comparison.html, comparison.json')
