"""What an evaluation and a comparison print."""

import functools

SHOWN_SUBJECTS = 12
WIDTH = 34  # of the first column, where no name is longer


def percent(x: float | None) -> str:
  return '-' if x is None else f'{100 * x:.1f}'


def with_interval(found: dict | None, sign: str = '') -> str:
  """'53.1 [50.0, 56.2]' of {'value', 'ci95'}."""
  if not found or found['value'] is None:
    return '-'
  low, high = found['ci95']
  return f'{100 * found["value"]:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]'


def reward(found: dict) -> str:
  """'mean reward 0.31 [0.2, 0.42], deviation 0.5; parts: format 0.9 (deviation 0.3)'."""
  low, high = found['ci95']
  parts = ', '.join(f'{name} {x["mean"]:.4g} (deviation {x["std"]:.4g})' for name, x in found['parts'].items())
  return (
    f'mean reward {found["value"]:.4g} [{low:.4g}, {high:.4g}], deviation {found["std"]:.4g}'
    + f'; parts: {parts}' * bool(parts)
  )


def tail(score: dict) -> str:
  """Pass@k of the largest k, '-' where there is one sample."""
  k = max(map(int, score['pass@k']), default=0)
  return f'{percent(score["pass@k"][str(k)]["value"])} (k={k})' if k > 1 else '-'


def _line(cells: list, width: int, widths=(9, 22, 14, 8, 9, 9)) -> str:
  rest = ''.join(str(c).rjust(w) for c, w in zip(cells[1:], widths))
  return (str(cells[0]).ljust(width) + rest).rstrip()


def table(result: dict, timing: dict) -> str:
  """A line for every set with its score, and one for each of its subjects."""
  width = max([WIDTH, *(len(f'{name}, {s["score"]}') + 1 for name, s in result['sets'].items())])
  line = functools.partial(_line, width=width)
  found = [line(['percent [95% over problems]', 'problems', 'score', 'Pass@k', 'cons@n', 'cut off', 'tokens'])]
  for name, s in result['sets'].items():
    tokens = s['tokens'] and f'{s["tokens"]["mean"]:.0f}'
    found.append(
      line(
        [
          f'{name}, {s["score"]}',
          s['avg']['problems'],
          with_interval(s['avg']),
          tail(s),
          percent(s['cons'] and s['cons']['value']),
          percent(s['cut_off']),
          tokens or '-',
        ]
      )
    )
    subjects = list(s['subjects'].items()) if len(s['subjects']) > 1 else []
    found += [
      line([f'  {subject or "(none)"}', x['problems'], with_interval(x)]) for subject, x in subjects[:SHOWN_SUBJECTS]
    ]
    if len(subjects) > SHOWN_SUBJECTS:
      found.append(f'  ... {len(subjects) - SHOWN_SUBJECTS} more subjects in result.json')
    if 'reward' in s:
      found.append(f'  {reward(s["reward"])}')
    found += [f'  note: {note}' for note in s['notes']]
    if s['invalid']['responses']:
      reasons = ', '.join(f'{n} {reason}' for reason, n in s['invalid']['reasons'].items())
      found.append(f'  {s["invalid"]["responses"]} responses got no verdict ({reasons}) and count nowhere')
    if 'overlap' in s:
      o = s['overlap']
      found.append(
        f'  {len(o["shared"])} of {s["problems"]} problems share {o["ngram"]} words in a row with '
        f'{o["trained_on"]}; without them {with_interval(o["without"])}, they alone '
        f'{with_interval(o["only"])}'
      )
  if 'agreement' in result:
    a = result['agreement']
    found.append(
      f'{a["agree"]} of {a["responses"]} verdicts are those of {a["field"]}: {a["ours_correct"]} correct '
      f'here, {a["theirs_correct"]} there; the {len(a["disagreements"])} others are in result.json'
    )
  if timing['tokens_per_second']:
    found.append(
      f'{timing["responses"]} responses, {timing["tokens"]} tokens in {timing["seconds"]:.0f} s: '
      f'{timing["tokens_per_second"]:.0f} tokens/s'
    )
  return '\n'.join(found)


def comparison(result: dict) -> str:
  """Scores of every model on every set, and what the others are better by than the first."""
  first, found = result['models'][0], []
  for name, s in result['sets'].items():
    found.append(f'{name}, {s["score"]}, percent [95% over problems]')
    for model, score in s['scores'].items():
      change = s['differences'].get(model)
      words = (
        ''
        if not change
        else (
          f'  {with_interval(change, "+")} than {first}; {change["better"]} problems better, {change["worse"]} worse'
        )
      )
      found.append(f'  {model:<28}{with_interval(score):>22}{words}')
  return '\n'.join(found)
