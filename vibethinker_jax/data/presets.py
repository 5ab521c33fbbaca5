r"""The protocol of each benchmark: how often, how, and with which words a model is asked.

VibeThinker-1.5B §4.1 and VibeThinker-3B §4: responses of at most 40 960 tokens, top-p 0.95, no top-k, temperature 1.0
for maths and knowledge and 0.6 for code; 64 samples a problem for maths, 16 for GPQA, 8 for code; the score is the mean
of Pass@1. The words at the end of a maths problem are those of the papers' published AIME24 file.
"""

import string
from typing import NamedTuple

MATHS = "{problem} Let's think step by step and output the final answer within \\boxed{{}}."
CHOICE = ("{problem}\n\n{options}\n\nLet's think step by step and output the letter of the right option within "
          '\\boxed{{}}.')
_TASK = ('You will be given a question (problem specification) and will generate a correct Python program that matches '
         'the specification and passes all tests.\n\nQuestion: {problem}\n\n')
STDIN = _TASK + (
    'Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample '
    'inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the '
    'inputs, runs the algorithm and writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n')
STARTER = _TASK + (
    'You will use the following starter code to write the solution to the problem and enclose your code within '
    'delimiters.\n```python\n{starter_code}\n```\n\n')
COMPLETE = ('Complete this Python function. Answer with the whole function, with what it imports, in one ```python '
            'block.\n\n```python\n{starter_code}```')
FUNCTION = '{problem}\nAnswer with the whole Python code in one ```python block.'


class Preset(NamedTuple):
  """One benchmark's protocol.

  Attributes:
    samples: responses to each problem. temperature, top_p, max_tokens: how they are sampled.
    problems: how many the set has, 0 where that is open; another number is said in the result.
    kind: how the prompt is made and the answer looked for: 'maths', 'choice' or 'code'.
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
  kept = [row for row in rows if inside(row) and (
      not preset.ids or not isinstance(row.get('task_id'), int) or preset.ids[0] <= row['task_id'] <= preset.ids[1])]
  if not kept:
    raise ValueError(f'none of the {len(rows)} rows is of the benchmark (days {preset.window}, task_id {preset.ids})')
  return kept


def kind_of(row: dict) -> str:
  """'code', 'choice', 'maths', or '' for a row that is judged otherwise."""
  if row.get('tests') is not None:
    return 'code'
  return '' if row.get('constraints') is not None else 'choice' if row.get('choices') else 'maths'


def prompt(row: dict, kind: str) -> str | list[dict]:
  """What a model is asked. Chat messages, and a problem that already asks for a box, stay as the file has them.

  Raises:
    ValueError: the row is not of this kind.
  """
  if kind != kind_of(row):
    raise ValueError(f'the preset is for {kind}, the row of {row["id"]!r} is judged as {kind_of(row) or "constraints"}')
  if isinstance(row['prompt'], list):
    *before, last = row['prompt']
    if [turn['role'] for turn in row['prompt']] != ['system', 'user']:
      return row['prompt']
    return [*before, last | {'content': prompt(row | {'prompt': last['content']}, kind)}]
  text = row.get('problem') or row['prompt']
  if kind == 'choice':
    options = '\n'.join(f'{letter}) {option}' for letter, option in zip(string.ascii_uppercase, row['choices']))
    return CHOICE.format(problem=text, options=options)
  if kind == 'maths':
    return text if '\\boxed' in text else MATHS.format(problem=text)
  if '```python' in text:
    return text
  starter = row.get('starter_code') or ''
  if starter and 'entry_point' in row:
    return COMPLETE.format(starter_code=starter)
  if starter:
    return STARTER.format(problem=text, starter_code=starter)
  stdin = 'asserts' not in row['tests'] and not row['tests'].get('function')
  return (STDIN if stdin else FUNCTION).format(problem=text)
