"""Which files a stage reads: those of its config, where the name of a stage stands for the data that it wrote."""

from vibethinker_jax.data import rows, sources
from vibethinker_jax.programs.stage import Stage

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
      if not path.exists():
        raise ValueError(f'stage {stage.name!r} reads the data of {entry!r}, which has written none in {path} yet: run '
                         f'that stage first (--stages={entry})')
      entry = str(path)
    found.append(entry)
  return options._replace(files=','.join(found))
