"""Checkpoints straight in a bucket: the same bits, no step that is not whole, old optimizers gone."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax import checkpoint
from vibethinker_jax.runtime import storage

MODEL = {'config': {'hidden_size': 16}, 'tokenizer': {'tokenizer.model': bytes(range(256))}}


@pytest.fixture(scope='module')
def small(mesh_of):
  """(params, train) on two devices."""
  sharded = jax.sharding.NamedSharding(mesh_of(1, 2, 1, 1), jax.sharding.PartitionSpec('fsdp'))
  rng = np.random.default_rng(0)
  normal = lambda *shape: jax.device_put(jnp.asarray(rng.normal(size=shape), jnp.float32), sharded)
  params = {'a': normal(8, 4), 'b': {'c': normal(2).astype(jnp.bfloat16)}}
  whole = jax.sharding.NamedSharding(sharded.mesh, jax.sharding.PartitionSpec())
  return params, {'step': jax.device_put(jnp.int32(3), whole), 'moments': normal(8, 4)}


def targets(tree):
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def bits(tree):
  return [np.asarray(x).tobytes() for x in jax.tree.leaves(tree)]


def opened(where, trains=2):
  return checkpoint.Checkpoints(where, keep=None, trains=trains, model=MODEL)


def saved(where, small, steps):
  with opened(where) as checkpoints:
    for step in steps:
      checkpoints.save(step, jax.tree.map(lambda x, by=step: x * by, small[0]), small[1], {'cursor': step})


def restored(where, small):
  with opened(where) as checkpoints:
    return checkpoints.restore_newest(*targets(small))


def trains(bucket, where):
  return sorted({int(name.split('/')[2]) for name in bucket.names(where) if '/train/' in name})


def test_the_same_bits_and_old_optimizers_gone(bucket, small):
  where = f'{bucket.url}/sft/checkpoints'
  saved(where, small, (1, 2, 3))
  assert checkpoint.steps(where) == [1, 2, 3] and trains(bucket, 'sft/') == [2, 3]
  step, params, train, position = restored(where, small)
  assert (step, position) == (3, {'cursor': 3}) and bits(train) == bits(small[1])
  assert bits(params) == bits(jax.tree.map(lambda x: x * 3, small[0]))
  found = checkpoint.find(f'{bucket.url}/sft')
  assert str(found) == f'{where}/3' and checkpoint.read_model(found)['config'] == MODEL['config']
  first = checkpoint.find(f'{where}/1')  # without its optimizer
  params = checkpoint.read_params(first, targets(small[0]), checkpoint.read_model(first)['digests'])
  assert bits(params) == bits(small[0])


def test_a_run_of_a_disk_that_was_copied_goes_on(bucket, small, tmp_path):
  saved(tmp_path / 'checkpoints', small, (1, 2))
  for path in (path for path in tmp_path.rglob('*') if path.is_file()):
    bucket.write(f'sft/{path.relative_to(tmp_path)}', path.read_bytes())
  where = f'{bucket.url}/sft/checkpoints'
  found = checkpoint.find(f'{bucket.url}/sft')
  params = checkpoint.read_params(found, targets(small[0]), checkpoint.read_model(found)['digests'])
  assert checkpoint.steps(where) == [1, 2] and bits(params) == bits(jax.tree.map(lambda x: x * 2, small[0]))
  step, params, train, _ = restored(where, small)
  assert step == 2 and bits(train) == bits(small[1]) and bits(params) == bits(jax.tree.map(lambda x: x * 2, small[0]))
  saved(where, small, [3])
  assert checkpoint.steps(where) == [1, 2, 3] and trains(bucket, 'sft/') == [2, 3] and restored(where, small)[0] == 3


def test_a_damaged_step_and_one_that_was_cut_off(bucket, small, caplog):
  where = f'{bucket.url}/sft/checkpoints'
  saved(where, small, (1, 2, 3))
  bucket.delete('sft/checkpoints/3/commit_success.txt')  # killed while it was saved
  assert checkpoint.steps(where) == [1, 2]
  for name in bucket.names('sft/checkpoints/2/params/a'):
    bucket.delete(name)
  bucket.seen.clear()
  with opened(where) as checkpoints, caplog.at_level(logging.WARNING):
    with pytest.raises(ValueError, match=r'those of step 1 have no optimizer any more'):
      checkpoints.restore_newest(*targets(small))
  assert bucket.names('sft/checkpoints/damaged-2/') and checkpoint.steps(where) == [1]
  storage.files().rm(f'{where}', recursive=True)
  saved(where, small, (2, 3))
  assert restored(where, small)[0] == 3


def test_a_save_that_fails_is_one_line(bucket, buckets, small):
  where = f'{bucket.url}/sft/checkpoints'
  with pytest.raises(OSError, match=r'gs://.*checkpoint of step 1') as caught:
    with opened(where) as checkpoints:
      bucket.faults.append(buckets[0].refused(403))
      checkpoints.save(1, *small, {})
  bucket.faults.clear()
  assert '\n' not in str(caught.value) and checkpoint.steps(where) == []
