"""What of a row is asked, answered and judged: by the options' fields, else as data.layouts finds it."""

import contextlib
from typing import Any

from vibethinker_jax.data import templates, turns, wording
from vibethinker_jax.data.layouts import answers, chat_layouts, code_layouts, families, judge_layouts, response_layouts

# Found automatically: the first of these paths that a row has, where data.layouts does not say otherwise.
PROMPT = 'prompt|problem|question'
RESPONSE = 'response|responses|solution|solutions'
ANSWER = '|'.join(judge_layouts.ANSWERS)
SOLUTION = 'solution'  # its last box is the answer where no such field is


def parts(options, *wanted: str) -> tuple[str, ...]:
  """Those of families.PARTS that no field option names: in them what the layouts find counts.

  Args:
    options: sources.DataOptions, here and below.
  """
  return tuple(part for part in wanted if not getattr(options, part))


def field(row: dict, option: str) -> Any:
  """What a field option selects, None if nothing; of a template, the text (a list where one of its fields is a list).

  Raises:
    ValueError: a template that is malformed or names what the row lacks.
  """
  return templates.fill(row, option) if '{' in option else templates.lookup(row, option)


def _both(row: dict, fields: dict) -> dict:
  """The row as the file has it, with what the layouts add to it."""
  return row | {name: value for name, value in fields.items() if name not in row}


def prompt(row: dict, options, reading: families.Reading | None = None) -> str | list[dict]:
  """The row's prompt: text, or messages with role and content.

  Args:
    row: as the file has it. reading: what the layouts say about it, if that is known.
  """
  fields = (reading or families.read(row, parts(options, 'prompt'))).fields
  if options.prompt:
    value = field(_both(row, fields), options.prompt)
    value = chat_layouts.before_answer(value) or value
  else:
    value = fields.get('problem', templates.lookup(row, PROMPT))
  return _turns(row, value, options.prompt or PROMPT)


def _turns(row: dict, value: Any, option: str) -> str | list[dict]:
  """A prompt as it is, of messages role and content alone."""
  if (
    isinstance(value, list)
    and value
    and all(isinstance(m, dict) and isinstance(m.get('role'), str) and isinstance(m.get('content'), str) for m in value)
  ):
    return [{name: m[name] for name in ('role', 'content')} for m in value]
  if not isinstance(value, str) or not value.strip():
    raise wrong(row, 'prompt', option, 'text or chat messages', state(value))
  return value


def responses(row: dict, options, reading: families.Reading | None = None) -> list[str]:
  """The row's responses, at least one. Arguments: as of `prompt`."""
  fields = (reading or families.read(row, parts(options, 'response'))).fields
  if options.response:
    value = field(_both(row, fields), options.response)
    value = response_layouts.of_conversation(value) or value
  else:
    value = fields['responses'] if 'responses' in fields else templates.lookup(row, RESPONSE)
  values = value if isinstance(value, list) else [value]
  if not values or not all(isinstance(v, str) and v.strip() for v in values):
    raise wrong(row, 'response', options.response or RESPONSE, 'text or a list of texts', state(value))
  return [response_layouts.boxed(v) for v in values]


def answer(row: dict, options, fields: dict) -> str | None:
  """The row's answer as text (of a row with `choices` the letter), None if no field has one.

  Args:
    row: as the file has it. fields: what the layouts add.

  Raises:
    ValueError: what is there is no answer: empty, true, false, a list, tests.
  """
  found = fields.get('answer', templates.lookup(row, ANSWER))
  value = field(_both(row, fields), options.answer) if options.answer else found
  if value is None:
    return None
  choices = fields.get('choices', row.get('choices'))
  try:
    return answers.letter(value, choices) if isinstance(choices, list) and choices else answers.text(value)
  except ValueError as error:
    raise wrong(row, 'answer', options.answer or ANSWER, 'text or a number', str(error)) from error


def of_solution(row: dict, options) -> str:
  """The last box of a row's `solution`. Raises ValueError where there is none, or the row has an answer of another
  kind."""
  if options.answer or templates.lookup(row, ANSWER) is not None or templates.lookup(row, SOLUTION) is None:
    raise wrong(row, 'answer', options.answer or ANSWER, 'text or a number', 'nothing is there')
  solution = row[SOLUTION][0] if isinstance(row[SOLUTION], list) and len(row[SOLUTION]) == 1 else row[SOLUTION]
  try:
    return answers.of_solution(solution if isinstance(solution, str) else '')
  except ValueError as error:
    raise wrong(row, 'answer', ANSWER, 'text or a number', f'nothing is there, and {error}') from error


def judge(row: dict, options, fields: dict) -> dict | None:
  """The row's tests; where an option names the answer, tests that stand there, or else none if an answer does."""
  named = field(_both(row, fields), options.answer) if options.answer else None
  if named is None:
    return code_layouts.plain(row | fields)
  return code_layouts.read(named, row | fields)


def judged(row: dict, options, fields: dict, responses: list[str] = ()) -> dict:
  """The row with the tests and the answer by which a stage would judge it, None and '' where there is none that it
  could; an answer that is one of the responses is none.

  Args:
    row: as the file has it. fields: what the layouts add.
  """
  found = row | fields | {'tests': None, 'answer': ''}
  with contextlib.suppress(ValueError):  # a problem's is told by those who need it; an example may go without
    found['tests'] = judge(row, options, fields)
    gold = None if found['tests'] else answer(row, options, fields) or of_solution(row, options)
    found['answer'] = '' if gold is None or gold in responses else gold
  return found


def judging(row: dict, options) -> dict:
  """What the layouts say of how an example would be judged; nothing where that is malformed."""
  with contextlib.suppress(ValueError):
    return families.read(row, parts(options, 'answer')).fields
  return {}


def question(row: dict, options, reading: families.Reading, judged: dict) -> dict:
  """{'prompt': what a model is asked, 'problem': the bare question, and 'prefix' where the options have one}.

  Args:
    row, reading: as of `prompt`. judged: as of `judged`.

  Raises:
    ValueError: there is no question, or a template names what the row lacks.
  """
  whole, as_it_is = row | reading.fields, options.wording == 'none'
  if row.get('worded') is True:
    said, as_it_is = _turns(row, row.get('prompt'), 'prompt'), True
    problem = row.get('problem') or said
  elif '{' in options.prompt:
    said, as_it_is = prompt(row | wording.fields(judged), options, reading), True
    bare = templates.lookup(whole, 'problem|question|prompt')
    problem = bare if isinstance(bare, str) and bare.strip() else said
  else:
    said = problem = prompt(row, options, reading)
  found = turns.asked({'prompt': said}, whole, options)  # first: a system turn may say how to answer
  return found | {'problem': problem} | ({} if as_it_is else {'prompt': wording.asked(found['prompt'], judged)})


def wrong(row: dict, what: str, option: str, kind: str, state: str) -> ValueError:
  names = ', '.join(list(row)[:20]) + (', ...' if len(row) > 20 else '')
  return ValueError(
    f'{what} ({option!r}) must be {kind}, {state}; found {names or "no fields"}; data.{what} names another '
    f'field (of the evaluate command: --{what}_field)'
  )


def state(value: Any) -> str:
  return 'nothing is there' if value is None else f'it is {type(value).__name__} {repr(value)[:40]}'
