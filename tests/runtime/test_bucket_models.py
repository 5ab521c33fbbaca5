"""Models of others in a bucket: what is brought, once, and again only when it has changed."""

import pathlib

import jax
import pytest

from vibethinker_jax.data.tokens import tokenizer as tokenizer_lib
from vibethinker_jax.model import config as model_config, transformer
from vibethinker_jax.model.formats import hf
from vibethinker_jax.programs import stage
from vibethinker_jax.runtime import bucket_models, disk, hub, storage

FILES = {
  'config.json': b'{"model_type": "qwen2"}',
  'tokenizer.json': b'{}',
  'model.safetensors': b'weights' * 100,
  'pytorch_model.bin': b'x' * 1000,
}


@pytest.fixture
def url(bucket, tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  bucket_models.brought.cache_clear()
  for name, content in FILES.items():
    bucket.write(f'models/mine/{name}', content)
  return f'{bucket.url}/models/mine'


def found(url, weights=True):
  """What a fresh process finds: {name: contents}."""
  bucket_models.brought.cache_clear()
  folder = hub.local(url, weights)
  return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def downloads(bucket):
  return sum('alt=media' in path for _, path, _ in bucket.seen)


def test_what_is_read_comes_once_and_a_new_version_again(bucket, url):
  needed = {name: FILES[name] for name in FILES if name != 'pytorch_model.bin'}
  assert found(url, weights=False) == {name: needed[name] for name in ('config.json', 'tokenizer.json')}
  assert found(url) == needed and downloads(bucket) == 3
  assert found(url) == needed and downloads(bucket) == 3
  bucket.write('models/mine/model.safetensors', b'others!' * 100)
  assert found(url)['model.safetensors'] == b'others!' * 100


def test_one_of_ours_and_none_at_all_stay_where_they_are(bucket, url):
  bucket.write('run/sft/config.json', b'{"program": "sft"}')
  bucket.write('run/sft/checkpoints/2/extra/x', b'')
  for name in ('run/sft', 'nothing/here', 'models/mine/other.gguf'):
    assert hub.local(f'{bucket.url}/{name}') == storage.path(f'{bucket.url}/{name}')


def test_a_gguf_file(bucket, url):
  bucket.write('models/mine/m.gguf', b'GGUF')
  path = hub.local(f'{url}/m.gguf')
  assert path.name == 'm.gguf' and path.read_bytes() == b'GGUF' and downloads(bucket) == 1


def test_a_tokenizer_alone(bucket, url):
  trained = tokenizer_lib.train([f'What is {i} + {i}? It is {2 * i}. user assistant' for i in range(300)], 300)
  bucket.write('models/tokenizer.model', trained.model)
  assert tokenizer_lib.load(hub.local(f'{bucket.url}/models/tokenizer.model', weights=False)).model == trained.model
  with pytest.raises(ValueError, match=f'no tokenizer in {bucket.url}/none'):
    tokenizer_lib.load(hub.local(f'{bucket.url}/none', weights=False))


def test_a_full_disk_and_a_bucket_that_refuses(bucket, buckets, url, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(bucket_models.shutil, 'disk_usage', lambda _: type('', (), {'free': 10}))
    with pytest.raises(disk.Unwritable, match='no space left .*the model gs://'):
      found(url)
  bucket.faults.append(buckets[0].refused(403))
  with pytest.raises(OSError, match=f'{url}: reading failed: '):
    found(url)


def test_a_hugging_face_directory_is_loaded(bucket, url, tmp_path, mesh1):
  fields = dict(
    vocab_size=320, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
    intermediate_size=24, max_position_embeddings=512)  # fmt: skip
  config = model_config.from_dict(fields)
  params = transformer.init(config, jax.random.key(3))
  trained = tokenizer_lib.train([f'What is {i} + {i}? It is {2 * i}. user assistant' for i in range(300)], 300)
  hf.save(tmp_path / 'model', config, params, files=trained.hub_files(), dtype='float32')
  for path in (tmp_path / 'model').iterdir():
    bucket.write(f'other/{path.name}', path.read_bytes())
  model = stage.load(storage.path(f'{bucket.url}/other'), mesh1)
  assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), model.params, params))
  assert stage.fingerprint(storage.path(f'{bucket.url}/other')) == stage.fingerprint(tmp_path / 'model')
