"""Models of the Hugging Face Hub: from a name, such as Qwen/Qwen2.5-Math-1.5B@main, to a directory on this machine.

By huggingface_hub: its cache (HF_HOME), endpoint (HF_ENDPOINT), token (HF_TOKEN, hf auth login) and offline switch
(HF_HUB_OFFLINE). Only the files that are read here come: no pytorch_model.bin, no second copy in another format.
"""

from collections.abc import Callable
import functools
import json
import logging
import os
import pathlib
import re
import shutil
import sys
import time

from vibethinker_jax.runtime import bucket_models, disk, origins, storage

INDEX, WEIGHTS = 'model.safetensors.index.json', 'model.safetensors'
# What makes a tokenizer, and the generation settings that name its end tokens; not all models have all.
TOKENIZER = (
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
  'chat_template.json',
  'generation_config.json',
)
SMALL = ('config.json', INDEX, *TOKENIZER)  # what a model is besides its weights
NAME = re.compile(r'(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(/(?P<file>[^@]+\.gguf))?(@(?P<revision>[\w./-]+))?')
FILES = ('.gguf', '.jinja', '.json', '.model', '.safetensors', '.txt')  # ends of what is a path, though it is not there
PAUSES = (1, 2, 4)  # seconds before another attempt, after a fault that may pass
LOG = logging.getLogger('vibethinker_jax')


def is_name(text: str) -> bool:
  """Whether this is written as a name of the Hub, OWNER/NAME, OWNER/NAME@REVISION or OWNER/NAME/FILE.gguf, and is no
  path here."""
  text, found = str(text), NAME.fullmatch(str(text))
  return (
    bool(found)
    and not found['repo'].endswith(FILES)
    and not any(pathlib.Path(x).exists() for x in (text, text.partition('@')[0]))
  )


def local(name: str | pathlib.Path, weights: bool = True) -> pathlib.Path:
  """Where a model is: its path (of a bucket too, if it is one of our checkpoints), or the copy of what is on the Hub or
  in a bucket, downloaded if it is not there yet.

  Of all processes that share the cache one downloads. The first call decides which commit a revision is (`origins`).

  Args:
    name: a path, or a name of the Hub. weights: False: the small files alone.

  Raises:
    ValueError: the Hub does not give it: unknown, gated, no network; with what to do.
    disk.Unwritable: the cache cannot be written.
  """
  if storage.remote(name):
    return bucket_models.brought(os.fspath(name), SMALL, weights) or storage.path(name)
  return _local(str(name), weights) if is_name(name) else storage.path(name)


def commit(name: str | pathlib.Path) -> str | None:
  """The commit of a model that was taken from the Hub, None of any other."""
  return origins.known['models'].get(str(name))


@functools.cache
def _local(name: str, whole: bool) -> pathlib.Path:
  from huggingface_hub import constants

  repo, file, revision = NAME.fullmatch(name).group('repo', 'file', 'revision')
  cache = pathlib.Path(constants.HF_HUB_CACHE)
  with disk.locked(cache / '.locks' / f'vibethinker_jax--{repo.replace("/", "--")}.lock'):
    folder = _snapshot(name, repo, commit(name) or revision or 'main', [file] if file else list(SMALL))
    origins.known['models'][name] = folder.name
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if file:
      if not (folder / file).is_file():
        raise ValueError(f'{name}: there is no file {file} in it; it has {_listed(repo, folder.name)}')
      return folder / file
    if 'config.json' not in there and (whole or not {'tokenizer.json', 'tokenizer.model'} & set(there)):
      raise ValueError(
        f'{name} is no model in the format of transformers: it has no config.json, but {_listed(repo, folder.name)}'
      )
    if whole:
      _weights(name, repo, folder, cache)
  return folder


def weights(folder: pathlib.Path) -> list[str]:
  """The files of a model's safetensors, as its index names them."""
  index = folder / INDEX
  return sorted(set(json.loads(index.read_text())['weight_map'].values())) if index.is_file() else [WEIGHTS]


def _weights(name: str, repo: str, folder: pathlib.Path, cache: pathlib.Path) -> None:
  """Downloads the safetensors that are not there yet."""
  if lacking := [x for x in weights(folder) if not (folder / x).is_file()]:
    sizes = _tree(repo, folder.name)
    if sizes and (unknown := [x for x in lacking if x not in sizes]):
      raise ValueError(
        f'{name}: no {", ".join(unknown)}; it has {_listed(repo, folder.name)}. Only safetensors are read: a '
        'pytorch_model.bin must be converted with transformers first (save_pretrained)'
      )
    needed = sum(sizes.get(x) or 0 for x in lacking)
    if needed > shutil.disk_usage(cache).free:
      raise disk.Unwritable(cache, _what(name), 28, disk.FULL[28], needed)
    count = f'{len(lacking)} file{"s" if lacking[1:] else ""} of weights'
    LOG.info('%s: %s, %s, into %s', name, count, disk.readable(needed), cache)
    _snapshot(name, repo, folder.name, lacking)


def _what(name: str) -> str:
  return f'the model {name} (HF_HOME names another place for it)'


def _tree(repo: str, sha: str) -> dict[str, int]:
  """{file: bytes} of a commit, as the last download of it has found them; {} if that is not known."""
  import huggingface_hub

  try:
    return {x.path: x.size for x in huggingface_hub.get_cached_repo_tree(repo, revision=sha)}
  except huggingface_hub.errors.CachedRepoTreeNotFoundError:
    return {}


def _listed(repo: str, sha: str) -> str:
  names = sorted(_tree(repo, sha))
  return (', '.join(names[:8]) + (f' and {len(names) - 8} more files' if names[8:] else '')) or 'no files'


def _snapshot(name: str, repo: str, revision: str, files: list[str]) -> pathlib.Path:
  """The folder of a commit with these files of it, as far as it has them."""
  import huggingface_hub
  from huggingface_hub import constants
  from huggingface_hub.utils import logging as their_logging

  their_logging.set_verbosity_error()  # what matters of its warnings is said here
  get = lambda: huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=files, tqdm_class=_bar())
  with disk.writing(_what(name), constants.HF_HUB_CACHE):
    try:
      return pathlib.Path(patiently(get, name))
    except Exception as error:
      if disk.reason(error):
        raise
      raise ValueError(said(error, name, f'{constants.ENDPOINT}/{repo}')) from error


def patiently(function: Callable, name: str):
  """`function()`, tried again where what it raises may pass."""
  for pause in PAUSES:
    try:
      return function()
    except Exception as error:
      if isinstance(error, disk.Unwritable) or not passes(error):
        raise
      LOG.warning('%s: %s; once more in %d s', name, _first_line(cause(error)) or type(error).__name__, pause)
      time.sleep(pause)
  return function()


@functools.cache
def _bar():
  """A progress bar of bytes alone; snapshot_download has three, two of them of what a person does not see."""
  import tqdm

  class Bar(tqdm.tqdm):
    def __init__(self, *args, **kwargs):
      hidden = kwargs.get('unit') != 'B' or 'econstruct' in (kwargs.get('desc') or '') or kwargs.get('disable')
      kwargs.pop('name', None)
      super().__init__(
        *args,
        **kwargs
        | {
          'disable': hidden,
          'leave': False,
          'delay': 2,
          'bar_format': None,
          'unit_scale': True,
          'mininterval': 0.2 if sys.stderr.isatty() else 20,
          'dynamic_ncols': True,
        },
      )

  return Bar


def cause(error: BaseException) -> BaseException:
  """What an error comes from: huggingface_hub says 'not in the cache' of everything that stood between it and the
  Hub."""
  while kinds(error) & {'LocalEntryNotFoundError', 'FileNotFoundError'} and (error.__cause__ or error.__context__):
    error = error.__cause__ or error.__context__
  return error


def kinds(error: BaseException) -> set[str]:
  """The names of its class and the classes above: the HTTP library below huggingface_hub differs by its version."""
  return {x.__name__ for x in type(error).__mro__}


def status(error: BaseException) -> int:
  """The HTTP status that an error is about, 0 if none."""
  found = getattr(getattr(error, 'response', None), 'status_code', 0) or getattr(error, 'status', 0)
  return found if isinstance(found, int) else 0


def passes(error: BaseException) -> bool:
  """Whether the same request may go well a little later: the server is busy, or a connection broke."""
  found, code = cause(error), status(cause(error))
  if kinds(found) & {
    'OfflineModeIsEnabled',
    'ConnectError',
    'ClientConnectorError',
    'ProxyError',
    'UnsupportedProtocol',
  }:
    return False
  broken = kinds(found) & {
    'TransportError',
    'TimeoutError',
    'ConnectionError',
    'ClientPayloadError',
    'ServerDisconnectedError',
  }
  return code in (408, 429) or code >= 500 or bool(broken) or 'Consistency check failed' in str(found)


def said(error: BaseException, name: str, page: str) -> str:
  """One line about what the Hub does not give, and what to do.

  Args:
    name: as it was given. page: of the repository, for people.
  """
  found, here = cause(error), kinds(cause(error))
  if 'OfflineModeIsEnabled' in here or 'LocalEntryNotFoundError' in here:
    return (
      f'{name} is not, or not whole, in the cache of this machine, and HF_HUB_OFFLINE forbids to download it: unset '
      'that, or fetch it where there is a network and bring the cache (HF_HOME) along'
    )
  if 'GatedRepoError' in here:
    return (
      f'{name} is gated: accept its conditions with your account at {page}, and log in here with "hf auth login" or '
      'HF_TOKEN=...; access that is not granted yet is shown there. Or give the path of a copy'
    )
  if 'RevisionNotFoundError' in here:
    return f'{name}: there is no such branch, tag or commit; {page}/commits shows those that there are'
  if 'RepositoryNotFoundError' in here:
    return (
      f'{name}: neither a file or directory here, nor at {page} for this account. Look for a slip in the name; a '
      'private one needs "hf auth login" or HF_TOKEN=...'
    )
  if here & {'EntryNotFoundError', 'FileNotFoundError'}:
    return f'no such file: {name}; {page}/tree/main shows those that there are'
  code = status(found)
  if code in (401, 403):
    return (
      f'{name}: {page} answers {code}: the token (HF_TOKEN, hf auth login) is wrong, has expired, or may not do this'
    )
  if code:
    return f'{name}: {page} answers {code} ({_first_line(found)}); try again later: what is downloaded is kept'
  if here & {'HFValidationError', 'ValueError'}:
    return f'{name}: {_first_line(found)}'
  return (
    f'{name} is not on this machine, and {page} cannot be reached ({_first_line(found) or type(found).__name__}). '
    'Look at the network (HTTPS_PROXY, HF_ENDPOINT) and start again: what is downloaded is kept. Or give the path of a '
    'copy here'
  )


def _first_line(error: BaseException) -> str:
  return next((line.strip() for line in str(error).splitlines() if line.strip()), '')
