"""Models of others in a bucket, gs://BUCKET/MODEL: a Hugging Face directory or a GGUF file, from there to this machine.

Our own checkpoints are not: devices read them straight from the bucket (checkpoint.py).
"""

import functools
import hashlib
import json
import logging
import pathlib
import shutil

from vibethinker_jax.runtime import disk, storage

SIGNS = (
  'tokenizer.json',
  'model.safetensors',
  'model.safetensors.index.json',
)  # one of them is in every such directory
VERSION = ('generation', 'etag', 'md5Hash', 'updated')  # what the server says of an object
LOG = logging.getLogger('vibethinker_jax')


@functools.cache
def brought(url: str, small: tuple[str, ...], weights: bool) -> pathlib.Path | None:
  """Where the copy of a model is, in $XDG_CACHE_HOME/vibethinker_jax/models (~/.cache), a folder per version; what is
  not there yet is downloaded, by one of all processes that share the cache.

  Args:
    small: names of what a directory has besides its weights. weights: whether these are wanted, too.

  Returns:
    None: there is no such model in the bucket.

  Raises:
    OSError: the bucket does not answer.
    disk.Unwritable: the cache cannot be written, or the model does not fit.
  """
  with storage.said('reading', url):
    there = _listed(url)
  name = url.rstrip('/').rpartition('/')[2]
  alone = name.endswith('.gguf')
  if name not in there if alone else not set(SIGNS) & there.keys():
    return None
  part_of = lambda file: file == name if alone else file in small or file.endswith('.safetensors')
  files = {file: info for file, info in there.items() if part_of(file)}
  facts = sorted((file, info['size'], str([info.get(tag) for tag in VERSION])) for file, info in files.items())
  folder = _folder(url) / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
  wanted = [file for file in files if weights or alone or file in small]
  with disk.locked(folder.with_name('.lock')):
    _download(url, {file: files[file] for file in wanted if not (folder / file).is_file()}, folder)
  return folder / name if alone else folder


def _listed(url: str) -> dict[str, dict]:
  """{name: what the server says} of the files beside a GGUF file, or in a directory; {} where there is none."""
  bare = url.removeprefix(storage.GS).rstrip('/')
  try:
    found = storage.files().ls(bare.rpartition('/')[0] if bare.endswith('.gguf') else bare, detail=True)
  except FileNotFoundError:
    return {}
  return {info['name'].rpartition('/')[2]: info for info in found if info['type'] == 'file'}


def _folder(url: str) -> pathlib.Path:
  return disk.cache('models', 'gs', *url.removeprefix(storage.GS).strip('/').split('/'))


def _download(url: str, files: dict[str, dict], folder: pathlib.Path) -> None:
  """Each file, whole or not at all."""
  if not files:
    return
  size, what = (
    sum(info['size'] for info in files.values()),
    f'the model {url} (XDG_CACHE_HOME names another place for it)',
  )
  with disk.writing(what, folder):
    folder.mkdir(parents=True, exist_ok=True)
  if size > shutil.disk_usage(folder).free:
    raise disk.Unwritable(folder, what, 28, disk.FULL[28], size)
  if size > 100e6:
    LOG.info('%s: %d files, %s, into %s', url, len(files), disk.readable(size), folder)
  for file, info in files.items():
    with disk.replacing(folder / file, what) as temporary:
      with storage.said('reading', url):
        storage.files().get_file(info['name'], str(temporary))
      if temporary.stat().st_size != info['size']:
        raise OSError(f'{url}/{file} comes cut short: start again')
