import pytest

from vibethinker_jax.aot.compilers import topology


@pytest.mark.parametrize('name, chips, devices', [('v5e:4x4', 16, 16), ('v5p:2x2x2', 8, 8), ('tpu7x:2x2x1', 4, 8)])
def test_sizes(name, chips, devices):
  assert topology.count(name) == chips and chips * topology.chip_of(name).devices == devices


@pytest.mark.parametrize(
  'name, match',
  [
    ('h100:8', "there is no chip 'h100'; choose from v4, v5e, v5p, v6e, tpu7x"),
    ('v5e', 'v5e have 2 dimensions, as in v5e:4x4'),
    ('v5e:4', '2 dimensions'),
    ('v5p:4x4', '3 dimensions, as in v5p:2x2x2'),
    ('v5e:4x', '2 dimensions'),
    ('v5e:0x4', '2 dim'),
    ('v5e:64x64', 'at most 256 chips'),
  ],
)
def test_unknown_ones_are_named_with_what_there_is(name, match):
  with pytest.raises(ValueError, match=match):
    topology.chip_of(name)


def test_without_the_compiler(monkeypatch):
  monkeypatch.setattr(topology.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ValueError, match=r"pip install -e '\.\[plan\]'"):
    topology.make_mesh('v5e:2x2', dict(data=1))


def test_the_compiler_refuses_odd_shapes():
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install -e .[plan]')
  with pytest.raises(ValueError, match='the compiler knows no such slice: .*3x3'):
    topology.make_mesh('v5e:3x3', dict(data=1, fsdp=-1, tensor=1, context=1))


def test_the_mesh_is_that_of_a_run():
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install -e .[plan]')
  mesh = topology.make_mesh('v4:2x2x1', dict(data=2, fsdp=-1, tensor=1, context=1))
  assert dict(mesh.shape) == {
    'data': 2,
    'fsdp': 2,
    'tensor': 1,
    'context': 1,
  }  # v4: one device per chip, as on a TPU VM
  assert {d.platform for d in mesh.devices.flat} == {'tpu'}


def test_an_axis_may_be_a_part_of_a_side_of_the_slice():
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install -e .[plan]')
  mesh = topology.make_mesh('v6e:4x4', dict(data=1, fsdp=-1, tensor=1, context=2))
  assert dict(mesh.shape) == {'data': 1, 'fsdp': 8, 'tensor': 1, 'context': 2}
  neighbours = [[d.coords for d in pair] for pair in mesh.devices.reshape(-1, 2)]
  assert all(sum(abs(a - b) for a, b in zip(*pair)) == 1 for pair in neighbours)
