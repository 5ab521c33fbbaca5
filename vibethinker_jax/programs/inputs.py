"""Which problems and files a stage reads: synthetic ones, or files, or the data that an earlier stage wrote.

And how a stage writes such data: whole or not at all, from chunks that survive a restart.
"""

from collections.abc import Iterable, Iterator
import hashlib
import json
import logging
import os
import pathlib
import random

from vibethinker_jax.data import sources, synthetic, turns
from vibethinker_jax.data.files import remote, rows
from vibethinker_jax.programs.stage import Stage
from vibethinker_jax.runtime import disk, hosts, storage

WRITTEN = 'data.jsonl'  # by stages that make data, in their directory


def resolve(stage: Stage, options: sources.DataOptions) -> sources.DataOptions:
  """The options with `workdir/<stage>/data.jsonl` for every entry of `files` that is a stage of the recipe.

  Raises:
    ValueError: that stage has written none yet.
  """
  found = []
  for entry in rows.entries(options.files):
    if entry in stage.recipe.stages:
      path = stage.workdir / entry / WRITTEN
      if not hosts.agreed(path.exists):
        raise ValueError(
          f'stage {stage.name!r} reads the data of {entry!r}, which has written none in {path} yet: run '
          f'that stage first (--stages={entry})'
        )
      entry = str(storage.here(path))
    found.append(entry)
  return options._replace(files=','.join(found))


def missing_files(recipe_stages: tuple, options) -> Iterator[str]:
  """Lines about files that a stage's options name and that do not exist; what is not of this machine is left alone."""
  if isinstance(options, sources.DataOptions):
    for entry in rows.entries(options.files):
      try:
        entry in recipe_stages or remote.is_remote(entry) or rows.paths(entry)
      except ValueError as error:
        yield str(error)
  elif isinstance(options, (tuple, dict)):
    for value in options.values() if isinstance(options, dict) else options:
      yield from missing_files(recipe_stages, value)


def lacking(options, domains: tuple | None = None) -> Iterator[str]:
  """What options without files lack for synthetic problems, a line each.

  Args:
    options: with data, levels and problems, and domains if those are not given.
  """
  if not options.data.files:
    domains = options.domains if domains is None else domains
    for name, value in (('domains', domains), ('levels', options.levels)):
      if not value:
        yield f'{name}=() must name at least one for the synthetic problems, or data.files be set'
    if options.problems < 1:
      yield f'problems={options.problems} must be at least 1 for synthetic problems, or data.files be set'


def rows_misfit(mesh, name: str, rows: int) -> Iterator[str]:
  """A line if `rows` rows, the field `name`, cannot be divided over the mesh."""
  shards = mesh.shape['data'] * mesh.shape['fsdp']
  if rows % shards:
    yield f'{name}={rows} must be a multiple of data x fsdp = {shards} of the mesh'


def positions_misfit(mesh, name: str, lengths: tuple[int, ...], attention: str = 'auto') -> Iterator[str]:
  """A line if rows of these lengths, the last being the field `name`, cannot be split over the mesh axis `context`."""
  context = mesh.shape['context']
  if any(length % context for length in lengths):
    yield (
      f'{name}={lengths[-1]} must be a multiple of context = {context} of the mesh'
      + (f', and so must the shorter rows {lengths[:-1]}' if lengths[1:] else '')
    )
  if context > 1 and attention in ('triton', 'cudnn'):
    yield f'attention={attention!r} cannot split rows over context = {context} of the mesh'


def problems(
  stage: Stage, options: sources.DataOptions, split: str, domains: tuple, levels: tuple, count: int
) -> list[dict]:
  """Problems to answer: of the files if there are any, else synthetic ones of the split, domains and levels.

  Args:
    split: 'probe', 'rl' or 'evaluate', for the synthetic problems alone; files are taken as they are.
    count: per domain. Of files at most so many, drawn by the seed (the log says so); 0 is all of them.

  Raises:
    ValueError: bad files, or too few different synthetic problems.
  """
  if not options.files:
    return [
      turns.asked(row, row, options)
      for domain in domains
      for row in synthetic.problems(domain, split, count, stage.recipe.seed, levels, stage.recipe.templates)
    ]
  found = sources.read_problems(resolve(stage, options))
  by_domain = {}
  for i, row in enumerate(found):
    by_domain.setdefault(row['domain'], []).append(i)
  draw = random.Random(f'{stage.recipe.seed}/{split}')
  kept = [
    i
    for members in by_domain.values()
    for i in (sorted(draw.sample(members, count)) if 0 < count < len(members) else members)
  ]
  if len(kept) < len(found):
    logging.getLogger('vibethinker_jax').info(
      'stage %s: %d of %d problems of %s (problems=%d per domain; 0 is all)',
      stage.name,
      len(kept),
      len(found),
      options.files,
      count,
    )
  return [found[i] for i in kept]


def problem_id(row: dict) -> str:
  """A name of a problem: of what is asked and how it is judged, not of its place in a file."""
  asked = {name: row[name] for name in ('prompt', 'answer', 'tests', 'prefix') if name != 'prefix' or row.get(name)}
  return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def whole_lines(path: pathlib.Path) -> Iterator[dict]:
  """The rows of a JSON lines file that a stage appends to; none where it does not exist."""
  if path.exists():
    with path.open() as file:
      yield from (json.loads(line) for line in file if line.endswith('\n'))


def reopen(path: pathlib.Path):
  """Opens such a file to append, without the half line that a killed process may have left; on host 0, others write to
  nowhere."""
  if not hosts.first():
    return open(os.devnull, 'wb')
  return disk.open_lines(path, path.name)


def append(file, row: dict) -> None:
  """Appends a row, whole or not at all; it is on its way to the disk when this returns."""
  disk.append(file, json.dumps(row).encode() + b'\n', os.path.basename(file.name))


def write_data(stage: Stage, kept: Iterable[dict]) -> None:
  """Writes the stage's WRITTEN, whole or not at all, on host 0. Its prompts are what was asked: a later stage asks the
  same (`worded`, see data.sources)."""
  hosts.agreed(lambda: _write_data(stage, kept), 'writing data')


def _write_data(stage: Stage, kept: Iterable[dict]) -> None:
  path = stage.directory / WRITTEN
  with disk.replacing(path, f'the data of stage {stage.name!r}') as temporary, temporary.open('w') as file:
    file.writelines(json.dumps(row | {'worded': True}) + '\n' for row in kept)
