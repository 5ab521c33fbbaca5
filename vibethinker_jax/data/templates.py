"""Fields of a row by dotted paths, and templates of the user's over them: what an option of `data` selects."""

import string
from typing import Any


def lookup(row: dict, option: str) -> Any:
  """What the first of the paths in `option` that a row has leads to ('reward_model.ground_truth|answer'), None if
  none."""
  for path in option.split('|'):
    value = row
    for name in path.strip().split('.'):
      value = value.get(name) if isinstance(value, dict) else None
    if value is not None:
      return value
  return None


def fill(row: dict, template: str) -> str | list[str]:
  """A template with the fields that it names; a list where one of them is a list.

  Raises:
    ValueError: it is malformed, or names what the row lacks.
  """
  try:
    parts = list(string.Formatter().parse(template))
  except ValueError as error:
    raise ValueError(
      f'the template {template!r} is malformed ({error}); braces that stay are written {{{{ and }}}}'
    ) from None
  values = {}
  for _, name, spec, conversion in parts:
    if name is None:
      continue
    values[name] = lookup(row, name)
    items = values[name] if isinstance(values[name], list) else [values[name]]
    if not name or spec or conversion or not items or not all(isinstance(x, (str, int, float)) for x in items):
      raise ValueError(
        f'the template {template!r} needs {name!r} to be text in the row; found {", ".join(row)}. '
        'Braces that stay are written {{ and }}'
      )
  sizes = {len(value) for value in values.values() if isinstance(value, list)}
  if len(sizes) > 1:
    raise ValueError(f'the template {template!r} names lists of different lengths')
  filled = [
    ''.join(
      text + ('' if name is None else str(values[name][i] if isinstance(values[name], list) else values[name]))
      for text, name, _, _ in parts
    )
    for i in range(max(sizes, default=1))
  ]
  return filled if sizes else filled[0]
