"""Hugging Face model directories, both ways: safetensors in one or several files, config.json, tokenizer files.

One table says which of our axes make up which axis of their tensor. Import goes a tensor at a time straight onto the
devices, each device reading its own part of the file, so the host never holds more than one tensor.
"""

from collections.abc import Callable
import contextlib
import functools
import json
import math
import pathlib
import re
import shutil
import sys
from typing import Any, NamedTuple

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P
import numpy as np
import safetensors
import safetensors.numpy
import tqdm

from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.model.formats import hf_config
from vibethinker_jax.runtime import disk, hosts

# ours: (theirs, our axes that make up each of their axes). Their matrices are [out, in], ours [in, out].
TOP = {
  'embedding': ('model.embed_tokens.weight', ((0,), (1,))),  # [V, D]
  'final_norm': ('model.norm.weight', ((0,),)),  # [D]
  'head': ('lm_head.weight', ((1,), (0,))),
}  # [D, V]
LAYER = {
  'attention_norm': ('input_layernorm.weight', ((0,),)),
  'mlp_norm': ('post_attention_layernorm.weight', ((0,),)),
  'q': ('self_attn.q_proj.weight', ((1, 2), (0,))),  # [D, H, h]
  'k': ('self_attn.k_proj.weight', ((1, 2), (0,))),
  'v': ('self_attn.v_proj.weight', ((1, 2), (0,))),
  'q_bias': ('self_attn.q_proj.bias', ((0, 1),)),  # [H, h]
  'k_bias': ('self_attn.k_proj.bias', ((0, 1),)),
  'v_bias': ('self_attn.v_proj.bias', ((0, 1),)),
  'q_norm': ('self_attn.q_norm.weight', ((0,),)),
  'k_norm': ('self_attn.k_norm.weight', ((0,),)),
  'o': ('self_attn.o_proj.weight', ((2,), (0, 1))),  # [H, h, D]
  'gate': ('mlp.gate_proj.weight', ((1,), (0,))),
  'up': ('mlp.up_proj.weight', ((1,), (0,))),
  'down': ('mlp.down_proj.weight', ((1,), (0,))),
}
DTYPES = {'bfloat16': jnp.bfloat16, 'float16': jnp.float16, 'float32': jnp.float32}


class Source(NamedTuple):
  """Tensors to import. shapes: by their names. read: (name, index of slices) -> numpy array, one part of a tensor."""

  shapes: dict
  read: Callable[[str, tuple], np.ndarray]


def is_model(path) -> bool:
  """Whether a directory holds a Hugging Face model: a config.json that names a model type."""
  file = pathlib.Path(path) / 'config.json'
  return file.is_file() and 'model_type' in json.loads(file.read_text())


def read_config(path) -> ModelConfig:
  """The ModelConfig of a Hugging Face directory.

  Raises:
    ValueError: no config.json, or an architecture that is not supported.
  """
  file = pathlib.Path(path) / 'config.json'
  if not file.is_file():
    raise ValueError(f'{path} is not a Hugging Face model: it has no config.json')
  return hf_config.read(json.loads(file.read_text()), str(file))


def load(path, *, mesh=None, dtype=jnp.float32, progress: bool = False) -> tuple[ModelConfig, dict]:
  """Imports a Hugging Face directory.

  Args:
    path: directory with config.json and model.safetensors (or its index and parts).
    mesh: where the parameters go, by the table of sharding.py; None is the default device.
    dtype: of the parameters; float32 masters for training.
    progress: show a bar.

  Returns:
    (ModelConfig, params).

  Raises:
    ValueError: files that are missing or not supported; missing, surplus and misshapen tensors, all at once.
  """
  config = read_config(path)
  return config, place(
    config, open_safetensors(pathlib.Path(path)), mesh=mesh, dtype=dtype, progress=progress, where=str(path)
  )


def open_safetensors(path: pathlib.Path) -> Source:
  """The tensors of model.safetensors, or of the parts that model.safetensors.index.json names."""
  index = path / 'model.safetensors.index.json'
  if index.is_file():
    names = sorted(set(json.loads(index.read_text())['weight_map'].values()))
  else:
    names = ['model.safetensors']
  lost = [name for name in names if not (path / name).is_file()]
  if lost:
    found = ', '.join(sorted(p.name for p in path.iterdir() if p.is_file())) if path.is_dir() else 'no such directory'
    raise ValueError(
      f'{path}: no {", ".join(lost)}; found: {found}. Only safetensors are read: '
      'a pytorch_model.bin must be converted with transformers first (save_pretrained)'
    )
  shapes, files = {}, {}
  for name in names:
    try:
      with safetensors.safe_open(path / name, framework='numpy') as file:
        for key in file.keys():
          part = file.get_slice(key)
          if part.get_dtype() not in ('BF16', 'F16', 'F32'):
            raise ValueError(f'{path / name}: tensor {key} is {part.get_dtype()}; BF16, F16 and F32 are supported')
          shapes[key], files[key] = tuple(part.get_shape()), path / name
    except safetensors.SafetensorError as error:
      raise ValueError(f'{path / name} is damaged or cut short: {error}') from error

  def read(name, part):
    # Opened for each tensor: the pages of a mapping that stays open would count as this process's memory.
    with safetensors.safe_open(files[name], framework='numpy') as file:
      return file.get_slice(name)[part]

  return Source(shapes, read)


def place(config: ModelConfig, source: Source, *, mesh, dtype, progress: bool, where: str) -> dict:
  """Parameters on the devices, from a source that uses Hugging Face's names and layouts."""
  shapes = transformer.shapes(config)
  check(config, source, shapes, where)
  if mesh is None:
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
  shardings = sharding.tree_shardings(mesh, shapes)
  bar = _bar(len(_expected(config, shapes)), 'import', progress)

  def read(name, groups, shape, placed):
    parts = {}  # devices that hold the same part share one reading

    def part(index):
      key = tuple((s.start, s.stop) for s in index)
      if key not in parts:
        parts[key] = _read(source, name, groups, shape, index)
      return parts[key]

    x = jax.make_array_from_callback(shape, placed, part)
    bar.update(1)
    return jax.block_until_ready(x)

  def stacked(ours, shape, placed):
    theirs, groups = LAYER[ours]
    one = NamedSharding(mesh, P(*placed.spec[1:]))
    total = jax.jit(lambda: jnp.zeros(shape, dtype), out_shardings=placed)()
    for i in range(config.num_hidden_layers):
      total = _put(total, read(f'model.layers.{i}.{theirs}', groups, shape[1:], one), i)
      jax.block_until_ready(total)
    return total

  cast = jax.jit(lambda x: x.astype(dtype), donate_argnums=0)
  params = {ours: cast(read(*TOP[ours], shapes[ours].shape, shardings[ours])) for ours in shapes if ours != 'layers'}
  params['layers'] = {ours: stacked(ours, x.shape, shardings['layers'][ours]) for ours, x in shapes['layers'].items()}
  bar.close()
  return params


@functools.partial(jax.jit, donate_argnums=0)
def _put(stack, x, i):
  return jax.lax.dynamic_update_index_in_dim(stack, x.astype(stack.dtype), i, 0)


@jax.jit
def _take(stack, i):
  return jax.lax.dynamic_index_in_dim(stack, i, 0, keepdims=False)


def _read(source, name, groups, shape, index):
  """Our part of a tensor: only the first axis of a group is ever split over devices."""
  rest = [math.prod(shape[a] for a in group[1:]) for group in groups]
  bounds = [index[group[0]].indices(shape[group[0]])[:2] for group in groups]
  block = source.read(name, tuple(slice(start * n, stop * n) for (start, stop), n in zip(bounds, rest)))
  sizes = [stop - start if a == group[0] else shape[a] for group, (start, stop) in zip(groups, bounds) for a in group]
  order = [a for group in groups for a in group]
  return block.reshape(sizes).transpose(np.argsort(order))


def _expected(config: ModelConfig, shapes: dict) -> dict:
  """{their name: (shape, our path, layer or None)}."""
  theirs = lambda shape, groups: tuple(math.prod(shape[a] for a in group) for group in groups)
  found = {TOP[ours][0]: (theirs(x.shape, TOP[ours][1]), ours, None) for ours, x in shapes.items() if ours != 'layers'}
  for i in range(config.num_hidden_layers):
    found |= {
      f'model.layers.{i}.{LAYER[ours][0]}': (theirs(x.shape[1:], LAYER[ours][1]), ours, i)
      for ours, x in shapes['layers'].items()
    }
  return found


def check(config: ModelConfig, source: Source, shapes: dict, where: str) -> None:
  """Raises ValueError with every missing, surplus and misshapen tensor."""
  expected = _expected(config, shapes)
  # Buffers of old exports; a head that is the embedding once more.
  ignored = {name for name in source.shapes if name.endswith('rotary_emb.inv_freq')}
  if config.tie_word_embeddings and source.shapes.get('lm_head.weight') == expected['model.embed_tokens.weight'][0]:
    ignored.add('lm_head.weight')
    rows = (slice(0, min(4096, config.vocab_size)),)
    if not np.array_equal(source.read('lm_head.weight', rows), source.read('model.embed_tokens.weight', rows)):
      raise ValueError(
        f'{where}: tie_word_embeddings is true, but lm_head.weight differs from the embedding: set it to '
        'false in config.json'
      )
  missing = set(expected) - set(source.shapes)
  surplus = set(source.shapes) - set(expected) - ignored
  misshapen = {
    name: f' {source.shapes[name]} instead of {shape}'
    for name, (shape, _, _) in expected.items()
    if name in source.shapes and source.shapes[name] != shape
  }
  if missing or surplus or misshapen:
    lines = [
      f'{len(names)} {title}:\n    ' + '\n    '.join(_layers_together(names))
      for title, names in (
        ('missing', dict.fromkeys(missing, '')),
        ('surplus', dict.fromkeys(surplus, '')),
        ('of another shape', misshapen),
      )
      if names
    ]
    raise ValueError(f'{where}: the tensors do not fit config.json\n  ' + '\n  '.join(lines))


def _layers_together(names: dict[str, str]) -> list[str]:
  """'model.layers.{0,1,2}.mlp.up_proj.weight' for the three: a name and what is wrong with it, once for all layers."""
  layers = {}
  for name, wrong in names.items():
    head, number, tail = re.fullmatch(r'(?:(model\.layers\.)(\d+))?(.*)', name).groups()
    layers.setdefault((head or '', tail + wrong), []).append(number)
  spell = lambda numbers: '{' + ','.join(sorted(numbers, key=int)) + '}' if len(numbers) > 1 else numbers[0] or ''
  return sorted(head + spell(numbers) + tail for (head, tail), numbers in layers.items())


def save(
  path,
  config: ModelConfig,
  params: dict,
  *,
  files: dict[str, bytes] | None = None,
  dtype: str = 'bfloat16',
  shard_bytes: int = 2 * 2**30,
  progress: bool = False,
) -> None:
  """Writes a Hugging Face directory that transformers and vLLM load, whole or not at all.

  Args:
    path: a directory that does not exist yet, or is empty.
    files: tokenizer files by name (`hub_files()` of a tokenizer), written as they are.
    dtype: of the tensors: bfloat16, float16 or float32 (export and import again are then bit-equal).
    shard_bytes: a file holds at most that many bytes; the host holds one file at a time.

  Raises:
    ValueError: unknown dtype, a directory with content, values that overflow float16.
  """
  if dtype not in DTYPES:
    raise ValueError(f'dtype={dtype!r}: choose from {", ".join(DTYPES)}')
  path = pathlib.Path(path)
  if hosts.first() and path.exists() and (not path.is_dir() or any(path.iterdir())):
    raise ValueError(f'{path} exists and is not an empty directory: choose another one, or delete it')
  expected = _expected(config, transformer.shapes(config))
  groups = _shards(
    {name: math.prod(shape) * jnp.dtype(DTYPES[dtype]).itemsize for name, (shape, _, _) in expected.items()},
    shard_bytes,
  )
  writes = hosts.first()
  partial = path.with_name(path.name + '.partial')
  if writes:
    shutil.rmtree(partial, ignore_errors=True)
    with disk.writing('the converted model', partial):
      partial.mkdir(parents=True)
  bar = _bar(len(expected), 'export', progress)
  weight_map = {}
  for number, names in enumerate(groups, 1):
    file = 'model.safetensors' if len(groups) == 1 else f'model-{number:05d}-of-{len(groups):05d}.safetensors'
    tensors = {}
    for name in names:
      tensors[name] = _theirs(params, expected[name], DTYPES[dtype])
      weight_map[name] = file
      if dtype == 'float16' and not np.isfinite(tensors[name]).all():
        raise ValueError(f'{name} does not fit float16: export as bfloat16 or float32')
      bar.update(1)
    if writes:
      with _written(partial, sum(x.nbytes for x in tensors.values())):
        safetensors.numpy.save_file(tensors, partial / file, metadata={'format': 'pt'})
        (partial / file).chmod(0o644)  # the library makes it readable for its owner alone
  bar.close()
  if writes:
    with _written(partial):
      _finish(path, partial, config, dtype, weight_map, files or {})


@contextlib.contextmanager
def _written(partial: pathlib.Path, size: int = 0):
  """What a full disk has left of a directory is removed."""
  try:
    with disk.writing('the converted model', partial.parent, size):
      yield
  except disk.Unwritable:
    shutil.rmtree(partial, ignore_errors=True)
    raise


def _finish(
  path: pathlib.Path,
  partial: pathlib.Path,
  config: ModelConfig,
  dtype: str,
  weight_map: dict[str, str],
  files: dict[str, bytes],
) -> None:
  """Writes what goes with the tensors, and gives the directory its name."""
  if len(set(weight_map.values())) > 1:
    size = sum((partial / file).stat().st_size for file in set(weight_map.values()))
    _json(partial / 'model.safetensors.index.json', {'metadata': {'total_size': size}, 'weight_map': weight_map})
  generation = json.loads(files.get('generation_config.json', b'{}'))
  special = {n: generation[n] for n in ('bos_token_id', 'eos_token_id', 'pad_token_id') if n in generation}
  _json(partial / 'config.json', hf_config.write(config, dtype, special))
  for name, content in files.items():
    (partial / name).write_bytes(content)
  if path.exists():
    path.rmdir()
  partial.rename(path)


def _shards(sizes: dict[str, int], limit: int) -> list[list[str]]:
  groups, total = [[]], 0
  for name, size in sizes.items():
    if groups[-1] and total + size > limit:
      groups.append([])
      total = 0
    groups[-1].append(name)
    total += size
  return groups


def _theirs(params, entry, dtype) -> np.ndarray:
  """A tensor in their layout, whole, on the host."""
  shape, ours, layer = entry
  x, groups = (params[ours], TOP[ours][1]) if layer is None else (_take(params['layers'][ours], layer), LAYER[ours][1])
  x = x.astype(dtype)
  x = np.asarray(x) if x.is_fully_addressable else multihost_utils.process_allgather(x, tiled=True)
  return np.ascontiguousarray(x.transpose([a for group in groups for a in group]).reshape(shape))


def _bar(total: int, description: str, shown: bool):
  return tqdm.tqdm(
    total=total,
    desc=description,
    unit='tensor',
    disable=not shown,
    leave=False,
    mininterval=0.2 if sys.stderr.isatty() else 20,
  )


def _json(file: pathlib.Path, values: Any) -> None:
  file.write_text(json.dumps(values, indent=2) + '\n')
