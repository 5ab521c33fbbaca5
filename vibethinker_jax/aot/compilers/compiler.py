"""Compiles one program ahead of time and keeps what the compiler wrote: memory, or how much is missing, and the HLO
text."""

import gzip
import hashlib
import json
import pathlib
import re
import time
from typing import NamedTuple

import jax

from vibethinker_jax.aot.compilers import topology as topology_lib
from vibethinker_jax.runtime import disk

MISSING = (
  r'Used ([\d.]+)([KMGT]) of [\d.]+[KMGT] hbm',
  r'Total hbm usage >= ([\d.]+)([KMGT])',
  r'allocating ([\d.]+)([KMGT]) which exceeds available HBM',
)
UNITS = {'K': 2.0**10, 'M': 2.0**20, 'G': 2.0**30, 'T': 2.0**40}


class Compiled(NamedTuple):
  """What is known of a compiled program.

  Attributes:
    memory: bytes per device: arguments, outputs, shared (outputs in the place of donated arguments), temporaries, code;
      empty if the program does not fit.
    needed: bytes per device. error: of a program that does not compile, else ''. text: scheduled HLO.
    seconds: of compiling. cached: it was on disk.
  """

  memory: dict
  needed: float
  error: str
  text: str
  seconds: float
  cached: bool


def compile_program(lowered: jax.stages.Lowered, topology: str, cache: pathlib.Path | None) -> Compiled:
  """Compiles, or reads what was compiled before: the key is the program's text, the versions and the topology.

  Raises:
    jax.errors.JaxRuntimeError: the compiler fails for another reason than memory.
  """
  options = topology_lib.chip_of(topology).options
  name = key(lowered, topology) if cache else ''
  if found := stored(cache, name):
    return found
  started = time.perf_counter()
  try:
    compiled = lowered.compile(compiler_options=options or None)
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    result = Compiled({}, _needed(str(error)), _first_line(str(error)), '', time.perf_counter() - started, False)
  else:
    stats = compiled.memory_analysis()
    memory = {
      'arguments': stats.argument_size_in_bytes,
      'outputs': stats.output_size_in_bytes,
      'shared': stats.alias_size_in_bytes,
      'temporaries': stats.temp_size_in_bytes,
      'code': stats.generated_code_size_in_bytes,
    }
    needed = sum(memory.values()) - 2 * memory['shared']
    result = Compiled(memory, needed, '', compiled.as_text(), time.perf_counter() - started, False)
  if cache:
    _store(cache / name, result)
  return result


def stored(cache: pathlib.Path | None, key: str) -> Compiled | None:
  """What was compiled before."""
  path = cache / key if cache else None
  if not path or not path.with_suffix('.json').exists():
    return None
  values = json.loads(path.with_suffix('.json').read_text())
  text = '' if values['error'] else gzip.decompress(path.with_suffix('.hlo.gz').read_bytes()).decode()
  return Compiled(**values, text=text, cached=True)


def key(lowered: jax.stages.Lowered, topology: str) -> str:
  """Equal where the compiler is asked the same: the text of the program, the versions, the slice and the options."""
  return _key(lowered, topology, topology_lib.chip_of(topology).options)


def _key(lowered: jax.stages.Lowered, topology: str, options: dict) -> str:
  """The options that a function was jitted with are not in its text, and JAX has no public name for them."""
  parts = [lowered.as_text(), topology_lib.version(), topology, json.dumps(options)]
  if jitted_with := dict(lowered._lowering._compiler_options_kvs):
    parts.append(json.dumps(jitted_with))
  return hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:32]


def _store(path: pathlib.Path, result: Compiled) -> None:
  """The text first: a .json says that both are whole."""
  values = {name: value for name, value in result._asdict().items() if name not in ('text', 'cached')}
  for suffix, content in (('.hlo.gz', gzip.compress(result.text.encode(), 6)), ('.json', json.dumps(values).encode())):
    with disk.replacing(path.with_suffix(suffix), 'compiled programs') as temporary:
      temporary.write_bytes(content)


def _needed(message: str) -> float:
  """Bytes that a program which does not fit would take; 0 if the compiler does not say."""
  for pattern in MISSING:
    if found := re.search(pattern, message):
      return float(found.group(1)) * UNITS[found.group(2)]
  return 0.0


def _first_line(message: str) -> str:
  return message.strip().splitlines()[0][:300]
