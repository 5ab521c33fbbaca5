"""What every program gets, and how a model is opened: from scratch, from an earlier stage, from a checkpoint."""

import hashlib
import json
import logging
import pathlib
import sys
from typing import Annotated, Any, Literal, NamedTuple

import jax
import tqdm

from vibethinker_jax import checkpoint, config as config_lib, sharding
from vibethinker_jax.data import sources, synthetic
from vibethinker_jax.data.tokens import chat_template, hub_tokenizer, tokenizer as tokenizer_lib
from vibethinker_jax.model import config as model_config, transformer
from vibethinker_jax.model.formats import gguf_file, hf
from vibethinker_jax.runtime import disk, hosts, hub, origins, storage, timeline
from vibethinker_jax.train import state as state_lib
from vibethinker_jax.verify import faults
from vibethinker_jax.verify.pool import Pool


class Stage(NamedTuple):
  """name: of the stage. directory: its own. workdir: of the run. config: the whole, plain. pool: the verifiers."""

  name: str
  directory: pathlib.Path
  workdir: pathlib.Path
  config: dict
  recipe: config_lib.Recipe
  mesh: jax.sharding.Mesh
  pool: Pool


class Model(NamedTuple):
  config: model_config.ModelConfig
  params: Any
  tokenizer: tokenizer_lib.Tokenizer | hub_tokenizer.HubTokenizer

  def saved(self) -> dict:
    """What goes with every checkpoint of this model."""
    return {'config': json.loads(self.config.to_json()), 'tokenizer': self.tokenizer.files()}


class TokenizerOptions(NamedTuple):
  """Config of the tokenizer of models from scratch; an imported model brings its own.

  path: a SentencePiece .model, a tokenizer.json, a Hugging Face directory or a name of the Hub; '' trains a
  SentencePiece model of vocab_size pieces on `problems` synthetic problems of `levels`.
  """

  path: str = ''
  vocab_size: Annotated[int, config_lib.Range(ge=tokenizer_lib.FEWEST, lt=2**31)] = 768
  problems: config_lib.Positive = 8000
  levels: tuple[Literal[synthetic.LEVELS], ...] = synthetic.LEVELS

  def conflicts(self):
    if not self.path and not self.levels:
      yield 'levels=() must name at least one level of the problems that the tokenizer is trained on'


def open_model(stage: Stage, source: str) -> Model:
  """A model on the mesh.

  Args:
    source: 'scratch', 'base' (the recipe's), the name of a stage of this run (it may be followed by '@step'), or a path
      as of `load`.

  Raises:
    ValueError: the stage has not run, or there is no checkpoint.
  """
  if source == 'scratch' or (source, stage.recipe.base) == ('base', 'scratch'):
    return scratch(stage)
  if source == 'base':
    return base(stage)
  name = source.partition('@')[0]
  path = stage.workdir / name
  if name in stage.recipe.stages and not hosts.agreed(lambda: checkpoint.steps(path / 'checkpoints')):
    raise ValueError(
      f'stage {stage.name!r} starts from {name!r}, which has no checkpoint in {path} yet: run that stage '
      f'first (--stages={name})'
    )
  path = _path(stage, source)
  return load(path, stage.mesh, tokenizer=asking(path, stage.recipe.chat_template, stage.recipe.chat_template_kwargs))


def _path(stage: Stage, source: str) -> pathlib.Path:
  name, _, step = source.partition('@')
  if name not in stage.recipe.stages and hub.is_name(source):
    return pathlib.Path(source)
  path = storage.far(stage.workdir / name) if name in stage.recipe.stages else storage.path(name)
  return path / 'checkpoints' / step if step else path


def identity(stage: Stage, source: str) -> dict:
  """What tells the model of `open_model` from another: its fingerprint; of a random one the seed."""
  base_path = stage.recipe.base
  if source == 'scratch' or (source, base_path) == ('base', 'scratch'):
    return {'scratch': stage.recipe.seed}
  return fingerprint(storage.path(base_path) if source == 'base' else _path(stage, source))


def asking(path: pathlib.Path, template: str, kwargs: dict) -> hub_tokenizer.HubTokenizer | None:
  """The tokenizer of a model with another chat template, for `load`; None where its own stays.

  Args:
    path: as of `load`. template, kwargs: as of chat_template.applied.

  Raises:
    ValueError: there is no such model, or the template is not for it.
  """
  if not template and not kwargs:
    return None
  tokenizer = read_tokenizer(path, bare=bool(template))
  try:
    return chat_template.applied(tokenizer, template, kwargs)
  except ValueError as error:
    raise ValueError(f'{error} ({path})') from error


def read_tokenizer(path: pathlib.Path, bare: bool = False) -> tokenizer_lib.Tokenizer | hub_tokenizer.HubTokenizer:
  """The tokenizer of a model, as `load` gives it, without its parameters; bare: as of HubTokenizer."""
  path = _existing(path, weights=False)
  try:
    if not storage.remote(path) and path.suffix == '.gguf':
      return tokenizer_lib.from_files(gguf_file.tokenizer_files(gguf_file.read_fields(path)), bare)
    if not storage.remote(path) and (path.is_file() or hf.is_model(path) or (path / 'tokenizer.json').is_file()):
      return tokenizer_lib.load(path, bare)
    directory = storage.path(hosts.agreed(lambda: str(checkpoint.find(path))))
    return tokenizer_lib.from_files(checkpoint.read_model(directory)['tokenizer'])
  except (ValueError, OSError) as error:
    raise error if str(path) in str(error) else ValueError(f'{path}: damaged or not a model: {error}') from error


def _existing(path, weights: bool = True) -> pathlib.Path:
  path = hub.local(path, weights)
  if not path.exists():
    raise ValueError(
      f'{path}: there is no such file or directory. Give a stage directory, one of our checkpoints, a Hugging '
      'Face directory, a GGUF file, or a name of the Hub (OWNER/NAME, OWNER/NAME@REVISION)'
    )
  return path


def load(path: pathlib.Path, mesh, *, tokenizer=None, progress: bool = False) -> Model:
  """A model from one of our checkpoints (a stage directory, a checkpoints directory, or one step), a Hugging Face
  directory, a GGUF file, or a name of the Hub.

  Args:
    tokenizer: to take instead of the model's own. progress: show a bar of imported tensors.

  Raises:
    ValueError: nothing of the kind there, or it does not fit together.
  """
  path = _existing(path)
  try:
    with hosts.busy(f'opening {path}'), timeline.phase('checkpoint'):
      return _load(path, mesh, tokenizer, progress and hosts.first())
  except (ValueError, OSError) as error:
    raise error if str(path) in str(error) else ValueError(f'{path}: damaged or not a model: {error}') from error


def _load(path: pathlib.Path, mesh, tokenizer, progress: bool) -> Model:
  local = not storage.remote(path)
  if local and path.suffix == '.gguf':
    config, params, fields = gguf_file.load(path, mesh=mesh, progress=progress)
    tokenizer = tokenizer or tokenizer_lib.from_files(gguf_file.tokenizer_files(fields))
    return _checked(Model(config, params, tokenizer), path)
  if local and hf.is_model(path):
    tokenizer = tokenizer or tokenizer_lib.load(path)
    return _checked(Model(*hf.load(path, mesh=mesh, progress=progress), tokenizer), path)
  directory = storage.path(hosts.agreed(lambda: str(checkpoint.find(path))))
  saved = checkpoint.read_model(directory)
  config = model_config.from_dict(saved['config'])
  shapes = transformer.shapes(config)
  target = jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, sharding.tree_shardings(mesh, shapes)
  )
  return Model(
    config,
    checkpoint.read_params(directory, target, saved['digests']),
    tokenizer or tokenizer_lib.from_files(saved['tokenizer']),
  )


def fingerprint(path: pathlib.Path) -> dict:
  """What tells one model from another: a digest of its weights, configuration and tokenizer, whatever its path."""
  shared, path, found = hub.is_name(path), hub.local(path), hashlib.sha256()
  if not storage.remote(path) and (path.is_file() or hf.is_model(path)):
    kinds = ('.safetensors', '.json', '.model', '.jinja')
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in kinds)
    if shared and path.is_dir():  # other programs may put more files into the Hub's cache
      files = [p for p in files if p.name in (*hub.SMALL, *hub.weights(path))]
    for file in files:
      found.update(file.name.encode() if path.is_dir() else b'')
      with file.open('rb') as opened:
        found.update(hashlib.file_digest(opened, 'sha256').digest())
    return {'sha256': found.hexdigest()}
  directory = checkpoint.find(path)
  saved = checkpoint.read_model(directory)
  weights = {name: value for name, value in saved['digests'].items() if name.startswith('params')}
  found.update(json.dumps([weights, saved['config']], sort_keys=True).encode())
  for name, content in sorted(saved['tokenizer'].items()):
    found.update(name.encode() + b'\0' + content)
  return {'sha256': found.hexdigest(), 'step': directory.name}


def base(stage: Stage) -> Model:
  """The model that the recipe starts from; fields of `config.model` replace those of an imported one."""
  path = storage.path(stage.recipe.base)
  tokenizer = asking(path, stage.recipe.chat_template, stage.recipe.chat_template_kwargs)
  model = load(path, stage.mesh, tokenizer=tokenizer, progress=True)
  fields = json.loads(model.config.to_json()) | dict(stage.recipe.model)
  return model._replace(config=model_config.from_dict(fields))


def _checked(model: Model, path) -> Model:
  if model.tokenizer.vocab_size > model.config.vocab_size:
    raise ValueError(
      f'{path}: the tokenizer has {model.tokenizer.vocab_size} ids, the model only '
      f'{model.config.vocab_size}: the two do not belong together'
    )
  return model


def scratch(stage: Stage) -> Model:
  """Random parameters and the run's own tokenizer, both functions of the config alone."""
  options = config_lib.bind(TokenizerOptions, stage.recipe.tokenizer, 'config.tokenizer')
  tokenizer = _tokenizer(stage, options)
  fields = dict(stage.recipe.model)
  fields['vocab_size'] = fields.get('vocab_size') or tokenizer.vocab_size
  if fields['vocab_size'] < tokenizer.vocab_size:
    raise ValueError(
      f'config.model.vocab_size={fields["vocab_size"]} is smaller than the tokenizer: {tokenizer.vocab_size}'
    )
  config = model_config.from_dict(fields)
  shardings = sharding.tree_shardings(stage.mesh, transformer.shapes(config))
  key = jax.random.fold_in(jax.random.key(stage.recipe.seed), 0)
  params = jax.jit(lambda k: transformer.init(config, k), out_shardings=shardings)(key)
  return Model(config, params, tokenizer)


def tokenizer_of(stage: Stage, source: str):
  """The tokenizer of a model without its weights.

  Args:
    source: 'scratch', or a path as of `load`.

  Raises:
    ValueError: there is none, or it cannot be read.
  """
  if source == 'scratch':
    return _tokenizer(stage, config_lib.bind(TokenizerOptions, stage.recipe.tokenizer, 'config.tokenizer'))
  path = storage.path(source if hub.is_name(source) else source.partition('@')[0])
  return asking(path, stage.recipe.chat_template, stage.recipe.chat_template_kwargs) or read_tokenizer(path)


def _tokenizer(stage: Stage, options: TokenizerOptions) -> tokenizer_lib.Tokenizer:
  if options.path:
    return chat_template.applied(
      tokenizer_lib.load(hub.local(options.path, weights=False)),
      stage.recipe.chat_template,
      stage.recipe.chat_template_kwargs,
    )
  path = stage.workdir / 'tokenizer.model'
  hosts.agreed(lambda: None if path.exists() else _train_tokenizer(stage, options, path), 'training a tokenizer')
  return tokenizer_lib.load(storage.here(path))


def _train_tokenizer(stage: Stage, options: TokenizerOptions, path: pathlib.Path) -> None:
  logging.getLogger('vibethinker_jax').info(
    'training a tokenizer of %d pieces on %d synthetic problems', options.vocab_size, options.problems
  )
  examples = sources.SyntheticExamples(
    stage.recipe.domains, options.levels, stage.recipe.seed, options.problems, stage.recipe.templates
  )
  texts = (text for i in range(len(examples)) for text in ('user', 'assistant', *examples[i].values()))
  trained = tokenizer_lib.train(texts, options.vocab_size)
  with disk.replacing(path, 'the tokenizer') as temporary:
    trained.save(temporary)


def stage_key(stage: Stage) -> jax.Array:
  """A random key of this stage's own: of the seed and the stage's place in the recipe."""
  place = stage.recipe.places.get(stage.name, stage.recipe.stages.index(stage.name))
  return jax.random.fold_in(jax.random.key(stage.recipe.seed), 1 + place)


def refuse_invalid(stage: Stage, what: str, invalid: list[str], total: int) -> None:
  """Ends a stage whose verifier fails. All hosts must call this together.

  Args:
    what: was sampled. invalid: reasons of the invalid verdicts, of `total`; see benchmarks.invalid_of.

  Raises:
    ValueError: they are more than config.verify.invalid_share allows.
  """
  share = stage.recipe.verify.invalid_share
  if len(invalid) > share * total:
    fault = next(filter(None, hosts.gather(stage.pool.first_fault, 'the first fault')), '')
    faults.refuse(f'stage {stage.name!r}, {what}', invalid, total, share, fault)


def progress(total: int, description: str, initial: int = 0, unit: str = 'step') -> tqdm.tqdm:
  """A progress bar on stderr of host 0; a line every 20 s where that is not a terminal."""
  terminal = sys.stderr.isatty()
  return tqdm.tqdm(
    total=total,
    desc=description,
    initial=initial,
    unit=unit,
    dynamic_ncols=True,
    mininterval=0.2 if terminal else 20,
    smoothing=0.1,
    disable=not hosts.first(),
  )


def planned(options) -> list[int]:
  """The steps after which an sft or rl stage saves."""
  return sorted({*range(options.checkpoint_steps, options.steps, options.checkpoint_steps), options.steps})


def check_room(stage: Stage, options, abstract: state_lib.TrainState, keep: int | None, trains: int | None) -> None:
  """Raises ValueError where the next two checkpoints of an sft or rl stage do not fit on the disk."""
  hosts.agreed(
    lambda: checkpoint.check_room(
      stage.directory / 'checkpoints',
      abstract.params,
      state_lib.beside_params(abstract),
      planned(options),
      keep=keep,
      trains=trains,
    )
  )


def finish(stage: Stage, result: dict) -> None:
  """Marks the stage as done; the result says which commits and digests it had of what is elsewhere."""
  options = json.dumps(stage.config[stage.name], default=str)
  taken = origins.of(options, *([stage.recipe.base] if '"base"' in options or '"init"' in options else []))
  result = result | ({'origins': taken} if taken else {})
  hosts.agreed(lambda: config_lib.write_json(stage.directory / 'result.json', result))


def finished(workdir: pathlib.Path, name: str) -> dict | None:
  """result.json of a stage, or None if it is not done."""
  return config_lib.read_json(workdir / name / 'result.json')


def kept(workdir: pathlib.Path, stages: tuple) -> str:
  """What of a run is safe on the disk, in words; '' if nothing is."""
  done = [name for name in stages if finished(workdir, name) is not None]
  parts = [f'stage{"s" if len(done) > 1 else ""} {", ".join(done)}'] if done else []
  for name in (name for name in stages if name not in done and (workdir / name).is_dir()):
    directory = workdir / name
    if steps := checkpoint.steps(directory / 'checkpoints'):
      parts.append(f'the checkpoint of step {steps[-1]} of {name}')
    for file in sorted([*directory.glob('*.jsonl'), *directory.glob('*/responses.jsonl')]):
      if file.name in ('responses.jsonl', 'samples.jsonl', 'error_rates.jsonl') and (
        count := file.read_bytes().count(b'\n')
      ):
        parts.append(f'{count} lines of {file.relative_to(workdir)}')
    if count := len(list(directory.glob('scores_*.json'))):
      parts.append(f'the scores of {count} model{"s" if count > 1 else ""} of {name}')
  return ', '.join(parts)


def check_finite(stage: Stage, step: int, skipped_in_a_row: int, limit: int) -> None:
  """Raises FloatingPointError once `limit` updates in a row were not finite, naming the last good checkpoint."""
  if skipped_in_a_row >= limit:
    good = checkpoint.steps(stage.directory / 'checkpoints')
    raise FloatingPointError(
      f'stage {stage.name}: {skipped_in_a_row} updates in a row up to step {step} were not finite and were skipped. '
      f'The last checkpoint is step {good[-1] if good else "none"}. Lower the learning rate or clip_norm'
    )
