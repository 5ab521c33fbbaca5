"""What a recipe takes of a disk: its checkpoints, stage by stage, from shapes alone."""

from typing import NamedTuple

import jax

from vibethinker_jax import checkpoint, config as config_lib
from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.programs import rl, sft
from vibethinker_jax.programs.stage import planned
from vibethinker_jax.train import state as state_lib

GB = 1e9


class Space(NamedTuple):
  """Of one stage.

  Attributes:
    stage: its name. checkpoints: how many are kept. optimizers: how many of them with their optimizer.
    parameters, optimizer: bytes of each in one checkpoint. kept: bytes of all when the stage is done. most: while the
      last is written, as an old one goes when the new one is whole.
  """

  stage: str
  checkpoints: int
  optimizers: int
  parameters: int
  optimizer: int
  kept: int
  most: int


def of_recipe(recipe: config_lib.Recipe, options: dict, config: ModelConfig, stages: tuple = ()) -> list[Space]:
  """The stages that write checkpoints; the others write text, megabytes.

  Args:
    options: of each stage, bound. config: of the recipe's model. stages: only these; () is all.
  """
  kinds = {'sft': (sft, None, sft.TRAINS), 'rl': (rl, rl.KEEP, None)}
  shapes, found = transformer.shapes(config), []
  parameters = checkpoint.nbytes(shapes)
  for name in (name for name in recipe.stages if not stages or name in stages):
    values = options[name]
    if values.program in kinds:
      program, keep, trains = kinds[values.program]
      optimizer, _ = program.make_optimizer(values)
      train = checkpoint.nbytes(
        state_lib.beside_params(jax.eval_shape(lambda p, o=optimizer: state_lib.create(p, o), shapes))
      )
      count = len(planned(values))
      size = lambda more, n=count, t=train, k=keep, s=trains: checkpoint.most_bytes(parameters, t, n - more, more, k, s)
      kept = count if keep is None else min(count, keep)
      found.append(Space(name, kept, min(kept, trains or kept), parameters, train, size(0), max(size(0), size(1))))
    elif values.program == 'merge':
      found.append(Space(name, 1, 0, parameters, 0, parameters, parameters))
  return found


def table(found: list[Space]) -> str:
  """In GB, with the sum of what is kept and the most that there is at any time."""
  gb = lambda size: '-' if not size else f'{size / GB:.3f}' if size < GB else f'{size / GB:.1f}'
  rows = [('checkpoints', 'kept', 'parameters, GB', 'with optimizer', 'optimizer, GB', 'all, GB', 'at most, GB')]
  before, most = 0, 0
  for x in found:
    sizes = gb(x.parameters), str(x.optimizers or '-'), gb(x.optimizer), gb(x.kept), gb(x.most)
    rows.append((x.stage, str(x.checkpoints), *sizes))
    before, most = before + x.kept, max(most, before + x.most)
  rows.append(('disk of all stages', '', '', '', '', gb(before), gb(most)))
  widths = [max(map(len, column)) for column in zip(*rows)]
  cells = lambda row: (cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))
  return '\n'.join('  '.join(cells(row)).rstrip() for row in rows)
