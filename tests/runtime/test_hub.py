"""Models by their names on the Hub, with huggingface_hub's own client and a real server; no network."""

import json
import os
import pathlib

import pytest

from vibethinker_jax.runtime import hub as hub_lib

CONFIG = json.dumps({'model_type': 'qwen2'}).encode()
FILES = {'config.json': CONFIG, 'tokenizer.json': b'{}', 'model.safetensors': b's' * 300_000}
OTHERS = {
  'pytorch_model.bin': b'b' * 300_000,
  'onnx/model.safetensors': b'o' * 300_000,
  'consolidated.safetensors': b'c' * 300_000,
  'README.md': b'x',
}
LIST = "show(lambda: sorted(str(p.relative_to(d)) for d in [hub.local('O/N')] for p in d.rglob('*') if p.is_file()))\n"


def test_only_what_is_read_comes_once_and_its_commit_is_known(hub):
  sha = hub.model('O/N', FILES | OTHERS).branches['main']
  names, again, commit = hub.run(LIST + LIST + "show(lambda: hub.commit('O/N'))")
  assert names == again == sorted(FILES) and commit == sha
  assert hub.count('model.safetensors') == 1 and not hub.count('.bin') and not hub.count('README')
  asked = len(hub.log)
  assert hub.run(LIST) == [names]
  assert [path for _, path, _, _ in hub.log[asked:]] == ['/api/models/O/N/revision/main']


def test_of_several_parts_those_that_the_index_names(hub):
  index = {'weight_map': {'a': 'model-1.safetensors', 'b': 'model-2.safetensors'}}
  parts = {f'model-{i}.safetensors': b'x' * 10 for i in (1, 2, 3)} | {
    'model.safetensors.index.json': json.dumps(index).encode()
  }
  hub.model('O/N', {'config.json': CONFIG, 'tokenizer.json': b'{}'} | parts)
  (names,) = hub.run(LIST)
  assert 'model-2.safetensors' in names and 'model-3.safetensors' not in names


def test_the_small_files_alone(hub):
  hub.model('O/N', FILES)
  hub.run("show(lambda: hub.local('O/N', weights=False))")
  assert hub.count('tokenizer.json') == 1 and hub.count('model.safetensors') == 0


def test_a_tokenizer_alone(hub):
  hub.model('O/T', {'tokenizer.json': b'{}', 'README.md': b''})
  folder, model = hub.run(
    "show(lambda: [p.name for p in hub.local('O/T', weights=False).iterdir()])\n" + LIST.replace('O/N', 'O/T')
  )
  assert folder == ['tokenizer.json'] and 'O/T is no model in the format of transformers' in model


def test_a_model_of_another_kind_is_told_before_its_weights_come(hub):
  hub.model('O/N', FILES | {'config.json': b'{"model_type": "mistral"}'})
  hub.model('O/J', FILES | {'config.json': b'{'})
  bring = 'from vibethinker_jax.programs import elsewhere\nshow(lambda: elsewhere.bring([{!r}]))\n'
  kind, json_ = hub.run(bring.format('O/N') + bring.format('O/J'))
  assert (
    "O/N, config.json: model_type='mistral' is not supported" in kind and 'O/J: its config.json is not JSON' in json_
  )
  assert hub.run(bring.replace('[{!r}]', "[], tokenizers=['O/N']").format()) == [None] and not hub.count('safetensors')


def test_a_path_of_this_machine_goes_before(hub, tmp_path):
  (tmp_path / 'O/N').mkdir(parents=True)
  code = f"os.chdir({str(tmp_path)!r}); show(lambda: [str(hub.local(x)) for x in ('O/N', 'O/N@3')])"
  assert hub.run(code) == [['O/N', 'O/N@3']] and not hub.log


@pytest.mark.parametrize('text, is_one', [
  ('O/N', True), ('O/N@main', True), ('O/N@refs/pr/1', True), ('O/N/a.gguf', True), ('N', False), ('/O/N', False),
  ('runs/a/b', False), ('O/a.gguf', False), ('O/t.model', False), ('./N', False), ('gs://O/N', False)])  # fmt: skip
def test_what_is_a_name(text, is_one):
  assert hub_lib.is_name(text) == is_one


def test_a_broken_download_goes_on_where_it_broke_and_a_busy_server_is_asked_again(hub):
  content = os.urandom(23 << 20)
  hub.model('O/N', FILES | {'model.safetensors': content})
  hub.cut['model.safetensors'], hub.busy = 21 << 20, 1
  (same,) = hub.run(f"show(lambda: (hub.local('O/N') / 'model.safetensors').stat().st_size == {len(content)})")
  assert same
  assert [span for method, path, span, _ in hub.log if '/cdn/' in path] == [None, f'bytes={20 << 20}-']


def test_two_processes_download_once(hub):
  hub.model('O/N', FILES | {'model.safetensors': b'w' * 2_000_000})
  hub.slow = 0.02
  both = [hub.start(LIST) for _ in range(2)]
  found = {process.communicate(timeout=300)[0] for process in both}
  assert len(found) == 1 and 'model.safetensors' in found.pop()
  assert hub.sent('model.safetensors') == 2_000_000 and hub.count('tokenizer.json') == 1


def test_without_a_network_and_offline_the_cache_does(hub):
  hub.model('O/N', FILES)
  (before,) = hub.run(LIST)
  hub.close()
  nowhere = 'http://127.0.0.1:1'
  for more in ({'HF_HUB_OFFLINE': '1'}, {'HF_ENDPOINT': nowhere}):
    kept, other = hub.run(LIST + "show(lambda: hub.local('O/M'))", **more)
    assert kept == before
    assert ('HF_HUB_OFFLINE forbids' if 'HF_HUB_OFFLINE' in more else 'cannot be reached') in other
  (small,) = hub.run("show(lambda: hub.local('O/M'))", HF_ENDPOINT=nowhere)
  assert 'O/M is not on this machine' in small and 'Look at the network' in small and '\n' not in small


def test_a_half_download_is_no_model_offline(hub):
  hub.model('O/N', FILES)
  hub.run("show(lambda: hub.local('O/N', weights=False))")
  (error,) = hub.run(LIST, HF_HUB_OFFLINE='1')
  assert 'O/N is not, or not whole, in the cache' in error


def test_what_the_hub_does_not_give_is_one_line(hub):
  hub.model('O/N', FILES)
  hub.model('O/Gated', FILES, gated=True, token='mine')
  hub.model('O/Bin', {'config.json': CONFIG, 'pytorch_model.bin': b'1'})
  hub.model('O/Data', {'train.csv': b'1'})
  said = {
    'O/Nobody': ('neither a file or directory here', 'hf auth login'),
    'O/N@v9': ('no such branch, tag or commit',),
    'O/Gated': ('is gated', 'accept its conditions', 'HF_TOKEN'),
    'O/Bin': ('no model.safetensors', 'pytorch_model.bin must be converted'),
    'O/Data': ('no config.json', 'train.csv'),
    'O/N/x.gguf': ('no file x.gguf',),
  }
  errors = hub.run(''.join(f'show(lambda: hub.local({name!r}))\n' for name in said))
  errors += hub.run("show(lambda: hub.local('O/Gated'))", HF_TOKEN='wrong')
  for (name, parts), error in zip([*said.items(), ('O/Gated', ('is gated',))], errors, strict=True):
    assert error.startswith(f'ValueError: {name}') and '\n' not in error
    assert all(part in error for part in parts), error


def test_a_gated_one_comes_with_the_token(hub):
  hub.model('O/N', FILES, gated=True, token='mine')
  assert hub.run(LIST, HF_TOKEN='mine') == [sorted(FILES)]


def test_a_run_that_goes_on_takes_the_commit_of_its_start(hub, tmp_path):
  repo = hub.model('O/N', FILES)
  first = repo.branches['main']
  hub.run(f"hub.local('O/N'); origins.write({str(tmp_path)!r})")
  second = repo.publish(FILES | {'model.safetensors': b'new' * 100_000})
  again, anew = hub.run(
    f"""
origins.take(origins.read({str(tmp_path)!r}))
show(lambda: hub.local('O/N').name)
origins.forget(); hub._local.cache_clear()
show(lambda: hub.local('O/N').name)
"""
  )
  assert (again, anew) == (first, second) and first != second


def test_a_file_of_gguf(hub):
  hub.model('O/N', {'a.gguf': b'GGUF', 'b.gguf': b'GGUF'})
  (path,) = hub.run("show(lambda: hub.local('O/N/a.gguf@main'))")
  assert pathlib.Path(path).name == 'a.gguf' and not hub.count('b.gguf')


def test_a_full_disk_is_told_before_the_download(hub):
  hub.model('O/N', FILES)
  (error,) = hub.run(
    """
import shutil, types
shutil.disk_usage = lambda path: types.SimpleNamespace(free=1000)
show(lambda: hub.local('O/N'))
"""
  )
  assert error.startswith('Unwritable: ') and 'no space left (300.0 kB needed, 1.0 kB free)' in error
  assert 'the model O/N (HF_HOME' in error and not hub.count('model.safetensors')
