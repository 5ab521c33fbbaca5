"""LiveCodeBench's own files: test1.jsonl .. test6.jsonl of code_generation_lite, with their private tests.

A row has `question_content`, `starter_code`, `public_test_cases` (JSON text), `private_test_cases` (base64 of zlib of a
pickle of JSON text; older files: JSON text), and `metadata`, JSON text whose `func_name` names the method to call.
"""

import base64
import binascii
import io
import json
import pickle
import re
import zlib

from vibethinker_jax.data.layouts import samples

LARGEST = 1 << 30  # bytes of one problem's unpacked tests; the largest of the real files has 0.4 GB
SECONDS = 6.0  # of CPU for one case, the official harness's limit
TOGETHER = 60.0  # for all cases of one problem
WHERE = (
  'take the official files with tests, test*.jsonl of https://huggingface.co/datasets/livecodebench/'
  'code_generation_lite'
)
_METHOD = re.compile(r'^\s+def\s+(\w+)\s*\(', re.MULTILINE)


class NoTests(ValueError):
  """A row without tests, from whose statement none can be read."""


class _TextOnly(pickle.Unpickler):
  """Unpickles text, numbers and lists alone: a pickle runs code only through the globals that it names."""

  def find_class(self, module, name):
    raise pickle.UnpicklingError(f'it names {module}.{name}, which test cases do not need')

  def persistent_load(self, pid):
    raise pickle.UnpicklingError('it names an object outside itself')


def decode_cases(encoded: str | list) -> list[dict]:
  """Test cases [{'input', 'output', 'testtype'}, ...] of either field.

  Raises:
    ValueError: it is neither form, or the pickle holds anything but text.
  """
  if not isinstance(encoded, str):
    return encoded
  if not encoded.strip():
    return []
  if encoded.lstrip()[:1] == '[':
    return json.loads(encoded)
  try:
    unpacker = zlib.decompressobj()
    packed = unpacker.decompress(base64.b64decode(encoded, validate=True), LARGEST)
    if unpacker.unconsumed_tail or not unpacker.eof:
      raise ValueError(f'cut off, or unpacked larger than {LARGEST >> 20} MB')
    text = _TextOnly(io.BytesIO(packed)).load()
    if not isinstance(text, str):
      raise ValueError(f'the pickle holds {type(text).__name__}, not text')
    return json.loads(text)
  except (
    ValueError,
    zlib.error,
    binascii.Error,
    pickle.UnpicklingError,
    EOFError,
    IndexError,
    KeyError,
    AttributeError,
    TypeError,
    OverflowError,
    UnicodeError,
  ) as error:
    raise ValueError(f'private_test_cases cannot be decoded (base64, zlib, pickle, JSON): {error}') from error


def encode_cases(cases: list[dict]) -> str:
  """The packed form of test cases; `decode_cases` is its inverse."""
  return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


def tests(public: list[dict], private: list[dict], starter: str, function: str = '') -> dict:
  """Cases in the form of verify.code: standard input, or calls of a method of `class Solution`.

  Args:
    starter: code that the program begins with, '' for programs that read standard input.
    function: the method's name; '' finds it in the starter.

  Raises:
    ValueError: a case is malformed, or the method has no name.
  """
  cases = list(public) + list(private)
  if not all(
    isinstance(case, dict) and isinstance(case.get('input'), str) and isinstance(case.get('output'), str)
    for case in cases
  ):
    raise ValueError('a test case needs "input" and "output", both text')
  limits = {'cpu_seconds': min(TOGETHER, SECONDS * max(1, len(cases))), 'case_seconds': SECONDS}
  if not any(case.get('testtype') == 'functional' for case in cases):
    return {
      'cases': [{'input': case['input'], 'output': case['output']} for case in cases],
      'limits': limits,
      'compare': 'livecodebench',
    }
  found = _METHOD.findall(starter)
  function = function or (found[-1] if found else '')
  if not function:
    raise ValueError('the starter code names no method to call')
  return {
    'function': function,
    'limits': limits,
    'compare': 'livecodebench',
    'cases': [
      {
        'args': [json.loads(line) for line in case['input'].split('\n') if line.strip()],
        'expected': json.loads(case['output']),
      }
      for case in cases
    ],
  }


def official(row: dict) -> dict:
  """Fields of an official row: problem, starter_code, tests, tests_are ('all', 'public' or, where a copy has lost both,
  'sample': those of the statement), subject, id, date.

  Raises:
    NoTests: there are none at all. ValueError: malformed tests.
  """
  private, shown = decode_cases(row.get('private_test_cases') or ''), decode_cases(row.get('public_test_cases') or '')
  metadata = row.get('metadata') or {}
  metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
  starter = row.get('starter_code') or ''
  given = private or shown
  shown = shown if given else sampled(row['question_content'], starter)
  return {
    'problem': row['question_content'],
    'starter_code': starter,
    'answer': None,
    'tests': tests(shown, private, starter, metadata.get('func_name') or ''),
    'tests_are': 'all' if private else 'public' if given else 'sample',
    'subject': row.get('difficulty') or row.get('platform'),
    'id': row.get('question_id'),
    'date': str(row.get('contest_date') or '')[:10],
  }


def public(row: dict) -> dict:
  """Fields of a row of `tests` with `testtype`, the form in which the public tests alone are handed around."""
  starter = row.get('starter_code') or ''
  return {
    'starter_code': starter,
    'tests': tests(row['tests'], [], starter),
    'tests_are': 'public',
    'answer': None,
    'id': row.get('id') or row.get('question_id') or row.get('title'),
    'date': str(row.get('contest_date') or '')[:10],
    'subject': 'method' if starter else 'standard input',
  }


def from_prompt(row: dict) -> dict:
  """Fields of a row that has the words of the prompt alone: the tests are the samples in its statement.

  Raises:
    NoTests: there are none that can be read.
  """
  starter = samples.starter_of(row['prompt'])
  return {
    'starter_code': starter,
    'tests': tests(sampled(row['prompt'], starter), [], starter),
    'tests_are': 'sample',
    'answer': None,
    'id': row['question_id'],
    'date': str(row['contest_date'] or '')[:10],
    'subject': 'method' if starter else 'standard input',
  }


def sampled(statement: str, starter: str) -> list[dict]:
  """The sample tests of a statement. Raises NoTests where it has none."""
  found = samples.cases(statement, starter) if isinstance(statement, str) else []
  if not found:
    raise NoTests('no tests, and no sample tests can be read from the statement')
  return found
