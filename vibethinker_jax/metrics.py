"""metrics.jsonl and TensorBoard scalars of a stage; both go on exactly where a restored checkpoint stands."""

import json
import pathlib
import time

import tensorboardX

from vibethinker_jax import hosts, timeline


class Writer:
  """Appends one line per step to `metrics.jsonl` and the same scalars to TensorBoard; on host 0, on others it does nothing.

  Args:
    directory: of the stage.
    step: the restored step; later lines of a run that was cut off are dropped, they will come again.
  """

  def __init__(self, directory: pathlib.Path, step: int = 0):
    self._on = hosts.first()
    if not self._on:
      return
    directory.mkdir(parents=True, exist_ok=True)
    self._path = directory / 'metrics.jsonl'
    if self._path.exists():
      kept = [line for line in self._path.read_text().splitlines() if line_step(line) <= step]
      self._path.write_text(''.join(line + '\n' for line in kept))
    self._file = self._path.open('a')
    self._board = tensorboardX.SummaryWriter(str(directory), purge_step=step + 1, flush_secs=10)

  def write(self, step: int, scalars: dict) -> None:
    """One line: step, unix time, scalars (floats; None and NaN stand as null), and where the time since the last one went
    (time/train and so on, in seconds)."""
    if not self._on:
      return
    seconds = timeline.record(self._path.parent, step)
    scalars = scalars | {f'time/{name}': value for name, value in seconds.items()} | {'goodput': timeline.goodput(seconds)}
    values = {name: _number(value) for name, value in scalars.items()}
    self._file.write(json.dumps({'step': step, 'time': round(time.time(), 3), **values}) + '\n')
    self._file.flush()
    for name, value in values.items():
      if value is not None:
        self._board.add_scalar(name, value, step)

  def close(self) -> None:
    if self._on:
      self._file.close()
      self._board.close()


def _number(value) -> float | None:
  value = float(value) if value is not None else float('nan')
  return value if value == value and abs(value) != float('inf') else None


def line_step(line: str) -> float:
  """The step of a JSON line; infinity for one that a killed process left half-written."""
  try:
    return json.loads(line)['step']
  except (ValueError, KeyError, TypeError):
    return float('inf')


def read(directory: pathlib.Path) -> list[dict]:
  """The lines of a stage's metrics.jsonl."""
  path = directory / 'metrics.jsonl'
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
