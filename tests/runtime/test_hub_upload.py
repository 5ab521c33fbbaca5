"""What `convert --push` does on the Hub: huggingface_hub's own client against a real HTTP server."""

import hub_server
from huggingface_hub import constants
import pytest

from vibethinker_jax.runtime import hub, hub_upload


@pytest.fixture
def server(monkeypatch, tmp_path_factory):
  made = hub_server.Hub(tmp_path_factory.mktemp('caches'))
  monkeypatch.setattr(constants, 'ENDPOINT', made.url)
  monkeypatch.setattr(hub, 'PAUSES', (0, 0))
  monkeypatch.setenv('HF_TOKEN', 'writer')
  monkeypatch.setattr(constants, 'HF_HUB_DISABLE_XET', True)  # its protocol is not served here
  yield made
  made.close()


@pytest.fixture
def model(tmp_path):
  files = {'config.json': b'{}', 'README.md': b'# mine\n', 'model.safetensors': bytes(range(256)) * 1000}
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)
  return tmp_path, files


def test_a_new_one_is_private(server, model):
  directory, files = model
  hub_upload.check('me/mine', False)
  page = hub_upload.push(directory, 'me/mine', False)
  repo = server.repos['models/me/mine']
  assert repo.private and page.startswith(f'{server.url}/me/mine/commit/')
  there = repo.commits[repo.branches['main']]
  assert {name: there[name] for name in files} == files  # the weights by way of the content store


def test_public_if_asked(server, model):
  hub_upload.check('me/mine', True)
  hub_upload.push(model[0], 'me/mine', True)
  assert not server.repos['models/me/mine'].private


def test_the_weights_of_an_earlier_model_go(server, model):
  """Half of two models would load as none."""
  old = {f'model-0000{i}-of-00002.safetensors': b'old' for i in (1, 2)} | {'model.safetensors.index.json': b'{}'}
  repo = server.model('me/mine', old | {'notes.txt': b'kept'}, token='writer', private=True)
  hub_upload.check('me/mine', False)
  hub_upload.push(model[0], 'me/mine', False)
  assert set(repo.commits[repo.branches['main']]) == {'notes.txt', *model[1]}


@pytest.mark.parametrize('public', [False, True])
def test_what_is_there_is_as_visible_as_it_was(server, public):
  """Nobody's private weights appear in public because a repository of that name was."""
  server.model('me/mine', {'x': b''}, token='writer', private=not public)
  with pytest.raises(ValueError, match='give --public' if public else 'leave --public out'):
    hub_upload.check('me/mine', not public)


@pytest.mark.parametrize(
  'token, name, message',
  [
    ('stranger', 'me/mine', 'the token is not valid: "hf auth login" or HF_TOKEN='),
    ('', 'me/mine', 'nobody is logged in here'),
    ('writer', 'mine', 'it is OWNER/NAME'),
  ],
)
def test_what_is_refused_before_anything_is_computed(server, monkeypatch, tmp_path, token, name, message):
  monkeypatch.setenv('HF_TOKEN', token)
  monkeypatch.setattr(constants, 'HF_TOKEN_PATH', str(tmp_path / 'none'))
  with pytest.raises(ValueError, match=message) as error:
    hub_upload.check(name, False)
  assert '\n' not in str(error.value) and not server.created


def test_a_token_that_may_only_read(server, monkeypatch, model):
  server.model('some/other', {'x': b''}, token='reader')
  monkeypatch.setenv('HF_TOKEN', 'reader')
  hub_upload.check('me/mine', False)
  with pytest.raises(ValueError, match='answers 403: this token may not write there'):
    hub_upload.push(model[0], 'me/mine', False)


def test_a_busy_hub_is_asked_again(server, model):
  server.busy = 1
  hub_upload.check('me/mine', False)
  server.busy = 1
  hub_upload.push(model[0], 'me/mine', False)
  assert 'config.json' in server.repos['models/me/mine'].commits[server.repos['models/me/mine'].branches['main']]


def test_no_network(server, monkeypatch):
  monkeypatch.setattr(constants, 'ENDPOINT', 'http://127.0.0.1:9')
  with pytest.raises(ValueError, match='127.0.0.1:9 cannot be reached') as error:
    hub_upload.check('me/mine', False)
  assert '\n' not in str(error.value)


def test_a_model_that_did_not_arrive_is_not_lost(server, monkeypatch, model):
  monkeypatch.setattr(constants, 'ENDPOINT', 'http://127.0.0.1:9')
  for kept in (True, False):
    with pytest.raises(ValueError) as error:
      hub_upload.push(model[0], 'me/mine', False, kept)
    assert (f'the model is in {model[0]}, --source={model[0]} --to=hf' in str(error.value)) == kept
