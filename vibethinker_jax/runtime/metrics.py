"""metrics.jsonl and TensorBoard scalars of a stage; both go on exactly where a restored checkpoint stands."""

import json
import pathlib
import socket
import struct
import time

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c

from vibethinker_jax.runtime import disk, hosts, timeline

BOARD = 'TensorBoard events'


class Writer:
  """Appends one line per step to `metrics.jsonl` and the same scalars to TensorBoard; on host 0, on others it does
  nothing.

  Args:
    directory: of the stage.
    step: the restored step; later lines of a run that was cut off are dropped, they will come again.
  """

  def __init__(self, directory: pathlib.Path, step: int = 0):
    self._on = hosts.first()
    if not self._on:
      return
    self._directory = directory
    self._file = disk.open_lines(directory / 'metrics.jsonl', 'the metrics', lambda line: line_step(line) <= step)
    # Not SummaryWriter: its thread dies with a full disk, and the queue to it then blocks the run for ever.
    self._board = disk.open_lines(
      directory / f'events.out.tfevents.{time.time_ns() // 10**6}.{socket.gethostname()}', BOARD
    )
    self._event(file_version='brain.Event:2')
    self._event(
      step=step + 1, session_log=SessionLog(status=SessionLog.START)
    )  # hides what an earlier start wrote after it

  def write(self, step: int, scalars: dict) -> None:
    """One line: step, unix time, scalars (floats; None and NaN stand as null), and where the time since the last one
    went (time/train and so on, in seconds)."""
    if not self._on:
      return
    seconds = timeline.record(self._directory, step)
    scalars = (
      scalars | {f'time/{name}': value for name, value in seconds.items()} | {'goodput': timeline.goodput(seconds)}
    )
    values = {name: _number(value) for name, value in scalars.items()}
    line = json.dumps({'step': step, 'time': round(time.time(), 3), **values}) + '\n'
    disk.append(self._file, line.encode(), 'the metrics')
    there = [Summary.Value(tag=name, simple_value=value) for name, value in values.items() if value is not None]
    self._event(step=step, summary=Summary(value=there))

  def _event(self, **fields) -> None:
    """One record of TensorBoard's file: length, its checksum, event, its checksum."""
    data = Event(wall_time=time.time(), **fields).SerializeToString()
    length = struct.pack('<Q', len(data))
    checksum = lambda content: struct.pack('<I', masked_crc32c(content))
    disk.append(self._board, length + checksum(length) + data + checksum(data), BOARD)

  def close(self) -> None:
    if self._on:
      self._file.close()
      self._board.close()


def _number(value) -> float | None:
  value = float(value) if value is not None else float('nan')
  return value if value == value and abs(value) != float('inf') else None


def line_step(line: str | bytes) -> float:
  """The step of a JSON line; infinity for one that a killed process left half-written."""
  try:
    return json.loads(line)['step']
  except (ValueError, KeyError, TypeError):
    return float('inf')


def read(directory: pathlib.Path) -> list[dict]:
  """The lines of a stage's metrics.jsonl."""
  path = directory / 'metrics.jsonl'
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
