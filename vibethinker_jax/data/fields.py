"""What an option of a field selects in a row: a dotted path, several with '|' between, or a template over such paths."""

import string
from typing import Any


def field(row: dict, option: str) -> Any:
  """What a field option selects, None if nothing; of a template, the text (a list where one of its fields is a list).

  Raises:
    ValueError: a template that is malformed or names what the row lacks.
  """
  return fill(row, option) if '{' in option else lookup(row, option)


def lookup(row: dict, option: str) -> Any:
  """What stands at the first of the paths that the row has, None if none does."""
  for path in option.split('|'):
    value = row
    for name in path.strip().split('.'):
      value = value.get(name) if isinstance(value, dict) else None
    if value is not None:
      return value
  return None


def fill(row: dict, template: str) -> str | list[str]:
  """A template's text; a list where one of its fields is a list."""
  try:
    parts = list(string.Formatter().parse(template))
  except ValueError as error:
    raise ValueError(f'the template {template!r} is malformed ({error}); braces that stay are written {{{{ and }}}}'
                     ) from None
  values = {}
  for _, name, spec, conversion in parts:
    if name is None:
      continue
    values[name] = lookup(row, name)
    items = values[name] if isinstance(values[name], list) else [values[name]]
    if not name or spec or conversion or not items or not all(isinstance(x, (str, int, float)) for x in items):
      raise ValueError(f'the template {template!r} needs {name!r} to be text in the row; found {", ".join(row)}. '
                       'Braces that stay are written {{ and }}')
  sizes = {len(value) for value in values.values() if isinstance(value, list)}
  if len(sizes) > 1:
    raise ValueError(f'the template {template!r} names lists of different lengths')
  filled = [''.join(text + ('' if name is None else str(
      values[name][i] if isinstance(values[name], list) else values[name])) for text, name, _, _ in parts)
      for i in range(max(sizes, default=1))]
  return filled if sizes else filled[0]
