"""Values of rows as published files have them: text of JSON where lists should be, and names in any spelling."""

import ast
from collections.abc import Iterable
import json
from typing import Any, NamedTuple


class Unusable(ValueError):
  """A row that is well-formed and still of no use: nothing in it can be judged here, or none of its responses is right.

  Sets that mix kinds of tasks have such rows: they are left out, counted and told, and no error of the file.
  """


class Found(NamedTuple):
  """What a family of layouts found in a row.

  Attributes:
    fields: in our own names. used: the row's fields that they are from. name: the layout's, '' of none in particular.
    said: what else to tell about it.
  """

  fields: dict
  used: tuple[str, ...]
  name: str = ''
  said: str = ''


def decoded(value: Any) -> Any:
  """The list or object that a text holds, as JSON or as Python writes it; every other value as it is."""
  if not isinstance(value, str) or value.lstrip()[:1] not in ('[', '{') or value.rstrip()[-1:] not in (']', '}'):
    return value
  try:
    found = json.loads(value)
  except (ValueError, RecursionError):
    try:
      found = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
      return value
  return found if isinstance(found, (dict, list)) else value


def first(row: dict, names: Iterable[str]) -> str:
  """The first of the names under which the row has something: not null, no empty text or list; '' if there is none."""
  for name in names:  # of a row mostly none is there: it is asked for 100 names, a million times
    if name in row and filled(row[name]):
      return name
  return ''


def filled(value: Any) -> bool:
  """Whether a value says anything."""
  return bool(value.strip()) if isinstance(value, str) else value is not None and value != [] and value != {}


def text(value: Any) -> str:
  """Text without white space around it, '' for whatever is no text."""
  return value.strip() if isinstance(value, str) else ''
