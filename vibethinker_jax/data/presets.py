"""The protocol of each benchmark: how often and how a model is asked; with which words, data.wording says.

VibeThinker-1.5B §4.1 and VibeThinker-3B §4: responses of at most 40 960 tokens, top-p 0.95, no top-k, temperature 1.0
for maths and knowledge and 0.6 for code; 64 samples a problem for maths, 16 for GPQA, 8 for code; the score is the mean
of Pass@1.
"""

from typing import NamedTuple

from vibethinker_jax.data import wording

CODE = ('function', 'stdin', 'completion')  # kinds of data.wording


class Preset(NamedTuple):
  """One benchmark's protocol.

  Attributes:
    samples: responses to each problem. temperature, top_p, max_tokens, top_k, min_p: how they are sampled.
    problems: how many the set has, 0 where that is open; another number is said in the result.
    kind: what its rows are: 'maths', 'choice' or 'code'.
    window: first and last day of a LiveCodeBench release; rows of other contests are left out. ids: first and last
      task_id of MBPP's test part.
    source: where the numbers are from.
  """

  samples: int
  temperature: float
  problems: int
  kind: str
  top_p: float = 0.95
  max_tokens: int = 40_960
  window: tuple = ()
  ids: tuple = ()
  source: str = 'VibeThinker-1.5B'
  top_k: int = 0
  min_p: float = 0.0


PRESETS = {
  'aime24': Preset(64, 1.0, 30, 'maths'),
  'aime25': Preset(64, 1.0, 30, 'maths'),
  'hmmt25': Preset(64, 1.0, 30, 'maths'),
  'math500': Preset(64, 1.0, 500, 'maths'),
  'gpqa_diamond': Preset(16, 1.0, 198, 'choice'),
  'livecodebench_v5': Preset(8, 0.6, 279, 'code', window=('2024-08-01', '2025-01-31')),
  'livecodebench_v6': Preset(8, 0.6, 131, 'code', window=('2025-02-01', '2025-05-31')),
  # Not in the papers: their sampling of maths and of code, with samples enough for Pass@4 and Pass@8.
  'gsm8k': Preset(4, 1.0, 1319, 'maths', source='ours'),
  'humaneval': Preset(8, 0.6, 164, 'code', source='ours'),
  'mbpp': Preset(8, 0.6, 500, 'code', ids=(11, 510), source='ours'),
}


def find(name: str) -> Preset:
  """Raises ValueError for a name that is none."""
  if name not in PRESETS:
    raise ValueError(f'there is no preset {name!r}; there are {", ".join(PRESETS)}')
  return PRESETS[name]


def select(rows: list[dict], preset: Preset) -> list[dict]:
  """The rows that belong to the benchmark: of the window by `date`, of MBPP's test part by `task_id`.

  Raises:
    ValueError: none does.
  """
  inside = lambda row: not preset.window or not row.get('date') or preset.window[0] <= row['date'] <= preset.window[1]
  kept = [
    row
    for row in rows
    if inside(row)
    and (not preset.ids or not isinstance(row.get('task_id'), int) or preset.ids[0] <= row['task_id'] <= preset.ids[1])
  ]
  if not kept:
    raise ValueError(f'none of the {len(rows)} rows is of the benchmark (days {preset.window}, task_id {preset.ids})')
  return kept


def prompt(row: dict, kind: str) -> str | list[dict]:
  """What a row of sources.read_problems asks, worded there as in every stage (data.wording).

  Raises:
    ValueError: the row is not of this kind.
  """
  found = wording.kind_of(row)
  judged = 'code' if found in CODE else found or 'constraints'
  if kind != judged:
    raise ValueError(f'the preset is for {kind}, the row of {row["id"]!r} is judged as {judged}')
  return row['prompt']
