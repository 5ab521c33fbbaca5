"""A plan: every program of every stage compiled, and what the stages would take."""

import sys

import jax
import tqdm

from vibethinker_jax.aot import budget, jobs, search as search_lib, shapes, topology as topology_lib, worker
from vibethinker_jax.programs import recipe as recipe_lib


def run(config: dict, topology: str, only: tuple[str, ...], cache: str, assumptions: budget.Assumptions,
        search: bool = False) -> dict:
  """The plan as JSON-ready values.

  Args:
    only: stages; () is all. cache: directory of compiled programs, '' for none. search: also tries other settings.

  Raises:
    ValueError: a wrong config or topology, libtpu missing, or a stage that cannot run on this slice.
  """
  recipe, options = recipe_lib.bind(config, only)
  chip = topology_lib.chip_of(topology)
  stages = [name for name in recipe.stages if not only or name in only]
  model = shapes.base(recipe)
  devices = topology_lib.count(topology) * chip.devices
  results = []
  with jobs.Compiler() as compiler:
    names = {stage: _named(stage, compiler.call, worker.names, config, topology, stage) for stage in stages}
    todo = [(stage, name) for stage in stages for name in names[stage]]
    bar = tqdm.tqdm(total=len(todo), desc='compiling', unit='program', file=sys.stderr, dynamic_ncols=True)
    for stage, name in todo:
      bar.set_postfix_str(f'{stage} {name}')
      results.append(_named(f'{stage} {name}', compiler.call, worker.run, config, topology, stage, name, cache))
      bar.update()
    bar.close()
    trials = {stage: _search(compiler, config, topology, stage, cache, devices) for stage in stages} if search else {}
  return {
      'topology': topology, 'chips': devices // chip.devices, 'devices': devices, 'versions': topology_lib.version(),
      'model': model.note, 'programs': results, 'fits': all(x['fits'] for x in results),
      'budget': budget.plan(recipe, options, stages, results, chip, devices, assumptions),
      'search': {name: [trial._asdict() for trial in found] for name, found in trials.items()}}


def _search(compiler: jobs.Compiler, config: dict, topology: str, stage: str, cache: str, devices: int):
  """search_lib.stage with a line of progress for each program that it compiles."""
  def compile_one(config, program):
    print(f'searching: {stage} {program}', file=sys.stderr)
    return compiler.call(worker.run, config, topology, stage, program, cache)
  return search_lib.stage(config, stage, devices, compile_one)


def _named(what: str, call, *arguments):
  """An error says which stage and program it is about."""
  try:
    return call(*arguments)
  except (ValueError, ChildProcessError, jax.errors.JaxRuntimeError) as error:
    raise ValueError(f'{what}: {error}') from error
