"""A plan as text for the terminal."""

from vibethinker_jax.aot.estimates import search as search_lib
from vibethinker_jax.programs import space

GIB = 2.0**30
HBM_COLUMNS = (  # heading, classes of worker.run's hbm
  ('parameters', ('parameters', 'rollout_weights')),
  ('optimizer', ('optimizer',)),
  ('grads+activations', ('gradients', 'gradients_and_activations')),
  ('KV cache', ('kv_cache',)),
  ('temporaries', ('temporaries', 'batch', 'outputs', 'code')),
)


def align(rows: list[list[str]]) -> str:
  """Columns two spaces apart, the first to the left and the others to the right."""
  widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
  lines = (
    '  '.join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))
    for row in rows
  )
  return '\n'.join(line.rstrip() for line in lines)


def memory(results: list[dict]) -> str:
  """GiB per device and class, against what the chip has."""
  rows = [['HBM per device, GiB', *(name for name, _ in HBM_COLUMNS), 'held besides', 'sum', 'of', '']]
  for one in (x for x in results if 'follows_from' not in x):  # those need no more
    hbm = one['hbm']
    held = sum(size for name, size in hbm.items() if name.startswith('held_'))
    cells = [sum(hbm.get(name, 0.0) for name in names) for _, names in HBM_COLUMNS] + [
      held,
      hbm['total'],
      hbm['capacity'],
    ]
    rows.append(
      [f'{one["stage"]} {one["program"]}', *(f'{x / GIB:.2f}' for x in cells), '' if one['fits'] else 'DOES NOT FIT']
    )
  return align(rows)


def work(results: list[dict]) -> str:
  """Collectives, operations, and the estimated time of one run."""
  rows = [
    ['one run', 'all-gather GB', 'all-reduce GB', 'other GB', 'hidden', 'model TF/device', 'estimated s', 'est. MFU']
  ]
  for one in (x for x in results if 'estimate' in x):
    moved = {kind: x['bytes'] for kind, x in one['collectives'].items()}
    hidden = sum(x['overlapped_bytes'] for x in one['collectives'].values())
    total = sum(moved.values())
    reduced = moved.get('all-reduce', 0.0) + moved.get('reduce-scatter', 0.0)
    estimate = one['estimate']
    low, high = estimate['seconds']
    rows.append(
      [
        f'{one["stage"]} {one["program"]}{"*" if "follows_from" in one else ""}',
        f'{moved.get("all-gather", 0.0) / 1e9:.2f}',
        f'{reduced / 1e9:.2f}',
        f'{(total - moved.get("all-gather", 0.0) - reduced) / 1e9:.2f}',
        f'{100 * hidden / total:.0f}%' if total else '-',
        f'{estimate.get("model_flops_per_device", 0.0) / 1e12:.1f}',
        span(high, low),
        span(*estimate['mfu'], digits=2) if 'mfu' in estimate else '-',
      ]
    )
  return align(rows)


def span(low: float, high: float, digits: int = 3) -> str:
  """'1.2-1.5', or one number where they are the same to the digits shown."""
  show = lambda x: f'{x:.{digits}g}'
  return show(low) if show(low) == show(high) else f'{show(low)}-{show(high)}'


def plan(values: dict) -> str:
  """The whole plan."""
  devices = f'{values["chips"]} chips' + (
    f', {values["devices"]} devices' if values['devices'] != values['chips'] else ''
  )
  parts = [
    f'{values["topology"]}: {devices}; {values["versions"]}; model: {values["model"]}',
    memory(values['programs']),
    work(values['programs']),
    NOTE + (FOLLOWS if any('follows_from' in x for x in values['programs']) else ''),
  ]
  if values['disk']:
    parts.append(space.table([space.Space(**x) for x in values['disk']]))
  if values['budget']['stages']:
    parts.append(budget(values['budget'], values['chips']))
  if values['search']:
    parts.append(search(values))
  wrong = [x for x in values['programs'] if not x['fits'] and 'follows_from' not in x]
  parts.append(
    'Everything fits.'
    if not wrong
    else '\n'.join(f'{x["stage"]} {x["program"]} does not fit: {shortage(x)}' for x in wrong)
  )
  return '\n\n'.join(parts)


NOTE = (
  "Estimates from the compiler's schedule, nothing was measured: its cycles for matrix products, HBM traffic for the "
  'rest, '
  'and the\nattention kernel at 40% and at 60% of peak. MFU counts each operation of the model once, on full rows.'
)

FOLLOWS = (
  '\n* not compiled: from the times of the longest rows, the attention kernel shorter as the rows are '
  '(--every_length compiles these too)'
)


def search(values: dict) -> str:
  """The tries, best first; where nothing fits, the one that lacks least."""
  rows = [['--search: fields to set', 'GiB', 'estimated', 'est. MFU', '']]
  nearest = []
  for name, trials in values['search'].items():
    trials = [search_lib.Trial(**trial) for trial in trials]
    rows += search_lib.lines(name, trials, values['devices'])
    known = [trial for trial in trials if trial.result.get('hbm', {}).get('total')]
    if known and not any(trial.result['fits'] for trial in known):
      best = min(known, key=lambda trial: trial.result['hbm']['total'])
      flags = ' '.join(f'--config.{path}={value}' for path, value in best.fields.items()) or 'the settings as they are'
      nearest.append(f'{name}: nothing tried fits; nearest is {flags}: {shortage(best.result)}')
  return '\n'.join([align(rows), *nearest])


def shortage(one: dict) -> str:
  """What a program that does not fit lacks."""
  hbm = one['hbm']
  if hbm['total'] > hbm['capacity']:
    return f'it needs {hbm["total"] / GIB:.2f} GiB per device of {hbm["capacity"] / GIB:.2f}'
  return one['error']


def budget(values: dict, chips: int) -> str:
  """Hours and cost per stage, what they assume, and what the paper's recipe took."""
  assumed = values['assumptions']
  price = assumed['dollars']
  rows = [['stage', 'tokens', 'hours', 'chip hours', *(['dollars'] if price else [])]]
  for name, stage in values['stages'].items():
    for part, one in stage['parts'].items():
      hours = sorted(x / 3600 for x in one['seconds'])
      rows.append([f'{name} {part}', f'{one["tokens"]:.2e}', *_cost(hours, chips, price)])
  if values['training_hours'] != values['hours']:
    rows.append(['sum without evaluation', '', *_cost(values['training_hours'], chips, price)])
  rows.append(['sum', '', *_cost(values['hours'], chips, price)])
  if seeds := values.get('seeds'):
    hours = [sum(seeds[name] * stage['hours'][i] for name, stage in values['stages'].items()) for i in (0, 1)]
    rows.append([f'sum of {max(seeds.values())} seeds', '', *_cost(hours, chips, price)])
  paper = values['paper']
  return align(rows) + (
    f'\nTo compare: the paper reports {paper["hours"]:,} {paper["device"]} hours and ${paper["dollars"]:,} for '
    f'VibeThinker-1.5B (${paper["dollars"] / paper["hours"]:.0f} an hour). Ours assumes:\n'
    + '\n'.join(f'* {line}' for line in values['notes'])
  )


def _cost(hours: list[float], chips: int, price: float) -> list[str]:
  cells = [span(*hours), span(*(x * chips for x in hours))]
  return cells + ([span(*(x * chips * price for x in hours))] if price else [])
