"""A plan: every program of every stage compiled, and what the stages would take."""

import concurrent.futures
import contextlib
import math
import sys
import tempfile

import jax
import tqdm

from vibethinker_jax.aot import jobs, worker
from vibethinker_jax.aot.compilers import topology as topology_lib
from vibethinker_jax.aot.estimates import budget, search as search_lib
from vibethinker_jax.aot.programs import shapes
from vibethinker_jax.programs import recipe as recipe_lib, space


def run(
  config: dict,
  topology: str,
  only: tuple[str, ...],
  cache: str,
  assumptions: budget.Assumptions,
  search: bool = False,
  every_length: bool = False,
) -> dict:
  """The plan as JSON-ready values.

  Args:
    only: stages; () is all. cache: directory of compiled programs, '' for none. search: also tries other settings.
    every_length: compile the programs of shorter rows, too; else their times follow from those of the longest.

  Raises:
    ValueError: a wrong config or topology, libtpu missing, or a stage that cannot run on this slice.
  """
  recipe, options = recipe_lib.bind(config, only)
  chip = topology_lib.chip_of(topology)
  stages = [name for name in recipe.stages if not only or name in only]
  model = shapes.base(recipe)
  devices = topology_lib.count(topology) * chip.devices
  with contextlib.ExitStack() as stack:
    count = jobs.processes()
    compiler = stack.enter_context(jobs.Compiler(count))
    cache = cache or stack.enter_context(tempfile.TemporaryDirectory())  # what is equal is compiled once in any case
    results = _compile_all(compiler, count, config, topology, stages, cache, every_length)
    trials = {stage: _search(compiler, config, topology, stage, cache, devices) for stage in stages} if search else {}
  return {
    'topology': topology,
    'chips': devices // chip.devices,
    'devices': devices,
    'versions': topology_lib.version(),
    'model': model.note,
    'disk': [x._asdict() for x in space.of_recipe(recipe, options, model.config, tuple(stages))],
    'programs': results,
    'fits': all(x['fits'] for x in results),
    'budget': budget.plan(recipe, options, stages, results, chip, devices, assumptions),
    'search': {name: [trial._asdict() for trial in found] for name, found in trials.items()},
  }


def _compile_all(
  compiler: jobs.Compiler, count: int, config: dict, topology: str, stages: list[str], cache: str, every_length: bool
) -> list[dict]:
  """worker.run of each program, in the order of the stages; of equal programs the first is compiled."""
  print(f'reading the programs of {len(stages)} stages', file=sys.stderr)
  with _progress(len(stages), 'stage') as bar:
    asked = {compiler.submit(worker.survey, config, topology, stage, cache): stage for stage in stages}
    surveys = _collect(compiler, asked, bar, lambda stage: stage)
  programs = {(stage, one['program']): one for stage in stages for one in surveys[stage]}
  follows = {name: one for name, one in programs.items() if one['longest'] and not every_length}
  first = {}
  for name, one in programs.items():
    if name not in follows:
      first.setdefault(one['key'], name)
  new = [programs[name] for name in first.values() if not programs[name]['cached']]
  print(announcement(len(programs), len(first), new, count, len(follows)), file=sys.stderr)
  # The longest first, so that the processes end together.
  order = sorted(first.values(), key=lambda name: (programs[name]['cached'], -programs[name]['seconds']))
  submit = lambda name: compiler.submit(worker.run, config, topology, *name, cache, programs[name]['key'])
  with _progress(len(programs) - len(follows), 'program') as bar:
    results = _collect(compiler, {submit(name): name for name in order}, bar, ' '.join)
    rest = {submit(name): name for name in programs if name not in results and name not in follows}
    results |= _collect(compiler, rest, bar, ' '.join)
  for (stage, program), one in follows.items():
    results[stage, program] = worker.shorter(results[stage, one['longest']], one, topology_lib.chip_of(topology))
  return [results[name] for name in programs]


def _progress(total: int, unit: str) -> tqdm.tqdm:
  return tqdm.tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True)


def announcement(programs: int, distinct: int, new: list[dict], count: int, follow: int = 0) -> str:
  """How many programs there are, how many of them must be compiled, and roughly how long that takes.

  Args:
    new: of worker.survey, those to compile. count: of processes. follow: programs that are not compiled.
  """
  told = f'{programs} programs, {distinct} of them distinct, {distinct - len(new)} compiled before'
  if follow:
    told = (
      f'{programs} programs, {follow} of them for shorter rows, whose times follow from those of the longest '
      f'(--every_length compiles them too); of the others {distinct} are distinct, {distinct - len(new)} compiled '
      'before'
    )
  if not new:
    return told
  seconds = max(sum(one['seconds'] for one in new) / min(count, len(new)), max(one['seconds'] for one in new))
  return f'{told}; {len(new)} to compile, {min(count, len(new))} at a time: {_rough(seconds)} on cores of a server'


def _rough(seconds: float) -> str:
  if seconds < 90:
    return f'about {math.ceil(seconds / 10) * 10} seconds'
  return f'about {math.ceil(seconds / 60)} minutes'


def _collect(compiler: jobs.Compiler, futures: dict, bar, tell) -> dict:
  """{name: result} of {future: name}, each as it is done; what the processes are at stands beside the bar."""
  results, waiting = {}, set(futures)
  while waiting:
    bar.set_postfix_str(', '.join(tell(futures[x]) for x in futures if x in waiting and x.running())[:100])
    done, waiting = concurrent.futures.wait(waiting, 10, concurrent.futures.FIRST_COMPLETED)
    for future in done:
      results[futures[future]] = _named(tell(futures[future]), compiler.result, future)
      bar.update()
  return results


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
