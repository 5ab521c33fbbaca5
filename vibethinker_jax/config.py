"""From ml_collections configs to typed options: every field known, every field used, every value allowed.

What a field may hold stands beside it as its type: Annotated[int, Range(ge=1)], Literal[...] of the names that the code
knows, tuple[...] of such. What several fields must be together is the class's method `conflicts`, an iterator of lines
that begin with a field and its value.
"""

import dataclasses
import difflib
import functools
import json
import math
import os
import pathlib
import re
import types
from typing import (
  Annotated,
  Any,
  Literal,
  NamedTuple,
  TypedDict,
  Union,
  get_args,
  get_origin,
  get_type_hints,
  is_typeddict,
)

from absl import flags

from vibethinker_jax.runtime import disk


class Range(NamedTuple):
  """Numbers >= ge, > gt, <= le and < lt. NaN and infinity are in no range."""

  ge: float = -math.inf
  gt: float = -math.inf
  le: float = math.inf
  lt: float = math.inf

  def holds(self, value: float) -> bool:
    return self.ge <= value <= self.le and self.gt < value < self.lt

  def __str__(self) -> str:
    names = {2**31: '2**31', 2**32: '2**32', 2.0**128: '2**128', -(2.0**128): '-2**128'}
    power = lambda bound: names.get(bound, str(bound))
    signs = zip(('>=', '>', '<=', '<'), self)
    return ' and '.join(f'{sign} {power(bound)}' for sign, bound in signs if math.isfinite(bound))


# Counts are int32 on the devices.
Count = Annotated[int, Range(ge=0, lt=2**31)]
Positive = Annotated[int, Range(ge=1, lt=2**31)]
NotNegative = Annotated[float, Range(ge=0)]
AboveZero = Annotated[float, Range(gt=0)]
Share = Annotated[float, Range(ge=0, le=1)]
Size = Literal[-1] | Positive
Finite = Annotated[float, Range(gt=-(2.0**128), lt=2.0**128)]  # in float32, as rewards are: also 0 and less


class Mesh(TypedDict, total=False):
  """Sizes of the mesh axes, see sharding.make_mesh; one of them may be -1 and takes the devices that are left."""

  data: Size
  fsdp: Size
  tensor: Size
  context: Size


class Sandbox(NamedTuple):
  """What programs find in the sandbox.

  Attributes:
    packages: names of installed packages that they may import besides the standard library. numpy and sortedcontainers
      are left out where they are not installed; any other must be.
  """

  packages: tuple[str, ...] = ('numpy', 'sortedcontainers')


class Verify(NamedTuple):
  """How responses are judged.

  Attributes:
    workers: processes of each verifier, 0: as many as there are processors. A judge over HTTP waits most of the time
      and wants 64.
    timeout: seconds for one call, then its process is ended: a response to be judged by its answer, tests or
      constraints counts as wrong, one to be judged by a function of yours has no verdict. Where it is more than a
      minute, it is also what the import of that function may take.
    memory: GiB of address space of a process; 0: no limit, as what runs on a GPU needs.
    invalid_share: a step of RL, or a sampling of another stage, in which more than this share of the verdicts is
      invalid ends the stage with the first fault.
    batch: responses that a function whose name ends in _batch, (responses, rows) -> a list of as many rewards, gets at
      once at most; all other functions get one.
    environment: names of variables that functions of yours find in their environment as this process has them, such as
      the key of a judge over HTTP; what they have besides is little (verify.process).
  """

  workers: Count = 0
  timeout: AboveZero = 10.0
  memory: NotNegative = 2.0
  invalid_share: Share = 0.5
  batch: Annotated[int, Range(ge=1, le=1024)] = 16
  environment: tuple[str, ...] = ()


class Recipe(NamedTuple):
  """The top level of a config; every other field is the sub-config of a stage of that name.

  Attributes:
    seed: of everything random.
    verifier: importable 'module:function' that judges a response, (response, row) -> a number, True or False, a dict
      of named numbers, or a verify.verdict.Verdict (see verify.returned); many at once where its name ends in _batch.
    correct_at: the reward from which a response counts as correct where the verifier does not say, any number, also 0
      or less; MGPO's p and every accuracy are shares of correct ones, while advantages are made of the rewards: the
      weight of p is about the chance of being right, of which a mean of graded rewards says nothing.
    rewards: ((name, weight), ...) that are summed instead of the verifier's verdict alone, see eval.rewards: answer,
      format, overlong, repetition, or 'module:function' as of verifier. A weight of 0 only reports a reward; below 0 it
      subtracts what a function of yours returns.
    verify: how that is done, see Verify.
    sandbox: where programs run that the verifier judges, see Sandbox.
    mesh: sizes of data, fsdp, tensor and context; one of them may be -1.
    stages: names of the stages, in order.
    base: what init_from='base' and the model 'init' of an evaluate stage are: a Hugging Face directory, a name of the
      Hub (OWNER/NAME, OWNER/NAME@REVISION), a GGUF file, one of our checkpoints, or 'scratch'.
    model: from scratch: the fields of model.config.ModelConfig (vocab_size may be 0: the tokenizer's). Of an imported
      base: rope_theta, rope_scaling or max_position_embeddings that replace its own, for a longer context.
    tokenizer: of models from scratch, see programs.stage; an imported base brings its own.
    chat_template: a file whose chat template replaces that of every model (data.chat_template); '' keeps the model's.
    chat_template_kwargs: what the template is to know besides, such as {'enable_thinking': False}; also as text, such
      as 'enable_thinking=false,x=1' of a flag. Both are kept with the checkpoints, which ask in the same way ever
      after.
    domains: subdomains of the synthetic problems; templates: names of those to draw from, () is all.
    profile_steps: (first, last) step of each sft and rl stage to trace into its directory `profile`; () is none.
    compilation_cache: directory where compiled programs are kept; 'auto': the user's cache, with several hosts a
      directory of the workdir; '': none.
    hang_seconds: a process that finishes nothing for so long is ended; 0: it is only reported.
    rehearsal: the models are random, nothing that is made is of use: what only a trained model gives is not insisted
      on. RL trains on groups of equal rewards too (their advantages are 0), distill keeps wrong responses, filters that
      would keep nothing keep all; each says so. See vibethinker_jax.programs.smaller.
  """

  seed: Annotated[int, Range(ge=0, lt=2**32)]
  verifier: str
  mesh: Mesh
  stages: tuple[str, ...]
  correct_at: Finite = 1.0
  rewards: tuple[tuple[str, Finite], ...] = ()
  verify: Verify = Verify()
  sandbox: Sandbox = Sandbox()
  base: str = 'scratch'
  model: dict = {}
  tokenizer: dict = {}
  chat_template: str = ''
  chat_template_kwargs: dict = {}
  domains: tuple[str, ...] = ()
  templates: tuple[str, ...] = ()
  profile_steps: tuple[()] | tuple[Positive, Positive] = ()
  compilation_cache: str = 'auto'
  hang_seconds: NotNegative = 0.0
  rehearsal: bool = False

  def conflicts(self):
    if not self.stages or len(set(self.stages)) < len(self.stages):
      yield f'stages={self.stages} must name at least one stage, and none twice'
    if list(self.mesh.values()).count(-1) > 1:
      yield f'mesh={self.mesh} must have at most one -1'
    if self.profile_steps and self.profile_steps[0] > self.profile_steps[1]:
      yield f'profile_steps={self.profile_steps} must be the first and the last step to trace, such as (10, 12), or ()'


def plain(value: Any) -> Any:
  """ConfigDicts and lists as plain dicts and tuples."""
  if hasattr(value, 'items'):
    return {k: plain(v) for k, v in value.items()}
  return tuple(plain(v) for v in value) if isinstance(value, (list, tuple)) else value


def bind(options: type, values: dict, where: str) -> Any:
  """Typed options from config values.

  Args:
    options: a NamedTuple, TypedDict or dataclass; its fields may be such classes again, or dict[str, such a class].
    where: name of the sub-config, for messages.

  Raises:
    ValueError: unknown or missing fields, values that are not allowed, fields that contradict each other; all at once,
      a line each.
  """
  errors = []
  bound = read(options, plain(values), where, errors)
  refuse(errors)
  return bound


def refuse(errors: list[str]) -> None:
  """Raises ValueError with these lines, if there are any."""
  if errors:
    raise ValueError(
      errors[0] if len(errors) == 1 else f'{len(errors)} errors in the config:\n  ' + '\n  '.join(errors)
    )


def read(options: type, values: Any, where: str, errors: list[str], partly: bool = False) -> Any:
  """`bind`, adding to `errors` instead of raising; None where something is wrong.

  Args:
    partly: fields may be missing; the result is None.
  """
  hints = _hints(options)
  if not isinstance(values, dict):
    errors.append(f'{where}={values!r} must be a sub-config with the fields {", ".join(hints)}')
    return None
  for name in values:
    if name not in hints:
      errors.append(
        f'{where}.{name} is not a field that anything reads{nearest(name, hints)}; known: {", ".join(hints)}'
      )
  missing = [] if partly else [name for name in hints if name not in values and not _optional(options, name)]
  errors += [f'{where}.{name} is missing' for name in missing]
  result, wrong = {}, []
  for name in (name for name in hints if name in values):
    before = len(errors)
    result[name] = _field(hints[name], values[name], f'{where}.{name}', errors)
    wrong += [name] * (len(errors) > before)
  if partly or missing:
    return None
  bound = options(**result)
  errors += [f'{where}.{text}' for text in _conflicts(bound, wrong)]
  return None if wrong or set(values) - set(hints) else bound


def _conflicts(bound, wrong: list[str]) -> list[str]:
  """The lines of bound.conflicts() that are about none of the fields that are wrong by themselves."""
  found = []
  try:
    for text in getattr(bound, 'conflicts', list)():
      found.append(text)
  except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
    if not wrong:
      raise
  return [text for text in found if not any(re.search(rf'\b{name}\b', text) for name in wrong)]


def nearest(name: str, known) -> str:
  """' (did you mean ...?)' of the most similar name, if one is."""
  found = difflib.get_close_matches(str(name), list(known), 1)
  return f' (did you mean {found[0]}?)' if found else ''


@functools.lru_cache
def _hints(options: type) -> dict:
  return get_type_hints(options, include_extras=True)


def _is_class(hint) -> bool:
  return isinstance(hint, type) and (hasattr(hint, '_fields') or dataclasses.is_dataclass(hint) or is_typeddict(hint))


def _optional(options: type, name: str) -> bool:
  if dataclasses.is_dataclass(options):
    return next(f for f in dataclasses.fields(options) if f.name == name).default is not dataclasses.MISSING
  return name in (options.__optional_keys__ if is_typeddict(options) else options._field_defaults)


def _field(hint, value, path: str, errors: list[str]) -> Any:
  inner = next((x for x in (hint, *get_args(hint)) if _is_class(x)), None)
  if inner and get_origin(hint) is dict and isinstance(value, dict):
    return {key: read(inner, one, f'{path}.{key}', errors) for key, one in value.items()}
  if inner and get_origin(hint) is not dict and (value is not None or not _fits(hint, value)):
    return read(inner, value, path, errors)
  if not _fits(hint, value):
    errors.append(f'{path}={value!r} must be {allowed(hint)}')
    return value
  base = get_args(hint)[0] if get_origin(hint) is Annotated else hint
  return float(value) if base is float else value


def _fits(hint, value) -> bool:
  origin, parts = get_origin(hint), get_args(hint)
  if origin is Annotated:
    return _fits(parts[0], value) and all(bounds.holds(value) for bounds in hint.__metadata__)
  if origin is Literal:
    return any(type(value) is type(x) and value == x for x in parts)
  if origin in (Union, types.UnionType):
    return any(_fits(x, value) for x in parts)
  if origin is tuple:
    parts = parts[:1] * len(value) if isinstance(value, tuple) and parts[1:] == (...,) else parts
    return isinstance(value, tuple) and len(value) == len(parts) and all(map(_fits, parts, value))
  if hint is float:
    return type(value) in (int, float) and abs(value) < 2.0**128  # finite in float32
  return type(value) is int if hint is int else isinstance(value, origin or hint)


def allowed(hint) -> str:
  """What a type takes, in words: 'an integer >= 1'."""
  origin, parts = get_origin(hint), get_args(hint)
  if origin is Annotated:
    return f'{allowed(parts[0])} {parts[1]}'
  if origin is Literal:
    return ' or '.join(filter(None, (', '.join(map(repr, parts[:-1])), repr(parts[-1]))))
  if origin in (Union, types.UnionType):
    return ' or '.join(map(allowed, parts))
  if origin is tuple:
    return (
      f'a tuple, each element {allowed(parts[0])}' if parts[1:] == (...,) else f'({", ".join(map(allowed, parts))})'
    )
  if _is_class(hint):
    return f'a sub-config with the fields {", ".join(_hints(hint))}'
  names = {int: 'an integer', float: 'a finite number', str: 'text', bool: 'True or False', dict: 'a sub-config'}
  return (names | {tuple: 'a tuple', type(None): 'None'})[origin or hint]


def differences(old: dict, new: dict, where: str = '') -> list[str]:
  """Lines `field: old -> new` for two plain configs."""
  lines = []
  for name in sorted(set(old) | set(new)):
    path = f'{where}.{name}' if where else name
    a, b = old.get(name, '(absent)'), new.get(name, '(absent)')
    if isinstance(a, dict) and isinstance(b, dict):
      lines += differences(a, b, path)
    elif a != b:
      lines.append(f'{path}: {a!r} -> {b!r}')
  return lines


def check_unchanged(path: pathlib.Path, values: dict, what: str) -> None:
  """Writes the resolved config at first; afterwards insists that it is the same.

  Raises:
    ValueError: it differs, with the fields that do.
  """
  values = json.loads(json.dumps(plain(values)))
  if not path.exists():
    write_json(path, values)
    return
  changed = differences(json.loads(path.read_text()), values)
  if changed:
    raise ValueError(
      f'{what} was started with another config ({path}):\n  '
      + '\n  '.join(changed)
      + '\nGive another --workdir, restore the old values, or delete that stage to run it anew.'
    )


def write_json(path: pathlib.Path, values: Any) -> None:
  """Writes a JSON file whole or not at all."""
  with disk.replacing(path, path.name) as temporary:
    temporary.write_text(json.dumps(values, indent=1))


def read_json(path: pathlib.Path) -> Any:
  """What a JSON file holds; None if there is no such file."""
  return json.loads(path.read_text()) if path.exists() else None


def parse_flags(argv: list[str]) -> list[str]:
  """absl's parsing; a wrong flag, field or config file ends the process with one line that names it."""
  try:
    rest = flags.FLAGS(argv)
    if 'config' in flags.FLAGS:
      hasattr(flags.FLAGS['config'].value, 'keys')  # raises what went wrong with the file, if something did
    return rest
  except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
    lines = str(error.args[-1] if error.args else error).replace("\\'", "'").splitlines()
    raise SystemExit(f'error: {_wrong_field(argv, error) or _config_error(lines)}') from None


def _config_error(lines: list[str]) -> str:
  """What absl or ml_collections say, on one line; of a traceback (a config file that refuses its argument) the end."""
  text = ' '.join(lines)
  return lines[-1].partition(': ')[2] or lines[-1] if 'Traceback' in text else f'command line: {text}'


def _wrong_field(argv: list[str], error: Exception) -> str:
  """What is wrong with the first --config.FIELD=VALUE that cannot be set; '' if that is not the mistake."""
  flag = flags.FLAGS['config'] if 'config' in flags.FLAGS else None
  files = re.findall(r'(?<=\n)--?config[=\n](.*)', '\n' + '\n'.join(argv))
  if files and not os.path.exists(file := files[0].partition(':')[0]):
    return f'--config={files[0]}: there is no file {file!r}'
  try:
    config = flag.parser.parse(files[0])
    list(config)
  except (AttributeError, IndexError, TypeError, ValueError, OSError):  # then that is the mistake
    return ''
  for path, value in re.findall(r'(?<=\n)--?(?:no)?config\.([\w.]+)(?:[=\n](.*))?', '\n' + '\n'.join(argv)):
    full, at = path if path.split('.')[0] not in Recipe._fields else f'config.{path}', config
    for part in path.split('.'):
      if not hasattr(at, 'keys') or part not in at:
        known = list(at) if hasattr(at, 'keys') else []
        if path.startswith('chat_template_kwargs.'):
          return f'{full}: all of them are one value, --config.chat_template_kwargs={part}={value or "true"}'
        return f'{full} is not a field of the config{nearest(part, known)}; known: {", ".join(known) or "none"}'
      at = at[part]
    if str(error).startswith((f'flag --config.{path}={value}:', f'flag --noconfig.{path}')):
      return f'{full}={value!r} must be {allowed(dict if hasattr(at, "keys") else type(at))}'
  return ''
