"""Checkpoints with Orbax: parameters, optimizer, step, data position, model config, tokenizer, and a digest per leaf.

Layout: `<stage>/checkpoints/<step>/{params,train,extra}`. `params` alone is enough to sample or merge; `train` is two
thirds of the bytes, and only the newest are of use to go on from. On a disk or in a bucket (runtime.storage).
"""

import asyncio
import base64
from collections.abc import Iterable
import functools
import logging
import pathlib
import shutil
import time

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from vibethinker_jax.runtime import disk, hosts, storage, timeline
from vibethinker_jax.sharding import path_name

LEFT = 30.0  # seconds for reads and writes under way, once another one has failed
METADATA, DATABASE = '_CHECKPOINT_METADATA', 'manifest.ocdbt'  # of a step on a disk, and of its arrays
COMMITTED = 'commit_success.txt'  # what Orbax writes last into a bucket, where no directory can be renamed at once
FORGOTTEN = 'train_removed'  # a file in a step: its `train` is not whole any more, or gone


@jax.jit
def _digests(tree):
  def digest(x):
    x = jnp.atleast_1d(x)
    bits = jax.lax.bitcast_convert_type(x, {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize])
    bits = bits.astype(jnp.uint32).reshape(-1)
    # Odd multipliers: any single changed value changes the sum modulo 2^32; exact on any number of devices.
    return jnp.sum(bits * (2 * jnp.arange(bits.size, dtype=jnp.uint32) + 1), dtype=jnp.uint32)

  return jax.tree.map(digest, tree)


def digests(tree) -> dict[str, int]:
  """An integer per leaf that any flipped bit changes, whatever the sharding."""
  return {path_name(path): int(d) for path, d in jax.tree_util.tree_leaves_with_path(_digests(tree))}


class _Loop(asyncio.SelectorEventLoop):
  """Where the first error of a read or write ends Orbax's event loop, TensorStore is still at the others, and would
  report their end to a loop that is closed: one traceback each, from threads that nobody can catch. This loop waits for
  them."""

  def close(self) -> None:
    if not self.is_closed() and not self.is_running() and (left := asyncio.all_tasks(self)):
      self.run_until_complete(asyncio.wait(left, timeout=LEFT))
      for task in left:
        task.cancelled() or not task.done() or task.exception()  # seen: asyncio logs those that nobody has looked at
    super().close()


class _Policy(asyncio.DefaultEventLoopPolicy):
  _loop_factory = _Loop


asyncio.set_event_loop_policy(_Policy())
# Of every save in a bucket, where there is nothing to merge (_handlers).
logging.getLogger('absl').addFilter(lambda record: 'Skipping merge of OCDBT' not in str(record.msg))


def _manager(directory, keep: int | None) -> ocp.CheckpointManager:
  if storage.remote(directory) and hosts.first():
    _adopt(directory)
  # A save that was cut off leaves a directory of its own, which would take room for ever.
  options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
  return ocp.CheckpointManager(_absolute(directory), options=options, item_handlers=_handlers(directory))


def _adopt(directory) -> None:
  """Marks steps that were written on a disk and copied into the bucket, or through a mount of it, as whole: Orbax would
  take them for cut off, and remove them."""
  for path in directory.iterdir() if directory.is_dir() else ():
    if path.name.isdigit() and not (path / COMMITTED).exists() and _of_disk(path):
      (path / COMMITTED).write_text('')


def _of_disk(step) -> bool:
  return (step / 'params' / DATABASE).exists() and (step / METADATA).exists()


def _handlers(directory) -> dict | None:
  """In a bucket an object per part of an array. The database (OCDBT) into which Orbax gathers small ones on a disk
  would be written there under compare-and-swap, and once more when all hosts are done."""
  if not storage.remote(directory):
    return None
  arrays = lambda: ocp.PyTreeCheckpointHandler(use_ocdbt=False)
  return {'params': arrays(), 'train': arrays(), 'extra': ocp.JsonCheckpointHandler()}


def _save(tree, directory):
  return ocp.args.PyTreeSave(tree) if storage.remote(directory) else ocp.args.StandardSave(tree)


def _restore(target, directory):
  if not storage.remote(directory):
    return ocp.args.StandardRestore(target)
  return ocp.args.PyTreeRestore(target, restore_args=ocp.checkpoint_utils.construct_restore_args(target))


def _absolute(path):
  """Orbax wants it; of a path in a bucket there is nothing to add."""
  return path if storage.remote(path) else path.absolute()


class Checkpoints:
  """The checkpoints of one stage; a context manager that leaves only when every save is on disk.

  Args:
    directory: `<stage>/checkpoints`.
    keep: how many of the newest to keep; None keeps all.
    trains: how many of the newest keep `train`, from which training goes on; None: all that are kept.
    model: what goes with every checkpoint: {'config': dict, 'tokenizer': {file name: bytes}}.
  """

  def __init__(self, directory: pathlib.Path, *, keep: int | None, model: dict, trains: int | None = None):
    self._directory = directory = storage.far(directory)
    self._keep, self._trains = keep, trains
    self._saving, self._size = None, 0  # the step of the newest save, and its bytes
    with storage.said('opening checkpoints', directory), disk.writing('checkpoints', directory):
      self._manager = _manager(directory, keep)
    self._model = {
      'config': model['config'],
      'tokenizer': {name: base64.b64encode(content).decode() for name, content in model['tokenizer'].items()},
    }

  def save(self, step: int, params, train: dict, position: dict) -> None:
    """Starts an asynchronous save; the arrays may be donated as soon as this returns.

    Args:
      params: parameter tree. train: further arrays (optimizer state, counters).
      position: JSON values: where data and random draws go on.
    """
    extra = {'position': position, 'model': self._model, 'digests': digests({'params': params, 'train': train})}
    with hosts.busy('saving a checkpoint'), timeline.phase('checkpoint'):
      self._written(self._manager.wait_until_finished)  # the save before, if that is still being written
      storage.put()  # what goes with it: metrics, examples and journals up to here; the next is for an owner alone
      self._written(self._forget)
      self._saving, self._size = step, sum(x.nbytes for x in jax.tree.leaves((params, train)))
      self._written(
        lambda: self._manager.save(
          step,
          args=ocp.args.Composite(
            params=_save(params, self._directory), train=_save(train, self._directory), extra=ocp.args.JsonSave(extra)
          ),
        )
      )

  def check(self) -> None:
    """Raises what the save in the background has raised so far; call it at every step, or hours are trained in vain."""
    self._written(self._manager.check_for_errors)

  def _written(self, write) -> None:
    """Calls what writes, or waits for it.

    Raises:
      disk.Unwritable: with the step.
    """
    what = f'the checkpoint of step {self._saving}'
    with storage.said(f'writing {what}', self._directory), disk.writing(what, self._directory, self._size):
      write()

  def _forget(self) -> None:
    """Removes `train` of all but the newest. It is marked at first: a step that a kill leaves half-removed is known by
    it."""
    if self._trains is None or not hosts.first():
      return
    for step in steps(self._directory)[: -self._trains]:
      directory = self._directory / str(step)
      if (directory / 'train').exists():
        (directory / FORGOTTEN).write_text('')
        _remove(directory / 'train')

  def _resumable(self) -> list[int]:
    """The steps from which training can go on, newest first."""
    return [
      step
      for step in sorted(self._manager.all_steps(), reverse=True)
      if not (self._directory / str(step) / FORGOTTEN).exists()
    ]

  def restore_newest(self, params, train: dict):
    """(step, params, train, position) of the newest checkpoint that is whole, or None.

    Args:
      params, train: trees of ShapeDtypeStructs with shardings.

    A damaged step (unreadable, or with a wrong digest) is set aside as `damaged-<step>` with a warning.

    Raises:
      ValueError: all that are left have no optimizer any more.
    """
    for step in hosts.agreed(self._resumable):
      found, reason = None, ''
      try:
        with hosts.busy('restoring a checkpoint'), timeline.phase('checkpoint'):
          found = self._manager.restore(
            step,
            args=ocp.args.Composite(
              params=_restore(params, self._directory),
              train=_restore(train, self._directory),
              extra=ocp.args.JsonRestore(),
            ),
          )
      # Orbax and TensorStore raise anything, a plain Exception too, for cut, lost or broken files.
      except Exception as error:  # pylint: disable=broad-except
        reason = f'{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ""}'
      reasons = [r for r in hosts.gather(reason) if r]  # a file may be broken that only one host reads
      if not reasons:
        wrong = _wrong(found['extra']['digests'], {'params': found['params'], 'train': found['train']})
        if not wrong:
          return step, found['params'], found['train'], found['extra']['position']
        reasons = [f'wrong digest of {", ".join(wrong[:3])}']
      if hosts.first():
        logging.getLogger('vibethinker_jax').warning(
          'checkpoint %s/%d is damaged (%s): trying the one before', self._directory, step, reasons[0]
        )
      hosts.agreed(functools.partial(self._set_aside, step))
      self._manager.close()
      self._manager = _manager(self._directory, self._keep)
    if left := hosts.agreed(lambda: sorted(self._manager.all_steps())):
      raise ValueError(
        f'{self._directory}: the checkpoints from which training could go on are damaged (set aside), and '
        f'those of step {", ".join(map(str, left))} have no optimizer any more. Remove that directory to train '
        'this stage anew'
      )
    return None

  def _set_aside(self, step: int) -> None:
    path, aside = self._directory / str(step), self._directory / f'damaged-{step}'
    _remove(aside)  # of an earlier time
    with storage.said('setting a checkpoint aside', path):  # one that only could not be reached stays
      path.rename(aside)

  def __enter__(self):
    return self

  def __exit__(self, kind, *_) -> None:
    if kind is not None and hosts.count() > 1 and not issubclass(kind, SystemExit):
      return  # a save needs all hosts, and the others may never come; the newest whole checkpoint counts
    with hosts.busy('saving a checkpoint'), timeline.phase('checkpoint'):
      known, failed = kind is not None and issubclass(kind, disk.Unwritable), None
      try:
        self._written(self._manager.close)  # raises what a save raised
        self._written(self._forget)
      except disk.Unwritable as error:
        failed = error
      if known or failed:
        self._remove_partial()
      if failed and not known:
        raise failed

  def _remove_partial(self) -> None:
    """Removes what a failed save has left, for the disk may be full. Threads of TensorStore may still be writing into
    it."""
    if storage.remote(self._directory):  # never full; Orbax takes no step there for whole that is not
      return
    for _ in range(50):
      partial = list(self._directory.glob(f'{self._saving}.orbax-checkpoint-tmp*'))
      for path in partial:
        shutil.rmtree(path, ignore_errors=True)
      if not any(path.exists() for path in partial):
        return
      time.sleep(0.1)


def _wrong(expected: dict, tree) -> list[str]:
  found = digests(tree)
  return sorted(name for name in set(expected) | set(found) if expected.get(name) != found.get(name))


def nbytes(tree) -> int:
  """Bytes of a tree of arrays or ShapeDtypeStructs, all devices together."""
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def most_bytes(params: int, train: int, there: int, more: int, keep: int | None, trains: int | None) -> int:
  """Bytes that checkpoints take at most while `more` of them are written beside those that are there: an old one, or
  its `train`, goes when the next one is whole."""
  held = lambda count, kept: count if kept is None else min(count, kept)
  size = lambda whole, new: params * (held(whole, keep) + new) + train * (held(held(whole, keep), trains) + new)
  return max(size(there + i, i < more) for i in range(more + 1))


def check_room(
  directory: pathlib.Path, params, train: dict, planned: Iterable[int], *, keep: int | None, trains: int | None = None
) -> None:
  """Looks whether the next two checkpoints of a stage fit on the disk; host 0 looks for all.

  Args:
    directory: `<stage>/checkpoints`. params, train: trees of arrays or ShapeDtypeStructs.
    planned: the steps of all checkpoints of the stage. keep, trains: see Checkpoints.

  Raises:
    ValueError: they do not, with the sizes.
  """
  if storage.remote(storage.far(directory)):  # never full
    return
  there = steps(directory)
  more = min(2, sum(step > max(there, default=0) for step in planned))
  size = nbytes(params), nbytes(train)
  need = most_bytes(*size, len(there), more, keep, trains) - most_bytes(*size, len(there), 0, keep, trains)
  disk_of = next(path for path in (directory, *directory.absolute().parents) if path.exists())
  free = shutil.disk_usage(disk_of).free
  if need > free:
    one = disk.readable(sum(size))
    what = f'the next two checkpoints of {one} each need' if more == 2 else f'the last checkpoint of {one} needs'
    raise ValueError(
      f'{directory}: {what} {disk.readable(need)} more, and {disk.readable(free)} are free. Free '
      f'{disk.readable(need - free)} there and start the same command again, or give another --workdir '
      '(gs://BUCKET/DIRECTORY is one)'
    )


def _remove(directory) -> None:
  if not storage.remote(directory):
    shutil.rmtree(directory, ignore_errors=True)
  elif directory.exists():
    directory.rmtree()


def steps(directory: pathlib.Path) -> list[int]:
  """Finished steps in a `checkpoints` directory, oldest first."""
  directory = storage.far(directory)
  far = storage.remote(directory)
  if not directory.is_dir():
    return []
  whole = lambda path: (path / (COMMITTED if far else METADATA)).exists() or far and _of_disk(path)
  return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit() and whole(p))


def find(path: pathlib.Path) -> pathlib.Path:
  """The directory of one step, from a stage directory, a `checkpoints` directory, or that directory itself.

  Raises:
    ValueError: there is no finished checkpoint.
  """
  path = storage.far(path)
  if (path / 'extra').is_dir():
    return path
  for directory in (path / 'checkpoints', path):
    found = steps(directory)
    if found:
      return directory / str(found[-1])
  raise ValueError(
    f'no finished checkpoint in {path}: give a stage directory (such as runs/tiny/merge), its '
    'checkpoints directory, or one step in it'
  )


def read_model(step_directory: pathlib.Path) -> dict:
  """{'config': dict, 'tokenizer': {file name: bytes}, 'digests': dict} of a checkpoint."""
  with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
    extra = reader.restore(_absolute(storage.far(step_directory) / 'extra'))
  files = {name: base64.b64decode(content) for name, content in extra['model']['tokenizer'].items()}
  return {'config': extra['model']['config'], 'tokenizer': files, 'digests': extra['digests']}


def read_params(step_directory: pathlib.Path, params, expected: dict):
  """The parameters of a checkpoint, straight onto the devices of `params` (ShapeDtypeStructs with shardings).

  Args:
    expected: the digests of the checkpoint, from read_model.

  Raises:
    ValueError: a wrong digest.
  """
  with ocp.StandardCheckpointer() as reader:
    found = reader.restore(_absolute(storage.far(step_directory) / 'params'), params)
  wrong = _wrong({k: v for k, v in expected.items() if k.startswith('params/')}, {'params': found})
  if wrong:
    raise ValueError(
      f'checkpoint {step_directory} is damaged: wrong digest of {", ".join(wrong[:3])}. '
      'Use another step, or run the stage again'
    )
  return found
