"""From ml_collections configs to typed options: every field known, every field used, every type right."""

import json
import pathlib
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from vibethinker_jax import disk


class Sandbox(NamedTuple):
  """What programs find in the sandbox.

  Attributes:
    packages: names of installed packages that they may import besides the standard library. numpy and sortedcontainers are
      left out where they are not installed; any other must be.
  """
  packages: tuple = ('numpy', 'sortedcontainers')


class Recipe(NamedTuple):
  """The top level of a config; every other field is the sub-config of a stage of that name.

  Attributes:
    seed: of everything random.
    verifier: importable 'module:function' that judges a response, (response, row) -> verify.verdict.Verdict.
    sandbox: where programs run that the verifier judges, see Sandbox.
    mesh: sizes of data, fsdp, tensor and context; one of them -1.
    stages: names of the stages, in order.
    base: what init_from='base' and the model 'init' of an evaluate stage are: a Hugging Face directory, a GGUF file, one
      of our checkpoints, or 'scratch'.
    model: from scratch: the fields of model.config.ModelConfig (vocab_size may be 0: the tokenizer's). Of an imported
      base: rope_theta, rope_scaling or max_position_embeddings that replace its own, for a longer context.
    tokenizer: of models from scratch, see programs.stage; an imported base brings its own.
    domains: subdomains of the synthetic problems; templates: names of those to draw from, () is all.
    profile_steps: (first, last) step of each sft and rl stage to trace into its directory `profile`; () is none.
    compilation_cache: directory where compiled programs are kept; 'auto': the user's cache, with several hosts a directory
      of the workdir; '': none.
    hang_seconds: a process that finishes nothing for so long is ended; 0: it is only reported.
  """
  seed: int
  verifier: str
  mesh: dict
  stages: tuple
  sandbox: Sandbox = Sandbox()
  base: str = 'scratch'
  model: dict = {}
  tokenizer: dict = {}
  domains: tuple = ()
  templates: tuple = ()
  profile_steps: tuple = ()
  compilation_cache: str = 'auto'
  hang_seconds: float = 0.0


def plain(value: Any) -> Any:
  """ConfigDicts and lists as plain dicts and tuples."""
  if hasattr(value, 'items'):
    return {k: plain(v) for k, v in value.items()}
  return tuple(plain(v) for v in value) if isinstance(value, (list, tuple)) else value


def bind(options: type, values: dict, where: str) -> Any:
  """A NamedTuple of options from config values.

  Args:
    options: a NamedTuple class; its fields may be NamedTuples again, or dict[str, a NamedTuple].
    where: name of the sub-config, for messages.

  Raises:
    ValueError: unknown, missing or mistyped fields, all reported at once.
  """
  errors = []
  bound = _bind(options, plain(values), where, errors)
  if errors:
    raise ValueError('config:\n  ' + '\n  '.join(errors))
  return bound


def _bind(options, values, where, errors):
  if not isinstance(values, dict):
    errors.append(f'{where}={values!r} must be a sub-config with the fields {", ".join(options._fields)}')
    return None
  hints = get_type_hints(options)
  for name in values:
    if name not in hints:
      errors.append(f'{where}.{name} is not a field that anything reads; known: {", ".join(hints)}')
  result = {}
  for name, hint in hints.items():
    if name not in values:
      if name not in options._field_defaults:
        errors.append(f'{where}.{name} is missing')
      continue
    value = values[name]
    if hasattr(hint, '_fields'):
      result[name] = _bind(hint, value, f'{where}.{name}', errors)
      continue
    inner = get_args(hint)[-1] if get_origin(hint) is dict else None
    if hasattr(inner, '_fields') and isinstance(value, dict):
      result[name] = {key: _bind(inner, one, f'{where}.{name}.{key}', errors) for key, one in value.items()}
      continue
    accepted = get_origin(hint) or hint
    if accepted is float and type(value) is int:
      value = float(value)
    if not isinstance(value, accepted) or (accepted is int and isinstance(value, bool)):
      errors.append(f'{where}.{name}={value!r} must be of type {getattr(accepted, "__name__", accepted)}')
    result[name] = value
  missing = [n for n in hints if n not in result and n not in options._field_defaults]
  return None if missing else options(**result)


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
    raise ValueError(f'{what} was started with another config ({path}):\n  ' + '\n  '.join(changed) +
                     '\nGive another --workdir, restore the old values, or delete that stage to run it anew.')


def write_json(path: pathlib.Path, values: Any) -> None:
  """Writes a JSON file whole or not at all."""
  with disk.replacing(path, path.name) as temporary:
    temporary.write_text(json.dumps(values, indent=1))
