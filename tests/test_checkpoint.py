"""Checkpoints come back bit for bit on any mesh, and a damaged one is noticed and set aside."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax import checkpoint
from vibethinker_jax.train import optimizer, state as state_lib

MODEL = {'config': {'hidden_size': 16}, 'tokenizer': {'tokenizer.model': bytes(range(256)), 'b.json': b'{}'}}
ADAM = optimizer.adamw(1e-3)
LOW = optimizer.adamw(1e-3, moments_dtype='bfloat16')


def split(state):
  return state.params, {'step': state.step, 'opt_state': state.opt_state, 'skipped': state.skipped}


def opened(directory, keep=None):
  return checkpoint.Checkpoints(directory, keep=keep, model=MODEL)


def bits(tree):
  return [np.asarray(x).tobytes() for x in jax.tree.leaves(tree)]


@pytest.fixture(scope='module')
def small():
  """(params, train) without a model: small files."""
  rng = np.random.default_rng(0)
  normal = lambda dtype, *shape: jnp.asarray(rng.normal(size=shape), dtype)
  params = {'a': normal(jnp.float32, 64, 32), 'b': normal(jnp.bfloat16, 7)}
  return params, {'step': jnp.int32(3), 'moments': normal(jnp.float32, 64, 32)}


def at(tree, factor):
  return jax.tree.map(lambda x: x * factor, tree)


def targets(tree):
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


@pytest.fixture
def two(tmp_path, small):
  """A directory with the steps 1 and 2."""
  with opened(tmp_path / 'checkpoints') as checkpoints:
    for step in (1, 2):
      checkpoints.save(step, at(small[0], step), at(small[1], step), {'cursor': step})
  return tmp_path / 'checkpoints'


def restore(directory, small):
  with opened(directory) as checkpoints:
    return checkpoints.restore_newest(*targets(small))


@pytest.mark.parametrize('transform', [ADAM, LOW], ids=['float32', 'bfloat16'])
def test_round_trip_across_meshes(tmp_path, tiny, params, mesh_of, transform):
  """8-way fsdp -> one device -> tensor parallel: bit-equal parameters, moments, position."""
  meshes = [mesh_of(1, 8, 1, 1), mesh_of(1, 1, 1, 1), mesh_of(1, 2, 2, 1)]
  state = state_lib.init(tiny, transform, meshes[0], params=params)
  moments = jax.tree.map(lambda x: x + 3 if x.ndim else x, state.opt_state)
  assert {str(x.dtype) for x in jax.tree.leaves(moments) if x.ndim} == {'bfloat16' if transform is LOW else 'float32'}
  state = state._replace(step=jnp.int32(7), opt_state=moments)
  expected, position = bits(split(state)), {'cursor': 5, 'batches': {'nested': [1, 'two', None]}}
  for i, mesh in enumerate(meshes):
    with opened(tmp_path / str(i)) as checkpoints:
      assert checkpoints.restore_newest(*split(state_lib.abstract(tiny, transform, mesh))) is None
      checkpoints.save(7, *split(state), position)
    target = meshes[(i + 1) % 3]
    abstract = state_lib.abstract(tiny, transform, target)
    with opened(tmp_path / str(i)) as checkpoints:
      step, found, train, back = checkpoints.restore_newest(*split(abstract))
    assert (step, back) == (7, position) and bits((found, train)) == expected
    assert jax.tree.all(jax.tree.map(lambda x, a: x.sharding == a.sharding, (found, train), split(abstract)))
    state = state_lib.TrainState(params=found, **train)


def test_parameters_alone_and_the_model(two, small):
  directory = checkpoint.find(two)
  saved = checkpoint.read_model(directory)
  assert {k: saved[k] for k in MODEL} == MODEL
  found = checkpoint.read_params(directory, targets(small[0]), saved['digests'])
  assert bits(found) == bits(at(small[0], 2))
  wrong = saved['digests'] | {'params/b': saved['digests']['params/b'] ^ 1}
  with pytest.raises(ValueError, match='damaged.*params/b'):
    checkpoint.read_params(directory, targets(small[0]), wrong)


def test_newest_is_restored(two, small):
  step, params, train, position = restore(two, small)
  assert (step, position) == (2, {'cursor': 2})
  assert bits((params, train)) == bits((at(small[0], 2), at(small[1], 2)))


def test_arrays_may_be_donated_after_save(tmp_path, small):
  copy = jax.tree.map(jnp.copy, small)
  with opened(tmp_path) as checkpoints:
    checkpoints.save(1, *copy, {})
    jax.tree.map(lambda x: x.delete(), copy)
  assert bits(restore(tmp_path, small)[1:3]) == bits(small)


def is_set_aside(directory, small, caplog):
  with caplog.at_level(logging.WARNING):
    step, params, train, _ = restore(directory, small)
  assert step == 1 and bits((params, train)) == bits(at(small, 1))
  assert (directory / 'damaged-2').is_dir() and checkpoint.steps(directory) == [1]
  assert 'damaged' in caplog.text and '/2 ' in caplog.text
  with opened(directory) as checkpoints:  # and the run can go on and save that step again
    assert checkpoints.restore_newest(*targets(small))[0] == 1
    checkpoints.save(2, *at(small, 5), {})
  step, params, *_ = restore(directory, small)
  assert step == 2 and bits(params) == bits(at(small[0], 5))


def array_files(step_directory):
  """Files with array data, largest first."""
  files = [f for item in ('params', 'train') for f in (step_directory / item).rglob('d/*')]
  return sorted(files, key=lambda f: -f.stat().st_size)


@pytest.mark.parametrize('which, place', [(0, 0.5), (0, 0.9), (1, 0.2)])
def test_a_flipped_byte_is_noticed(two, small, caplog, which, place):
  file = array_files(two / '2')[which]
  content = bytearray(file.read_bytes())
  content[int(place * len(content))] ^= 0x10
  file.write_bytes(content)
  is_set_aside(two, small, caplog)


def test_a_wrong_value_is_noticed(two, small, caplog, monkeypatch):
  """Damage that the file format does not see: one bit of one number, by the digest alone."""
  real = checkpoint.ocp.CheckpointManager.restore

  def damaged(self, step, **options):
    found = real(self, step, **options)
    if step == 2 and 'params' in found:
      flipped = jax.lax.bitcast_convert_type(found['params']['a'], jnp.uint32).at[63, 31].add(1)
      found['params']['a'] = jax.lax.bitcast_convert_type(flipped, jnp.float32)
    return found

  monkeypatch.setattr(checkpoint.ocp.CheckpointManager, 'restore', damaged)
  with caplog.at_level(logging.WARNING):
    assert restore(two, small)[0] == 1
  assert 'params/a' in caplog.text


@pytest.mark.parametrize('size', [100, 0, None])
def test_a_cut_or_lost_file_is_noticed(two, small, caplog, size):
  """What a crash of the machine leaves."""
  file = array_files(two / '2')[0]
  content = file.read_bytes()
  file.unlink()
  if size is not None:
    file.write_bytes(content[:size])
  is_set_aside(two, small, caplog)


def test_broken_metadata_is_noticed(two, small, caplog):
  (file,) = (two / '2' / 'params' / 'array_metadatas').iterdir()
  file.write_bytes(file.read_bytes().replace(b'"array_metadata"', b'"array_motadata"'))
  is_set_aside(two, small, caplog)


@pytest.mark.parametrize('lost', ['params', 'train', 'extra'])
def test_a_missing_part_is_noticed(two, small, caplog, lost):
  for file in sorted((two / '2' / lost).rglob('*'), reverse=True):
    file.rmdir() if file.is_dir() else file.unlink()
  (two / '2' / lost).rmdir()
  is_set_aside(two, small, caplog)


def test_a_broken_json_is_noticed(two, small, caplog):
  for file in (two / '2' / 'extra').rglob('*'):
    if file.is_file():
      file.write_bytes(file.read_bytes()[:-40])
  is_set_aside(two, small, caplog)


def test_an_empty_step_directory(two, small):
  (two / '3').mkdir()
  assert restore(two, small)[0] == 2
  with opened(two) as checkpoints:
    checkpoints.restore_newest(*targets(small))
    checkpoints.save(3, *small, {})
  assert restore(two, small)[0] == 3


def test_all_damaged_starts_anew(two, small):
  for step in ('1', '2'):
    for file in array_files(two / step):
      file.write_bytes(b'')
  assert restore(two, small) is None
  assert sorted(p.name for p in two.iterdir()) == ['damaged-1', 'damaged-2']


def test_keep(tmp_path, small):
  with opened(tmp_path / 'two', keep=2) as checkpoints:
    for step in (1, 2, 3, 4):
      checkpoints.save(step, *small, {})
  assert checkpoint.steps(tmp_path / 'two') == [3, 4]
  assert checkpoint.steps(tmp_path / 'none') == []


def test_find(two, tmp_path):
  assert checkpoint.find(tmp_path) == checkpoint.find(two) == checkpoint.find(two / '2') == two / '2'
  assert checkpoint.find(two / '1') == two / '1'
  (two / '9').mkdir()  # not finished
  assert checkpoint.find(tmp_path) == two / '2'


def test_find_nothing(tmp_path):
  (tmp_path / 'empty' / 'checkpoints').mkdir(parents=True)
  for path in (tmp_path, tmp_path / 'missing', tmp_path / 'empty'):
    with pytest.raises(ValueError, match='no finished checkpoint'):
      checkpoint.find(path)


def test_digests_see_every_bit_and_no_sharding(mesh_of):
  x = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
  base = checkpoint.digests({'x': x})
  for bit in (0, 1, 15, 30, 31):
    changed = x.copy()
    changed.view(np.uint32)[3, 5] ^= np.uint32(1 << bit)
    assert checkpoint.digests({'x': changed}) != base
  swapped = x.copy()
  swapped[0], swapped[1] = x[1], x[0]
  assert checkpoint.digests({'x': swapped}) != base
  mesh = mesh_of(1, 8, 1, 1)
  spec = jax.sharding.PartitionSpec('fsdp')
  assert checkpoint.digests({'x': jax.device_put(x, jax.sharding.NamedSharding(mesh, spec))}) == base
  of = lambda *values: checkpoint.digests({'x': np.float32(values)})
  assert of(0.0) != of(-0.0) and base.keys() == {'x'}
