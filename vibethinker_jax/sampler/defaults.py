"""How a model is to be sampled where nobody says it: generation_config.json, which published models bring."""

import json
from typing import Annotated, NamedTuple

from vibethinker_jax import config as config_lib
from vibethinker_jax.config import NotNegative, Range

FILE = 'generation_config.json'


class Drawn(NamedTuple):
  """temperature, top_p, top_k, min_p: see request.Options; the values are those of a model that says nothing."""

  temperature: NotNegative = 1.0
  top_p: Annotated[float, Range(gt=0, le=1)] = 0.95
  top_k: Annotated[int, Range(ge=0, lt=2**31)] = 0
  min_p: Annotated[float, Range(ge=0, le=1)] = 0.0


def of_model(files: dict[str, bytes]) -> dict[str, float]:
  """Those fields of Drawn that a model names.

  Args:
    files: of its tokenizer, by name. do_sample=false is temperature 0, top_k=-1 is 0 (off), null is not named.

  Raises:
    ValueError: the file is no JSON object, or has a value that cannot be sampled with.
  """
  try:
    values = json.loads(files.get(FILE, b'{}'))
  except ValueError as error:
    raise ValueError(f'{FILE} is not JSON: {error}') from error
  if not isinstance(values, dict):
    raise ValueError(f'{FILE} must be a JSON object')
  named = {name: values[name] for name in Drawn._fields if values.get(name) is not None}
  if named.get('top_k') == -1:
    named['top_k'] = 0
  if values.get('do_sample') is False:
    named['temperature'] = 0.0
  bound = config_lib.bind(Drawn, named, FILE)
  return {name: getattr(bound, name) for name in named}


def taken(files: dict[str, bytes], given: dict) -> dict[str, float]:
  """What of `of_model` counts: all but what is given (what is None is not).

  Raises:
    ValueError: see of_model.
  """
  return {name: value for name, value in of_model(files).items() if given.get(name) is None}


def said(values: dict[str, float]) -> str:
  """What was taken, in a line."""
  return f'{FILE} of the model: ' + ', '.join(f'{name}={value}' for name, value in values.items())
