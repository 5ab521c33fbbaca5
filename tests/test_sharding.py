"""The table of sharding rules and the mesh."""

import re

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
import numpy as np
import pytest

from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.train import optimizer, state

ONES = dict.fromkeys(sharding.AXES, 1)


@pytest.fixture(scope='module')
def untied(tiny):
  return ModelConfig(**{**tiny.__dict__, 'tie_word_embeddings': False})


def names(tree):
  return {sharding.path_name(path): x for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def test_exactly_one_rule_for_each_array_of_a_train_state(untied):
  shapes = jax.eval_shape(lambda p: state.create(p, optimizer.adamw(1e-3)), transformer.shapes(untied))
  arrays = {name: x for name, x in names(shapes).items() if x.shape}
  params = len(jax.tree.leaves(shapes.params))
  assert len(arrays) == 3 * params == 45  # parameters, first and second moments
  for name, x in arrays.items():
    rules = [pattern for pattern, _ in sharding.RULES if re.search(pattern, name)]
    assert len(rules) == 1, (name, rules)
    assert len(sharding.spec_for(name, x.shape, ONES)) <= len(x.shape)
  used = {pattern for pattern, _ in sharding.RULES for name in arrays if re.search(pattern, name)}
  assert used == {pattern for pattern, _ in sharding.RULES}  # no dead rule


def test_moments_are_sharded_like_their_parameters(untied, mesh_of):
  abstract = state.abstract(untied, optimizer.adamw(1e-3), mesh_of(1, 4, 2, 1))
  specs = {name: x.sharding.spec for name, x in names(abstract).items() if x.shape}
  for name, spec in specs.items():
    parameter = re.sub(r'^opt_state/.*/[mn]u/', 'params/', name)
    assert parameter.startswith('params/') and spec == specs[parameter]
  assert specs['params/layers/q'] == P(None, 'fsdp', 'tensor', None)
  assert specs['params/embedding'] == P('tensor', 'fsdp')


@pytest.mark.parametrize(
  'name', ['params/layers/router', 'bias', 'params/layers/qk', 'lm_head', 'params/layers/q/lora']
)
def test_unknown_path_fails(name):
  with pytest.raises(ValueError, match='matches 0 sharding rules'):
    sharding.spec_for(name, (4, 4), ONES)


def test_two_rules_fail(monkeypatch):
  monkeypatch.setattr(sharding, 'RULES', sharding.RULES + ((r'layers/q$', P()),))
  with pytest.raises(ValueError, match='matches 2'):
    sharding.spec_for('params/layers/q', (2, 16, 4, 8), ONES)


def test_scalars_are_replicated():
  assert sharding.spec_for('anything/at/all', (), ONES) == P()


def test_an_axis_that_does_not_divide_is_dropped():
  sizes = ONES | {'fsdp': 4, 'tensor': 4}
  assert sharding.spec_for('layers/k', (2, 16, 2, 8), sizes) == P(None, 'fsdp', None, None)
  assert sharding.spec_for('layers/k', (2, 18, 4, 8), sizes) == P(None, None, 'tensor', None)


def test_make_mesh_fills():
  mesh = sharding.make_mesh(data=2, tensor=2)
  assert dict(mesh.shape) == {'data': 2, 'fsdp': 2, 'tensor': 2, 'context': 1}
  assert mesh.axis_names == sharding.AXES and mesh.size == 8
  assert sharding.make_mesh(fsdp=1, context=-1).shape['context'] == 8
  assert sharding.make_mesh(devices=jax.devices()[:1]).size == 1


@pytest.mark.parametrize(
  'sizes',
  [
    dict(fsdp=3),
    dict(data=-1),
    dict(data=16),
    dict(data=3, fsdp=-1),
    dict(data=0, fsdp=-1),
    dict(fsdp=-2),
    dict(data=2, fsdp=2),
  ],
  ids=str,
)
def test_make_mesh_errors(sizes):
  with pytest.raises(ValueError, match='8 devices'):
    sharding.make_mesh(**sizes)


def test_params_lie_as_the_table_says(tiny, params, mesh_of):
  mesh = mesh_of(1, 4, 2, 1)
  placed = jax.device_put(params, sharding.tree_shardings(mesh, params))
  local = lambda x: x.addressable_shards[0].data.shape
  assert local(placed['layers']['gate']) == (2, 4, 12) and local(placed['embedding']) == (24, 4)
  assert local(placed['final_norm']) == (16,)
  assert jax.tree.all(jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), placed, params))


def test_gathered_leaves_only_the_tensor_axis(mesh_of):
  x = jnp.zeros((16, 4, 8))
  gathered = jax.jit(lambda x: sharding.gathered('layers/q', x))
  assert sharding.gathered('layers/q', x) is x  # no mesh, no constraint
  mesh = mesh_of(1, 4, 2, 1)
  with jax.set_mesh(mesh):
    x = jax.device_put(x, jax.sharding.NamedSharding(mesh, P('fsdp', 'tensor', None)))
    found = gathered(x)
    assert found.sharding.is_equivalent_to(jax.sharding.NamedSharding(mesh, P(None, 'tensor', None)), 3)


@pytest.mark.parametrize('sizes', [(1, 8, 1, 1), (2, 2, 1, 2), (8, 1, 1, 1), (2, 2, 2, 1)], ids=str)
def test_copies_of_a_table_have_one_sum_of_all_gradients(mesh_of, sizes):
  """Two uses, one collective for their gradients; split over `tensor` it is the table as it is."""
  rng = np.random.default_rng(0)
  table, tokens = rng.normal(size=(24, 16)).astype(np.float32), rng.integers(0, 24, (8, 6))
  weights = rng.normal(size=(8, 6, 16)).astype(np.float32)

  def loss(table, tokens, weights):
    table = sharding.copies(table)
    x, y = sharding.lookup(table, tokens), sharding.lookup(table, tokens[:, ::-1])
    return jnp.sum(jnp.tanh(x) * weights) + jnp.sum(y**3)

  expected = jax.grad(loss)(table, tokens, weights)
  mesh = mesh_of(*sizes)
  rows = jax.sharding.NamedSharding(mesh, P(sharding.BATCH, 'context'))
  with jax.set_mesh(mesh):
    assert sharding.copies(table).shape == ((24, 16) if sizes[2] > 1 else (8, 24, 16))
    split = sharding.tree_shardings(mesh, {'embedding': table})['embedding']
    placed = [jax.device_put(x, where) for x, where in zip((table, tokens, weights), (split, rows, rows))]
    compiled = jax.jit(jax.grad(loss), out_shardings=split).lower(*placed).compile()
    np.testing.assert_allclose(compiled(*placed), expected, atol=1e-5)
  if sizes[2] == 1:  # one over fsdp, one over data and context
    found = re.findall(r' (all-reduce|reduce-scatter)(?:-start)?\(', compiled.as_text())
    assert sorted(found) == ['all-reduce', 'reduce-scatter']


def test_batches_are_split_over_rows_and_positions(mesh_of):
  mesh = mesh_of(2, 2, 1, 2)
  assert sharding.batch_sharding(mesh).shard_shape((8, 6)) == (2, 3)
  assert sharding.batch_sharding(mesh, 3).shard_shape((8, 6, 5)) == (2, 3, 5)
  assert sharding.batch_sharding(mesh, 1).shard_shape((8,)) == (2,)


def test_rows_of_a_batch_are_placed_from_what_a_host_has(mesh_of):
  """One process has them all; what several have is in tests/launch."""
  mesh = mesh_of(2, 2, 1, 2)
  split = sharding.batch_sharding(mesh)
  assert sharding.rows_here(split, 8) == list(range(8))
  x = np.arange(48).reshape(8, 6)
  found = sharding.place_rows(x[::-1], list(range(8))[::-1], split, 8)
  assert found.sharding == split and (np.asarray(found) == x).all()
  assert (np.asarray(sharding.place(x, split)) == x).all() and sharding.place(x, split).sharding == split
