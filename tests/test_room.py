"""What checkpoints take of a disk: the optimizer of the last two only, and a start that would not fit is refused."""

import collections
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax import checkpoint

MODEL = {'config': {}, 'tokenizer': {}}
Usage = collections.namedtuple('Usage', 'total used free')


@pytest.fixture(scope='module')
def small():
  """(params, train): 40 kB and 80 kB that do not compress."""
  normal = lambda seed, *shape: jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)
  return {'a': normal(0, 100, 100)}, {'step': jnp.int32(3), 'moments': normal(1, 200, 100)}


def targets(tree):
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def opened(directory, trains=2):
  return checkpoint.Checkpoints(directory, keep=None, trains=trains, model=MODEL)


def saved(directory, small, steps, trains=2):
  with opened(directory, trains) as checkpoints:
    for step in steps:
      checkpoints.save(step, jax.tree.map(lambda x, by=step: x * by, small[0]), small[1], {'cursor': step})
  return directory


def with_train(directory):
  return [step for step in checkpoint.steps(directory) if (directory / str(step) / 'train').exists()]


def restored(directory, small):
  with opened(directory) as checkpoints:
    return checkpoints.restore_newest(*targets(small))


def spoil(directory, step):
  for file in (directory / str(step) / 'train').rglob('d/*'):
    file.write_bytes(b'')


def size(directory):
  return sum(file.stat().st_size for file in directory.rglob('*') if file.is_file())


def test_parameters_of_all_and_the_optimizer_of_the_last_two(tmp_path, small):
  directory = saved(tmp_path / 'two', small, range(1, 6))
  assert checkpoint.steps(directory) == [1, 2, 3, 4, 5] and with_train(directory) == [4, 5]
  for step in (1, 3, 5):
    found = checkpoint.find(directory / str(step))
    params = checkpoint.read_params(found, targets(small[0]), checkpoint.read_model(found)['digests'])
    assert (params['a'] == small[0]['a'] * step).all()
  step, params, train, position = restored(directory, small)
  assert (step, position) == (5, {'cursor': 5}) and (train['moments'] == small[1]['moments']).all()
  everything = size(saved(tmp_path / 'all', small, range(1, 6), trains=None))
  assert everything - size(directory) == pytest.approx(3 * 80_000, rel=0.2)


def test_the_last_but_one_is_gone_on_from_and_no_older_one(tmp_path, small):
  directory = saved(tmp_path, small, range(1, 5))
  spoil(directory, 4)
  assert restored(directory, small)[0] == 3
  saved(directory, small, [4])
  assert with_train(directory) == [3, 4]
  spoil(directory, 3), spoil(directory, 4)
  with pytest.raises(ValueError, match='those of step 1, 2 have no optimizer any more. Remove that directory'):
    restored(directory, small)


@pytest.mark.parametrize('left', ['half of it', 'only the mark'])
def test_killed_while_an_optimizer_was_removed(tmp_path, small, monkeypatch, left):
  """The step is not taken for one to go on from, and the next save removes the rest."""

  def killed(path, **_):
    if left == 'half of it':
      spoil(path.parent.parent, path.parent.name)
    raise KeyboardInterrupt

  directory = saved(tmp_path, small, (1, 2))
  with monkeypatch.context() as patch:
    patch.setattr(checkpoint.shutil, 'rmtree', killed)
    with pytest.raises(KeyboardInterrupt):
      saved(directory, small, [3])
  assert with_train(directory) == [1, 2, 3]
  for step in (2, 3):
    shutil.rmtree(directory / str(step))
  with pytest.raises(ValueError, match='those of step 1 have no optimizer'):
    restored(directory, small)
  saved(directory, small, (4, 5))
  assert with_train(directory) == [4, 5]


@pytest.mark.parametrize(
  'there, more, keep, trains, expected',
  [
    (0, 0, None, 2, 0),
    (0, 1, None, 2, 3 + 7),
    (0, 15, None, 2, 15 * 3 + 3 * 7),  # the optimizer of the last but two goes when the last one is whole
    (14, 1, None, 2, 15 * 3 + 3 * 7),
    (15, 0, None, 2, 15 * 3 + 2 * 7),
    (0, 15, None, None, 15 * 10),
    (0, 5, 2, None, 3 * 10),
    (2, 0, 2, None, 2 * 10),
    (0, 2, 2, None, 2 * 10),
  ],
)
def test_most_bytes(there, more, keep, trains, expected):
  assert checkpoint.most_bytes(3, 7, there, more, keep, trains) == expected


def room(monkeypatch, directory, small, free, planned=range(1, 10), keep=None):
  monkeypatch.setattr(checkpoint.shutil, 'disk_usage', lambda path: Usage(10**9, 0, free) if path.exists() else 1 / 0)
  checkpoint.check_room(directory, *small, planned, keep=keep, trains=2)


@pytest.mark.parametrize('steps, need', [((), 2 * 120_004), ((1,), 2 * 120_004), ((1, 2, 3), 2 * 40_000 + 80_004)])
def test_a_start_that_would_not_fit(tmp_path, monkeypatch, small, steps, need):
  """With one there, its optimizer is kept; with three, that of the second one goes before the last is written."""
  directory = saved(tmp_path / 'checkpoints', small, steps) if steps else tmp_path / 'not' / 'yet'
  room(monkeypatch, directory, small, need)
  with pytest.raises(ValueError) as caught:
    room(monkeypatch, directory, small, need - 1)
  line = f'{directory}: the next two checkpoints of 120.0 kB each need {need / 1000:.1f} kB more, and '
  assert str(caught.value).startswith(line) and '\n' not in str(caught.value)
  assert 'Free 1 bytes there and start the same command again, or give another --workdir' in str(caught.value)


def test_the_last_checkpoint_alone_and_none(tmp_path, monkeypatch, small):
  directory = saved(tmp_path, small, (1, 2, 3))
  with pytest.raises(ValueError, match='the last checkpoint of 120.0 kB needs 120.0 kB more, and 0 bytes are free'):
    room(monkeypatch, directory, small, 0, planned=range(1, 5))
  room(monkeypatch, directory, small, 0, planned=range(1, 4))
