"""A Hub served from memory over real HTTP, with the faults that a real one has: what huggingface_hub's own client talks
to.

`files/...` are plain files with ETag and ranges, as any web server has them.
"""

import base64
import hashlib
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

BEFORE = """
import json, os, pathlib
from vibethinker_jax.data.files import remote, rows
from vibethinker_jax.runtime import disk, hub, origins
hub.PAUSES = (0.05, 0.05)
def show(function):
  try:
    print(json.dumps(function(), default=str))
  except (ValueError, OSError) as error:
    print(json.dumps(f'{type(error).__name__}: {error}'))
"""
LARGE = 200_000  # bytes: from there a file is LFS and comes by a redirect to the content store


class Repo:
  """commits: {sha: {path: bytes}}. branches: {name: sha}. token: who has it may read, None: everybody; gated:
  conditions."""

  def __init__(self, token=None, gated=False, private=False):
    self.commits, self.branches, self.token, self.gated, self.private = {}, {}, token, gated, private

  def publish(self, files: dict, branch: str = 'main') -> str:
    """A commit with these files, whole; returns its sha."""
    text = json.dumps([len(self.commits), sorted((k, hashlib.sha256(v).hexdigest()) for k, v in files.items())])
    sha = hashlib.sha1(text.encode()).hexdigest()
    self.commits[sha], self.branches[branch] = dict(files), sha
    return sha

  def find(self, revision: str) -> str | None:
    return self.branches.get(revision) or (revision if revision in self.commits else None)


class Hub:
  """Attributes that tests set: repos: {'models/OWNER/NAME': Repo}; files: {path: bytes}; busy: so many requests get a
  503;
  cut: {end of a path: bytes after which the connection breaks, once}; slow: seconds before each piece of a body;
    no_ranges; no_tags.
  log: [(method, path, range, bytes sent)]. created: bodies of repos that were created.
  """

  def __init__(self, caches):
    self.caches = caches
    self.repos, self.files, self.busy, self.cut, self.slow = {}, {}, 0, {}, 0.0
    self.no_ranges, self.no_tags, self.log, self.created, self.store = False, False, [], [], {}
    self.lock = threading.Lock()
    handler = type('Handler', (Handler,), {'hub': self})
    self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    self.server.daemon_threads = True
    self.url = f'http://127.0.0.1:{self.server.server_port}'
    self.elsewhere = f'http://localhost:{self.server.server_port}'  # another host, as the content store is
    threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

  def model(self, name: str, files: dict | None = None, **options) -> Repo:
    return self._add(f'models/{name}', files, options)

  def dataset(self, name: str, files: dict | None = None, **options) -> Repo:
    return self._add(f'datasets/{name}', files, options)

  def _add(self, key: str, files, options) -> Repo:
    repo = self.repos.setdefault(key, Repo(**options))
    if files:
      repo.publish(files)
    return repo

  def sent(self, part: str) -> int:
    """Bytes of bodies of GET requests whose path has this in it."""
    return sum(n for method, path, _, n in self.log if method == 'GET' and part in path)

  def count(self, part: str, method: str = 'GET') -> int:
    return sum(part in path for kind, path, _, _ in self.log if kind == method)

  def environment(self, **more) -> dict:
    """Of a process whose Hub is this one."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith(('HF_', 'AWS_', 'HUGGING'))}
    mine = {'HF_ENDPOINT': self.url, 'HF_HOME': f'{self.caches}/hf', 'XDG_CACHE_HOME': f'{self.caches}/xdg'}
    return bare | mine | {'HF_HUB_DISABLE_XET': '1', 'NO_PROXY': '*'} | more

  def start(self, code: str, **more) -> subprocess.Popen:
    """A process that runs code, after imports of what is tested; `show(x)` prints JSON, of a ValueError its text."""
    command = [sys.executable, '-c', BEFORE + code]
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    return subprocess.Popen(command, env=self.environment(**more), **pipes)

  def run(self, code: str, **more) -> list:
    """What the code showed."""
    out, err = (process := self.start(code, **more)).communicate(timeout=300)
    assert process.returncode == 0, err
    self.stderr = err
    return [json.loads(line) for line in out.splitlines()]

  def close(self) -> None:
    self.server.shutdown()
    self.server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
  hub: Hub
  protocol_version = 'HTTP/1.1'

  def log_message(self, *_):
    pass

  def do_HEAD(self):
    self.answer()

  def do_GET(self):
    self.answer()

  def do_POST(self):
    self.answer()

  def answer(self) -> None:
    length = int(self.headers.get('Content-Length') or 0)
    self.content = self.rfile.read(length) if length else b''
    if 'chunked' in self.headers.get('Transfer-Encoding', ''):
      self.content = self.chunked()
    path = urllib.parse.unquote(self.path.partition('?')[0])
    if path == '/api/agent-harnesses':
      return self.send(404)
    with self.hub.lock:
      busy, self.hub.busy = self.hub.busy, max(0, self.hub.busy - 1)
    if busy:
      return self.send(503, b'busy')
    kind, _, rest = path.lstrip('/').partition('/')
    if kind == 'files':
      self.plain(rest)
    elif kind == 'cdn':
      self.body(self.hub.store[rest], f'"{rest}"')
    elif kind == 'api':
      self.api(rest)
    else:
      self.resolve(path.lstrip('/'))
    return None

  def chunked(self) -> bytes:
    found = b''
    while size := int(self.rfile.readline().strip() or b'0', 16):
      found += self.rfile.read(size)
      self.rfile.readline()
    self.rfile.readline()
    return found

  def send(self, code: int, content: bytes = b'', headers: dict | None = None) -> None:
    self.send_response(code)
    for name, value in ({'Content-Length': str(len(content))} | (headers or {})).items():
      self.send_header(name, value)
    self.end_headers()
    sent = 0
    if self.command != 'HEAD':
      sent = self.pieces(content)
    if self.path != '/api/agent-harnesses':  # the client asks this by itself
      self.hub.log.append((self.command, self.path, self.headers.get('Range'), sent))

  def pieces(self, content: bytes) -> int:
    end = next((suffix for suffix in self.hub.cut if self.path.endswith(suffix)), None)
    limit = self.hub.cut.pop(end) if end is not None else len(content)
    sent = 0
    while sent < limit:
      if self.hub.slow:
        time.sleep(self.hub.slow)
      piece = content[sent : min(limit, sent + 65536)]
      self.wfile.write(piece)
      sent += len(piece)
    if end is not None:
      self.wfile.flush()
      self.connection.shutdown(socket.SHUT_RDWR)
      self.close_connection = True
    return sent

  def json(self, value, code: int = 200, headers: dict | None = None) -> None:
    self.send(code, json.dumps(value).encode(), {'Content-Type': 'application/json'} | (headers or {}))

  def refuse(self, code: int, kind: str) -> None:
    self.send(
      code, json.dumps({'error': kind}).encode(), {'X-Error-Code': kind, 'X-Error-Message': kind} if kind else {}
    )

  def body(self, content: bytes, etag: str, headers: dict | None = None) -> None:
    """A file or a range of it."""
    headers = {'Accept-Ranges': 'bytes', 'ETag': etag} | (headers or {})
    if self.hub.no_tags:
      del headers['ETag']
    found = re.fullmatch(r'bytes=(\d+)-(\d*)', self.headers.get('Range') or '')
    if self.hub.no_ranges:
      headers['Accept-Ranges'] = 'none'
    elif found and int(found[1]) < len(content):
      first, last = int(found[1]), min(int(found[2] or len(content) - 1), len(content) - 1)
      return self.send(
        206, content[first : last + 1], headers | {'Content-Range': f'bytes {first}-{last}/{len(content)}'}
      )
    if self.command == 'HEAD':
      headers['Content-Length'] = str(len(content))
    self.send(200, content, headers)

  def plain(self, path: str) -> None:
    if path in self.hub.files:
      content = self.hub.files[path]
      return self.body(content, f'"{hashlib.md5(content).hexdigest()}"')
    if path.endswith('/') or not path:  # a listing, as web servers show folders
      names = sorted({name[len(path) :].partition('/')[0] for name in self.hub.files if name.startswith(path)})
      if names:
        return self.send(
          200, ''.join(f'<a href="{name}">{name}</a>\n' for name in names).encode(), {'Content-Type': 'text/html'}
        )
    self.send(403 if path.startswith('secret') else 404)

  def repo(self, kind: str, name: str) -> Repo | None:
    """The repository if this client may read it; else the answer is sent."""
    repo, token = (
      self.hub.repos.get(f'{kind}/{name}'),
      (self.headers.get('Authorization') or '').removeprefix('Bearer '),
    )
    if repo is None or (repo.private and token != repo.token):
      self.refuse(404 if token else 401, 'RepoNotFound')
    elif repo.gated and token != repo.token and '/resolve/' in self.path:
      self.refuse(403 if token else 401, 'GatedRepo')
    else:
      return repo
    return None

  def api(self, path: str) -> None:
    if path == 'whoami-v2':
      known = {repo.token for repo in self.hub.repos.values()} | {'writer'}
      token = (self.headers.get('Authorization') or '').removeprefix('Bearer ')
      return self.json({'name': 'somebody', 'type': 'user'}) if token in known - {None} else self.refuse(401, '')
    if path == 'repos/create':
      return self.create(json.loads(self.content))
    if path == 'validate-yaml':
      return self.json({'warnings': [], 'errors': []})
    found = re.fullmatch(r'(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info|preupload|commit)/(.+))?', path)
    if not found:
      return self.refuse(404, '')
    kind, name, what, rest = found.groups()
    repo = self.repo(kind, name)
    if repo is None:
      return None
    if what in ('preupload', 'commit'):
      return getattr(self, what)(repo, name)
    revision, _, inside = (rest or 'main').partition('/')
    sha = repo.find(revision)
    if sha is None:
      return self.refuse(404, 'RevisionNotFound')
    if what == 'tree':
      return self.tree(repo.commits[sha], inside, 'recursive=true' in self.path.lower())
    if what == 'paths-info':
      wanted = urllib.parse.parse_qs(self.content.decode()).get('paths', [])
      return self.json([entry(name, repo.commits[sha][name]) for name in wanted if name in repo.commits[sha]])
    return self.json(
      {
        'id': name,
        'sha': sha,
        'private': repo.private,
        'gated': 'auto' if repo.gated else False,
        'tags': [],
        'downloads': 0,
        'likes': 0,
        'siblings': [{'rfilename': name} for name in repo.commits[sha]],
      }
    )

  def tree(self, files: dict, inside: str, recursive: bool) -> None:
    start, found, folders = f'{inside}/' if inside else '', [], set()
    for path, content in sorted(files.items()):
      if path.startswith(start):
        folder, slash, _ = path[len(start) :].partition('/')
        if slash and folder not in folders:
          folders.add(folder)
          found.append({'type': 'directory', 'path': start + folder, 'oid': '0' * 40, 'size': 0})
        if recursive or not slash:
          found.append(entry(path, content))
    self.json(found) if found or not inside else self.refuse(404, 'EntryNotFound')

  def resolve(self, path: str) -> None:
    found = re.fullmatch(r'(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)', path)
    if path.endswith('.git/info/lfs/objects/batch'):
      return self.batch()
    if not found:
      return self.refuse(404, '')
    kind, name, revision, file = found.groups()
    repo = self.repo('datasets' if kind else 'models', name)
    if repo is None:
      return None
    sha = repo.find(revision)
    if sha is None:
      return self.refuse(404, 'RevisionNotFound')
    content = repo.commits[sha].get(file)
    if content is None:
      return self.send(404, b'', {'X-Error-Code': 'EntryNotFound', 'X-Repo-Commit': sha})
    known = entry(file, content)
    etag = known.get('lfs', {}).get('oid') or known['oid']
    if 'lfs' not in known:
      return self.body(content, f'"{etag}"', {'X-Repo-Commit': sha})
    self.hub.store[f'{etag}/{file}'] = content
    return self.send(
      302,
      b'',
      {
        'Location': f'{self.hub.elsewhere}/cdn/{etag}/{file}',
        'X-Repo-Commit': sha,
        'X-Linked-Etag': f'"{etag}"',
        'X-Linked-Size': str(len(content)),
      },
    )

  def create(self, body: dict) -> None:
    if 'writer' not in (self.headers.get('Authorization') or ''):
      return self.refuse(401 if 'Authorization' not in self.headers else 403, '')
    name = f'{body.get("organization") or "somebody"}/{body["name"]}'
    url = {'url': f'{self.hub.url}/{name}', 'id': name}
    if f'models/{name}' in self.hub.repos:
      return self.json(url | {'error': 'You already created this model repo'}, 409)
    private = body.get('private', body.get('visibility') == 'private')
    self.hub.created.append(body)
    self.hub.model(name, {'.gitattributes': b'*.safetensors filter=lfs\n'}, token='writer', private=private)
    return self.json(url)

  def preupload(self, repo: Repo, name: str) -> None:
    self.json(
      {
        'files': [
          {
            'path': x['path'],
            'uploadMode': 'lfs' if x['size'] >= LARGE else 'regular',
            'shouldIgnore': False,
            'oid': None,
          }
          for x in json.loads(self.content)['files']
        ]
      }
    )

  def batch(self) -> None:
    objects = json.loads(self.content)['objects']
    self.json(
      {
        'transfer': 'basic',
        'objects': [
          x | {'authenticated': True, 'actions': {'upload': {'href': f'{self.hub.url}/put/{x["oid"]}', 'header': {}}}}
          for x in objects
        ],
      },
      headers={'Content-Type': 'application/vnd.git-lfs+json'},
    )

  def do_PUT(self):
    self.hub.store[self.path.rpartition('/')[2]] = self.rfile.read(int(self.headers['Content-Length']))
    self.send(200)

  def commit(self, repo: Repo, name: str) -> None:
    files = dict(repo.commits[repo.branches['main']])
    for line in self.content.decode().splitlines():
      step = json.loads(line)
      if step['key'] == 'file':
        files[step['value']['path']] = base64.b64decode(step['value']['content'])
      elif step['key'] == 'lfsFile':
        files[step['value']['path']] = self.hub.store[step['value']['oid']]
      elif step['key'] == 'deletedFile':
        del files[step['value']['path']]
    sha = repo.publish(files)
    self.json({'success': True, 'commitOid': sha, 'commitUrl': f'{self.hub.url}/{name}/commit/{sha}', 'hookOutput': ''})


def entry(path: str, content: bytes) -> dict:
  """What the API says of a file."""
  found = {
    'type': 'file',
    'path': path,
    'size': len(content),
    'oid': hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest(),
  }
  if len(content) >= LARGE:
    found['lfs'] = {'oid': hashlib.sha256(content).hexdigest(), 'size': len(content), 'pointerSize': 134}
  return found
