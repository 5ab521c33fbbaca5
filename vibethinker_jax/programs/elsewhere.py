"""What a command names that is not on this machine: models of the Hub and URLs of data, brought before all else."""

from collections.abc import Callable, Iterable
import json
import pathlib

from vibethinker_jax import config as config_lib
from vibethinker_jax.data import sources
from vibethinker_jax.data.files import remote, rows
from vibethinker_jax.model.formats import hf_config
from vibethinker_jax.runtime import hosts, hub, origins, storage


def bring(models: Iterable[str], files: Iterable[str] = (), tokenizers: Iterable[str] = ()) -> None:
  """Downloads models and data, each once a machine, and on every host the version that host 0 has found.

  All hosts must call this together.

  Args:
    models: names of the Hub, and models in buckets; paths of this machine are left alone. files: entries of `files`
      options, URLs and paths. tokenizers: as models, of which no weights are needed.

  Raises:
    ValueError: something does not come, or is a model of a kind that is not read here.
  """
  small = lambda name: hub.local(name, weights=False)
  wanted = [(entry, remote.paths, remote.paths) for entry in dict.fromkeys(files) if remote.is_remote(entry)]
  far = lambda name: hub.is_name(name) or storage.remote(name)
  wanted += [(name, small, small) for name in dict.fromkeys(tokenizers) if far(name)]
  readable = lambda name: small(name) if storage.remote(name) else _readable(name)
  wanted += [(name, readable, hub.local) for name in dict.fromkeys(models) if far(name)]  # the larger ones last
  for name, decide, get in wanted:
    origins.take(hosts.agreed(lambda name=name, decide=decide: _known(decide, name), f'downloading {name}'))
    with hosts.busy(f'downloading {name}'):
      get(name)


def _readable(name: str) -> None:
  """The small files of a model, looked at before its weights come."""
  file = hub.local(name, weights=False) / 'config.json'
  if file.is_file():
    try:
      values = json.loads(file.read_text())
    except ValueError as error:
      raise ValueError(f'{name}: its config.json is not JSON: {error}') from error
    if hub.is_name(name) or 'model_type' in values:  # stages of ours in a bucket have a config.json, too
      hf_config.read(values, f'{name}, config.json')


def _known(decide: Callable, name: str) -> dict:
  decide(name)
  return origins.known


def of_recipe(recipe: config_lib.Recipe, options: dict, named: list[tuple[str, str]]) -> None:
  """`bring` for the stages of a recipe.

  Args:
    named: (field, model) of the stages.

  Raises:
    ValueError: something does not come, with where it is named.
  """
  _said('config.tokenizer.path', lambda: bring([], tokenizers=[recipe.tokenizer.get('path', '')]))
  for where, model in [('config.base', recipe.base), *named]:
    _said(where, lambda model=model: bring([model]))
  for name, values in options.items():
    _said(f'stage {name!r}', lambda values=values: bring([], entries(recipe.stages, values)))


def _said(where: str, call: Callable) -> None:
  try:
    call()
  except ValueError as error:
    more = '. --data=FILE names a copy of a set; other presets go without this one' if where[:9] == '--preset=' else ''
    raise ValueError(f'{where}: {error}{more}') from error


def entries(recipe_stages: tuple, options) -> list[str]:
  """The entries of `files` in a stage's options, stages of the recipe left out."""
  if isinstance(options, sources.DataOptions):
    return [entry for entry in rows.entries(options.files) if entry not in recipe_stages]
  values = options.values() if isinstance(options, dict) else options if isinstance(options, tuple) else ()
  return [entry for value in values for entry in entries(recipe_stages, value)]


def of_evaluation(output: pathlib.Path, models: list[str], files: list[tuple[str, str]]) -> None:
  """`bring` for an evaluation: as an earlier start of it in this directory has found them, if there was one.

  Args:
    files: (where it is named, a `files` option) of its sets, and of training data.

  Raises:
    ValueError: something does not come, with where it is named.
  """

  def earlier() -> dict:
    begun = [path for path in (output, *output.glob('*')) if (path / 'config.json').is_file()]
    for path in begun:
      origins.take(origins.read(path))
    return origins.known

  origins.take(hosts.agreed(earlier))
  for where, option in files:
    _said(where, lambda option=option: bring([], [x for x in rows.entries(option) if x != 'synthetic']))
  bring(models)
