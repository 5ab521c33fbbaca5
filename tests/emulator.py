"""gcp-storage-emulator, several requests at once and with faults.

By itself it answers one connection at a time, and writes all that it knows to a file at every change.
"""

from collections.abc import Callable
import contextlib
from http import server
import io
import socket
import threading
import time
import urllib.parse

from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.server import RequestHandler, Router
from gcp_storage_emulator.storage import Storage

BUCKET = 'bucket-one'


class InMemory(Storage):
  def _write_config_to_file(self):
    pass


class Server:
  """On a free port of this machine.

  Attributes:
    faults: each is asked of every request, as a Handler; one that returns True has answered it (or not).
    seen: (method, path, beginning of the body) of every request. environment: of a process that is to use it.
  """

  url = f'gs://{BUCKET}'

  def __init__(self):
    self.storage, self.faults, self.seen, self.lock = InMemory(use_memory_fs=True), [], [], threading.Lock()
    buckets.create_bucket(BUCKET, self.storage)
    self._http = server.ThreadingHTTPServer(('localhost', 0), lambda *args: Handler(self, *args))
    self._http.daemon_threads = True
    threading.Thread(target=self._http.serve_forever, daemon=True).start()
    host = f'http://localhost:{self._http.server_address[1]}'
    self.environment = {
      'STORAGE_EMULATOR_HOST': host,
      'TENSORSTORE_GCS_HTTP_URL': host,
      'GOOGLE_AUTH_TOKEN_FOR_TESTING': 'x',
    }

  def names(self, prefix: str = '') -> list[str]:
    with self.lock:
      return sorted(name for name in self.storage.objects.get(BUCKET, {}) if name.startswith(prefix))

  def read(self, name: str) -> bytes:
    with self.lock:
      return self.storage.get_file(BUCKET, name)

  def write(self, name: str, content: bytes) -> None:
    found = objects._make_object_resource('', BUCKET, name, 'application/octet-stream', str(len(content)))
    with self.lock:
      self.storage.create_file(BUCKET, name, content, objects._checksums(content, found))

  def delete(self, name: str) -> None:
    with self.lock:
      self.storage.delete_file(BUCKET, name)

  def empty(self) -> None:
    self.faults.clear()
    self.seen.clear()
    with self.lock:
      self.storage.wipe()
      buckets.create_bucket(BUCKET, self.storage)

  def close(self) -> None:
    self._http.shutdown()
    self._http.server_close()


class Handler(RequestHandler):
  def __init__(self, owner: Server, *args):
    self.owner = owner
    super().__init__(owner.storage, *args)

  def answer(self, method: str) -> None:
    size = int(self.headers.get('Content-Length') or 0)
    self.head = self.rfile.read(min(size, 1000))  # of an upload: the object's name
    self.owner.seen.append((method, urllib.parse.unquote(self.path), self.head))
    if any(fault(self) for fault in self.owner.faults):
      return
    out, self.wfile = self.wfile, io.BytesIO()
    self.rfile = io.BytesIO(self.head + self.rfile.read(size - len(self.head)))
    with self.owner.lock:
      Router(self).handle(method)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
      out.write(self.wfile.getvalue())
    self.wfile = out

  def do_GET(self):
    self.answer('GET')

  def do_POST(self):
    self.answer('POST')

  def do_PUT(self):
    self.answer('PUT')

  def do_DELETE(self):
    self.answer('DELETE')

  def do_PATCH(self):
    self.answer('PATCH')

  def log_message(self, *_):
    pass


def unavailable(times: int, wanted: Callable[[Handler], bool] = lambda handler: True) -> Callable:
  """503 for so many of the requests that are wanted."""
  left = [times]

  def fault(handler: Handler) -> bool:
    if not left[0] or not wanted(handler):
      return False
    left[0] -= 1
    handler.send_response(503)
    handler.send_header('Content-Length', '0')
    handler.end_headers()
    return True

  return fault


def refused(status: int) -> Callable:
  """Every request is answered so."""

  def fault(handler: Handler) -> bool:
    handler.send_response(status)
    handler.send_header('Content-Length', '0')
    handler.end_headers()
    return True

  return fault


def slow(seconds: float) -> Callable:
  def fault(handler: Handler) -> bool:
    time.sleep(seconds)
    return False

  return fault


def cut(times: int, wanted: Callable[[Handler], bool]) -> Callable:
  """The connection ends in the middle of what is put up."""
  left = [times]

  def fault(handler: Handler) -> bool:
    if not left[0] or not wanted(handler):
      return False
    left[0] -= 1
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True

  return fault


def uploads(part: str) -> Callable[[Handler], bool]:
  """Whether a request puts up an object with this in its name, or a part of any large one."""
  return lambda handler: '/upload/' in handler.path and (handler.command == 'PUT' or part.encode() in handler.head)


if __name__ == '__main__':
  for name, value in Server().environment.items():
    print(f'export {name}={value}', flush=True)
  threading.Event().wait()
