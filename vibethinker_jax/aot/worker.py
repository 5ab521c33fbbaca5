"""What a plan asks of one program, as plain values. It runs in a process of its own: a crash of the compiler costs that
process alone."""

import functools
import json
import pathlib

import jax

from vibethinker_jax.aot.compilers import compiler, topology as topology_lib
from vibethinker_jax.aot.estimates import estimate, hlo
from vibethinker_jax.aot.programs import stages, training
from vibethinker_jax.programs import recipe as recipe_lib

GIB = topology_lib.GIB


# Seconds on one core of compiling programs of the 1.5B, to say beforehand roughly how long a plan takes: 314 for the
# SFT step of 32K rows on v5e (one core of an AMD EPYC), the others guessed from parts of them.
SECONDS = {'trains': 300, 'decode': 60, 'other': 15}


def names(config: dict, topology: str, stage: str) -> list[str]:
  """Of the programs of a stage.

  Raises:
    ValueError: the stage cannot run on this slice.
  """
  mesh, programs = _open(json.dumps(config), topology, stage)
  return [program.name for program in programs]


def survey(config: dict, topology: str, stage: str, cache: str) -> list[dict]:
  """The programs of a stage, uncompiled: [{program, key: equal where programs are, cached, seconds: roughly, of
  compiling, and longest, share, rows, flops as of programs.Program}].

  Raises:
    ValueError: the stage cannot run on this slice.
  """
  mesh, programs = _open(json.dumps(config), topology, stage)
  found = []
  for program in programs:
    with jax.set_mesh(mesh):
      key = compiler.key(program.lower(), topology)
    kind = 'trains' if program.trains else 'decode' if program.cache_tokens else 'other'
    found.append(
      {
        'program': program.name,
        'key': key,
        'cached': compiler.stored(pathlib.Path(cache), key) is not None,
        'seconds': SECONDS[kind],
        'longest': program.longest,
        'share': program.share,
        'rows': program.rows,
        'flops': program.flops / mesh.size,
      }
    )
  return found


@functools.lru_cache(4)
def _open(config: str, topology: str, stage: str):
  """(mesh, programs) of a stage of a config as JSON; tracing their arguments takes seconds."""
  recipe, options = recipe_lib.bind(json.loads(config), (stage,))
  mesh = topology_lib.make_mesh(topology, recipe.mesh)
  with jax.set_mesh(mesh):
    return mesh, stages.programs(recipe, options[stage], mesh)


def run(config: dict, topology: str, stage: str, name: str, cache: str, key: str = '') -> dict:
  """Compiles a program of a stage and returns everything that a plan prints of it (see the keys below), JSON-ready.

  Args:
    key: of `survey`: what was compiled meanwhile under this key is read without a look at the program.
  """
  chip = topology_lib.chip_of(topology)
  mesh, programs = _open(json.dumps(config), topology, stage)
  program = next(p for p in programs if p.name == name)
  where = pathlib.Path(cache) if cache else None
  compiled = compiler.stored(where, key) if key else None
  if compiled is None:
    with jax.set_mesh(mesh):
      compiled = compiler.compile_program(program.lower(), topology, where)
  result = {
    'stage': stage,
    'program': name,
    'devices': mesh.size,
    'rows_per_device': program.rows,
    'tokens': program.tokens,
    'compile_seconds': round(compiled.seconds, 1),
    'cached': compiled.cached,
  }
  module = hlo.parse(compiled.text) if compiled.text else None
  memory = _memory(program, compiled, module)
  total = compiled.needed + sum(program.held.values())
  result |= {
    'fits': not compiled.error and total <= chip.memory,
    'error': compiled.error,
    'hbm': {'total': total, 'capacity': chip.memory, **memory},
  }
  if module is None:
    return result
  cost = estimate.cost(module, chip)
  bracket = [cost.seconds(x) for x in estimate.EFFICIENCIES]
  if program.cache_tokens:
    step = estimate.DecodeStep(
      cost.mxu + cost.other, program.arguments['rollout_weights'], program.arguments['kv_cache'] / program.cache_tokens
    )
    bracket = [step.seconds(program.cache_tokens, chip, x) for x in estimate.BANDWIDTHS]
    result |= {'decode_step': step._asdict(), 'cache_tokens': program.cache_tokens}
  return result | {
    'collectives': hlo.by_kind(hlo.collectives(module)),
    'estimate': _estimate(program, cost, bracket, mesh.size, chip),
  }


def shorter(longest: dict, one: dict, chip) -> dict:
  """The result of a program that does the same with as many tokens in shorter rows, without compiling it.

  The products take as long and the memory is no more; the attention kernel's work is as the length of the rows.
  An update of the 1.5B on v5e:4x4 with rows of 16 384: 3.87 to 4.55 s compiled, 3.89 to 4.57 s from that of 32 768.

  Args:
    longest: `run` of the program that it follows from. one: of `survey`. chip: topology.Chip.
  """
  found = longest | {
    'program': one['program'],
    'rows_per_device': one['rows'],
    'compile_seconds': 0.0,
    'follows_from': longest['program'],
  }
  if 'estimate' not in longest:
    return found
  values = longest['estimate']
  kernels = values['kernel_seconds_at_peak'] * one['share']
  cost = estimate.Cost(
    values['mxu_seconds'],
    values['other_seconds'],
    kernels,
    values['exposed_collective_seconds'],
    values['hidden_collective_seconds'],
    tuple(values['unknown_loops']),
  )
  seconds = [cost.seconds(x) for x in estimate.EFFICIENCIES]
  return found | {
    'estimate': values
    | {
      'seconds': seconds,
      'kernel_seconds_at_peak': kernels,
      'model_flops_per_device': one['flops'],
      'mfu': [one['flops'] / chip.flops / x for x in seconds],
    }
  }


def _memory(program: training.Program, compiled: compiler.Compiled, module) -> dict:
  """Bytes per device by class. Loops carry gradients and saved activations; what is left of the temporaries is work
  space."""
  parts = dict(program.arguments)
  for name, size in program.held.items():
    parts[f'held_{name}'] = size
  if module:
    temporaries = compiled.memory['temporaries']
    saved = min(temporaries, hlo.carried(module)) if program.trains else 0.0
    parts |= {
      'gradients_and_activations': saved,
      'temporaries': temporaries - saved,
      'code': compiled.memory['code'],
      'outputs': compiled.memory['outputs'] - compiled.memory['shared'],
    }
  return parts


def _estimate(program: training.Program, cost: estimate.Cost, bracket: list[float], devices: int, chip) -> dict:
  """Seconds and MFU with the attention kernel at the lower and the higher efficiency (a decode step: of the bandwidth,
  with a full cache)."""
  values = {
    'seconds': bracket,
    'mxu_seconds': cost.mxu,
    'other_seconds': cost.other,
    'kernel_seconds_at_peak': cost.kernels,
    'exposed_collective_seconds': cost.exposed,
    'hidden_collective_seconds': cost.hidden,
    'unknown_loops': list(cost.unknown_loops),
  }
  if program.flops:
    ideal = program.flops / devices / chip.flops
    values |= {'model_flops_per_device': program.flops / devices, 'mfu': [ideal / x for x in bracket]}
  return values
