"""Data files that are elsewhere: hf://, https://, gs:// and s3://, through fsspec, kept on this machine.

  paths('hf://datasets/HuggingFaceH4/aime_2024@main/data/*.parquet')   # paths in the cache
  paths('hf://datasets/OWNER/NAME/train.jsonl@v2'), paths('s3://bucket/*.jsonl.gz')

Kept in $XDG_CACHE_HOME/vibethinker_jax/data (~/.cache), each file in a folder named by the digest of its bytes, beside
a JSON file that says which version of the server had which digest: what has not changed is not downloaded again. What
an entry meant is noted in `origins`: a run that goes on reads the same bytes, whatever stands there now.
"""

from collections.abc import Iterator
import glob
import hashlib
import json
import logging
import os
import pathlib
import re
import sys
import time
import urllib.parse

import tqdm

from vibethinker_jax.runtime import disk, hub, origins

EXTRAS = {'gs': ('gcsfs', 'gcs'), 's3': ('s3fs', 's3')}  # scheme: (package, extra of setup.py)
SCHEMES = ('hf', 'https', 'http', *EXTRAS)
_HF = re.compile(
  r'(?P<kind>datasets/|spaces/)?(?P<repo>[^/@]+/[^/@]+)(@(?P<early>refs/[^/]+/[^/]+|[^/]+))?/(?P<path>[^@]+)(@(?P<late>.+))?'
)
_TAGS = (
  'blob_id',
  'ETag',
  'etag',
  'md5Hash',
  'Content-MD5',
  'Digest',
  'generation',
  'LastModified',
  'Last-Modified',
  'updated',
)
BLOCK = 8 << 20  # bytes of a request
LOG = logging.getLogger('vibethinker_jax')


def is_remote(entry: str) -> bool:
  """Whether an entry of `files` is no path of this machine."""
  return bool(re.match(r'[A-Za-z][A-Za-z0-9+.-]*://', entry))


def name(entry: str) -> str:
  """The file's name of an entry: 'train.jsonl' of 'hf://datasets/OWNER/NAME/train.jsonl@v2'."""
  path = entry.partition('://')[2] if is_remote(entry) else entry
  if entry.startswith('hf://') and (found := _HF.fullmatch(path)):
    path = found['path']
  return os.path.basename(path.partition('?')[0] if entry.startswith('http') else path)


def title(path: str) -> str:
  """What a path is called where there is little room: its file's name, of a cached copy with where it is from."""
  try:
    kind, *parts, _, file = pathlib.Path(path).relative_to(directory()).parts
  except ValueError:
    return os.path.basename(path)
  return '/'.join([*(parts[1:] if kind == 'hf' else parts), file])


def paths(entry: str) -> list[str]:
  """Where the files of an entry are in the cache, in the order of their names; what is not there yet is downloaded.

  Raises:
    ValueError: nothing is there, it may not be read, there is no network, an extra is missing, or what an earlier start
      read is gone; with what to do.
    disk.Unwritable: the cache cannot be written.
  """
  scheme = entry.partition('://')[0]
  if scheme not in SCHEMES:
    raise ValueError(
      f'{entry}: data is read from paths of this machine and from {", ".join(f"{x}://" for x in SCHEMES)}'
    )
  noted = origins.known['data'].get(entry)
  if noted is None:
    noted = origins.known['data'][entry] = _now(entry)
  return [str(_kept(entry, file)) for file in noted]


def _now(entry: str) -> list[dict]:
  """What an entry means today, each file in the cache: [{'url', 'sha256', 'size', 'tag'}, ...]."""
  record = directory() / 'entries' / f'{hashlib.sha256(entry.encode()).hexdigest()[:16]}.json'
  try:
    found = [_download(*file) for file in hub.patiently(lambda: list(_look(entry)), entry)]
  except Exception as error:
    if isinstance(error, disk.Unwritable):
      raise
    if _unreachable(error) and record.exists():
      kept = json.loads(record.read_text())
      if all(_place(file['url'], file['sha256']).exists() for file in kept['files']):
        LOG.warning('%s cannot be reached: read as it was on %s', entry, kept['on'])
        return kept['files']
    raise ValueError(_said(error, entry)) from error
  with disk.replacing(record, 'the cache of data') as temporary:
    temporary.write_text(json.dumps({'entry': entry, 'on': time.strftime('%Y-%m-%d %H:%M'), 'files': found}, indent=1))
  return found


def _kept(entry: str, file: dict) -> pathlib.Path:
  """The cached copy of a file that was noted; if it was removed since, it is downloaded again, as long as it is the
  same."""
  place = _place(file['url'], file['sha256'])
  if not place.exists():
    try:
      now = _download(file['url'], '', None)
    except Exception as error:
      if isinstance(error, disk.Unwritable):
        raise
      raise ValueError(
        f'{_said(error, entry)} (this run has read it before, and the copy in {directory()} is gone)'
      ) from error
    if now['sha256'] != file['sha256']:
      raise ValueError(
        f'{file["url"]} has changed since this run was started (sha256 {file["sha256"][:12]} -> '
        f'{now["sha256"][:12]}), and the copy of that time is gone from {directory()}: bring that file back, or '
        'start anew with another directory'
      )
  return place


def directory() -> pathlib.Path:
  """Of the cache."""
  return disk.cache('data')


def _place(url: str, digest: str) -> pathlib.Path:
  """Where a file of that digest is kept: readable, for it stands in messages about rows."""
  folder = _folder(url)
  return folder.parent / digest[:12] / folder.name


def _folder(url: str) -> pathlib.Path:
  scheme, _, path = url.partition('://')
  path, _, query = path.partition('?') if scheme.startswith('http') else (path, '', '')
  if scheme == 'hf':
    found = _HF.fullmatch(path)
    path = f'{found["kind"] or "models/"}{found["repo"]}/{found["path"]}'
  parts = [
    re.sub(r'[^\w.*=+-]', '_', urllib.parse.unquote(part)) for part in path.split('/') if part not in ('', '.', '..')
  ]
  if query:
    parts.insert(-1, hashlib.sha256(query.encode()).hexdigest()[:8])
  return directory().joinpath(scheme, *parts)


def _look(entry: str) -> Iterator[tuple[str, str, int | None]]:
  """(url, the server's word for its version, bytes) of each file, in the order of their names."""
  url = _pinned(entry) if entry.startswith('hf://') else entry
  fs, path = _open(url)
  if glob.has_magic(path) and not (url.startswith('http') and '*' not in path):  # there '?' begins a query
    found = fs.glob(path, detail=True)
    found = {name: info for name, info in sorted(found.items()) if info.get('type') != 'directory'}
    if not found:
      raise ValueError(f'no such data file: {entry} (nothing matches)')
  else:
    found = {path: fs.info(path)}
    if found[path].get('type') == 'directory':
      names = [os.path.basename(x) for x in sorted(fs.ls(path, detail=False))][:8]
      raise ValueError(
        f'{entry} is a folder: name the files in it, for example {entry.rstrip("/")}/*.jsonl; it has {", ".join(names)}'
      )
  for name, info in found.items():
    info = info if any(info.get(tag) for tag in _TAGS) else fs.info(name)
    tag = next((f'{key} {info[key]}' for key in _TAGS if info.get(key)), '')
    yield fs.unstrip_protocol(name), tag, info.get('size')


def _pinned(entry: str) -> str:
  """The same with the commit that its revision is now."""
  import huggingface_hub

  found = _HF.fullmatch(entry.removeprefix('hf://').rstrip('/'))
  if not found or (found['early'] and found['late']):
    raise ValueError(f'{entry}: it is hf://datasets/OWNER/NAME/FILE, with @REVISION behind NAME or behind FILE')
  revision, kind = found['early'] or found['late'] or 'main', (found['kind'] or 'models/')[:-2]
  sha = huggingface_hub.HfApi().repo_info(found['repo'], repo_type=kind, revision=urllib.parse.unquote(revision)).sha
  return f'hf://{found["kind"] or ""}{found["repo"]}@{sha}/{found["path"]}'


def _open(url: str):
  """(file system, path in it).

  Raises:
    ValueError: the package for it is not installed.
  """
  scheme = url.partition('://')[0]
  for library in ('gcsfs', 's3fs', 'fsspec'):  # of a fault they print a traceback before they raise it
    logging.getLogger(library).setLevel(logging.CRITICAL)
  try:
    import fsspec

    return fsspec.core.url_to_fs(url)
  except ImportError as error:
    package, extra = EXTRAS.get(scheme, ('fsspec[http]', ''))
    remedy = f"pip install -e '.[{extra}]', or pip install {package}" if extra else f"pip install '{package}'"
    raise ValueError(f'{url}: {scheme}:// is read with {package}, which is not installed: {remedy}') from error


def _download(url: str, tag: str, size: int | None) -> dict:
  """A file in the cache, {'url', 'sha256', 'size', 'tag'}; from the last time if the tag says that it is the same."""
  notes, folder = _folder(url).with_name(_folder(url).name + '.json'), _folder(url)
  what = f'{url} (XDG_CACHE_HOME names another place for it)'
  with disk.locked(folder.with_name(f'.{folder.name}.lock')):
    known = json.loads(notes.read_text()) if notes.exists() else {}
    if tag in known and tag and _place(url, known[tag]['sha256']).exists():
      return {'url': url, **known[tag], 'tag': tag}
    part = folder.with_name(f'{folder.name}.{hashlib.sha256(tag.encode()).hexdigest()[:12]}.part')
    if not tag:
      part.unlink(missing_ok=True)  # of which version its bytes are is not known
    _bring(url, part, size, what)
    with disk.writing(what, part):
      with part.open('rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
      place = _place(url, digest)
      place.parent.mkdir(parents=True, exist_ok=True)
      part.replace(place)
    facts = {'sha256': digest, 'size': place.stat().st_size}
    with disk.replacing(notes, what) as temporary:
      temporary.write_text(json.dumps(known | ({tag: facts} if tag else {}), indent=1))
  return {'url': url, **facts, 'tag': tag}


def _bring(url: str, part: pathlib.Path, size: int | None, what: str) -> None:
  """Appends to the part what it lacks; a connection that breaks is taken up again where it broke."""
  fs, path = _open(url)

  def go_on() -> None:
    _append(fs, path, part, size, what)
    found = part.stat().st_size
    if size is not None and found != size:
      if found > size:
        part.unlink()
      raise ConnectionError(f'{found} bytes came where {size} were announced')

  hub.patiently(go_on, url)


def _append(fs, path: str, part: pathlib.Path, size: int | None, what: str) -> None:
  """Reads on from where the part ends. Only what writes stands in disk.writing: errors of a network are OSErrors,
  too."""
  with disk.writing(what, part, size or 0):
    target = part.open('ab', buffering=0)
  with target, fs.open(path, 'rb', block_size=BLOCK, cache_type='none') as source:
    done = target.tell()
    try:
      source.seek(done)
    except (ValueError, OSError, NotImplementedError):  # a server that gives files whole only
      target.truncate(0)
      done = 0
    with tqdm.tqdm(
      desc=os.path.basename(path),
      total=size,
      initial=done,
      unit='B',
      unit_scale=True,
      delay=2,
      leave=False,
      dynamic_ncols=True,
      mininterval=0.2 if sys.stderr.isatty() else 20,
    ) as bar:
      while piece := source.read(BLOCK):
        disk.append(target, piece, what)
        bar.update(len(piece))


def _unreachable(error: Exception) -> bool:
  """Whether there is no network, or the server does not answer now."""
  found = hub.cause(error)
  return hub.passes(error) or bool(
    hub.kinds(found)
    & {
      'OfflineModeIsEnabled',
      'ConnectError',
      'ClientConnectorError',
      'EndpointConnectionError',
      'ProxyError',
      'HTTPClientError',
      'TransportError',
    }
  )


def _said(error: Exception, entry: str) -> str:
  """One line about data that does not come, and what to do."""
  if type(error) is ValueError:
    return str(error)
  found, scheme = hub.cause(error), entry.partition('://')[0]
  kinds, code, why = hub.kinds(found), hub.status(found), next(iter(str(found).splitlines()), '')
  if scheme == 'hf':
    from huggingface_hub import constants

    match = _HF.fullmatch(entry.removeprefix('hf://'))
    page = f'{constants.ENDPOINT}/{(match["kind"] or "") + match["repo"] if match else ""}'
    return hub.said(error, entry, page)
  if 'NoCredentialsError' in kinds or isinstance(found, PermissionError) or code in (401, 403):
    remedy = {
      'gs': 'log in with "gcloud auth application-default login", or with an account that may read the bucket',
      's3': 'set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket FSSPEC_S3_ANON=true',
    }.get(scheme, 'the server wants a login: download the file and give its path')
    return f'{entry} may not be read ({why or type(found).__name__}): {remedy}'
  if isinstance(found, FileNotFoundError) or code == 404:
    return f'no such data file: {entry}'
  if _unreachable(error):
    return (
      f'{entry} cannot be reached ({why or type(found).__name__}), and there is no copy of it in {directory()}: look '
      'at the network and start again (what was downloaded is kept), or give the path of a copy here'
    )
  return f'{entry} cannot be read: {why or type(found).__name__}'
