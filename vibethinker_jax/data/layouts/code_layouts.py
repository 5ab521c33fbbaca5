r"""Tests of programs, in every form in which sets publish them, as verify.code runs them.

read('{"inputs": ["1 2\\n"], "outputs": ["3\\n"]}')['cases'] == [{'input': '1 2\n', 'output': '3\n'}]
read({'fn_name': 'add', 'inputs': [[1, 2]], 'outputs': [[3]]})['cases'] == [{'args': [1, 2], 'expected': 3}]
"""

import json
import re
from typing import Any

from vibethinker_jax.data.layouts import livecodebench, samples, unittest_layouts
from vibethinker_jax.data.layouts.layout_fields import Unusable, decoded, filled, text

_GIVEN = ('input', 'inputs', 'stdin', 'in', 'args')
_EXPECTED = ('output', 'outputs', 'expected_output', 'expected', 'stdout', 'out', 'answer')
_NESTED = ('test_cases', 'tests', 'testcases', 'unit_tests', 'input_output', 'cases', 'ground_truth')
_CODE = ('functional', 'test_code', 'test', 'pytest', 'asserts', 'assert', 'assert_case', 'check')
_NAMES = ('fn_name', 'func_name', 'function_name', 'function', 'entry_point')
_CALLS = {'functional', 'function_call', 'function', 'call', 'call_based'}
_RETURNS_LIST = re.compile(r'->\s*(?:typing\.)?(?:List|list|Sequence|Tuple|tuple|Iterable)\b')


def read(value: Any, row: dict | None = None) -> dict | None:
  """Tests in the form of verify.code; None for what is no tests at all.

  Args:
    value: lists of inputs and outputs, of cases, of asserts, test code, an object with one of these, or text of it,
      also LiveCodeBench's packed text. row: its `starter_code` and `time_limit` say how to call and how long.

  Raises:
    ValueError: tests that are malformed. Unusable: tests that cannot be run here, or none.
  """
  row = row or {}
  value = decoded(value)
  if isinstance(value, str):
    if value.startswith('eJ') and len(value) > 40 and ' ' not in value[:40]:  # base64 of zlib
      return read(livecodebench.decode_cases(value), row)
    return unittest_layouts.read(value) if unittest_layouts.is_code(value) else None
  if isinstance(value, dict):
    return _object(value, row)
  if not isinstance(value, list) or not value:
    return None
  if all(isinstance(part, str) and unittest_layouts.is_code(part) for part in value):
    return unittest_layouts.read('\n'.join(value))
  if all(isinstance(part, dict) and _is_case(part) for part in value):
    return _cases(value, row)
  if len(value) == 1 and isinstance(value[0], dict):
    return _object(value[0], row)
  if len(value) == 1 and isinstance(value[0], str):  # Dolci's list of one text that is the tests
    return read(value[0], row)
  if all(
    isinstance(part, list) and len(part) == 2 and all(isinstance(said, str) for said in part) for part in value
  ) and (row.get('tests') is not None or row.get('test_cases') is not None):
    return _cases([{'input': given, 'output': output} for given, output in value], row)
  return None


def plain(row: dict) -> dict | None:
  """The `tests` of a row that has our own forms, as verify.code has them; forms it does not know stay as they are."""
  found = row.get('tests')
  if isinstance(found, str) and found:  # parquet sets often hold them as text
    found = json.loads(found)
  if isinstance(found, list):
    return {'cases': found} if found else None
  if isinstance(found, dict) and {'inputs', 'outputs'} <= found.keys() and 'cases' not in found:
    pairs = zip(found['inputs'], found['outputs'], strict=True)
    return {'cases': [{'input': given, 'output': output} for given, output in pairs]}
  return found or None


def _object(value: dict, row: dict) -> dict | None:
  if 'asserts' in value or isinstance(value.get('cases'), list) and not {'language', 'type'} & value.keys():
    return value  # our own form
  language = value.get('language')
  if isinstance(language, str) and not language.lower().startswith('py'):
    raise Unusable(f'its tests are for programs in {language}')
  name = next((value[key] for key in _NAMES if text(value.get(key))), '')
  for key in _CODE:
    if key in value and isinstance(value[key], (str, list)) and (found := value[key]):
      return unittest_layouts.read(found if isinstance(found, str) else '\n'.join(map(str, found)), name)
  for key in _NESTED:
    if key in value and (nested := decoded(value[key])):
      row = row | {'fn_name': name} if name else row
      return read([nested] if isinstance(nested, dict) and _is_case(nested) else nested, row)
  return _cases([_columned(value)], row) if _is_case(value) else None


def _columned(value: dict) -> dict:
  """One object whose `input` and `output` are lists of as many holds that many cases; a call has a list of
  arguments."""
  given, expected = decoded(value.get('input')), decoded(value.get('output'))
  several = (
    isinstance(given, list) and isinstance(expected, list) and len(given) == len(expected) and not _function(value)
  )
  return {'inputs': given, 'outputs': expected} if several else value


def _is_case(value: dict) -> bool:
  return _key(value, _GIVEN) != '' and _key(value, _EXPECTED) != '' or 'assert_case' in value


def _key(value: dict, names: tuple) -> str:
  return next((name for name in names if name in value), '')


def _cases(cases: list[dict], row: dict) -> dict:
  """Cases one by one, or objects with as many `inputs` as `outputs`."""
  if all('assert_case' in case for case in cases):
    return unittest_layouts.read('\n'.join(str(case['assert_case']) for case in cases))
  if all('testtype' in case for case in cases):
    metadata = [decoded(held.get('metadata')) for held in (*cases, row)]
    named = next((m['func_name'] for m in metadata if isinstance(m, dict) and text(m.get('func_name'))), _function(row))
    return livecodebench.tests(cases, [], row.get('starter_code') or '', named)
  name, pairs = next((n for n in map(_function, cases) if n), _function(row)), []
  for case in cases:
    given, expected = case[_key(case, _GIVEN)], case[_key(case, _EXPECTED)]
    if _key(case, _GIVEN) == 'inputs' or _key(case, _EXPECTED) == 'outputs':
      given, expected = decoded(given), decoded(expected)
      if isinstance(given, str) and isinstance(expected, str):  # of a single case
        given, expected = [given], [expected]
      if not isinstance(given, list) or not isinstance(expected, list) or len(given) != len(expected):
        raise ValueError(
          f'tests need as many "inputs" as "outputs", both lists; here {_size(given)} and {_size(expected)}'
        )
      pairs += zip(given, expected)
    else:
      pairs.append((given, expected))
  if not pairs:
    raise Unusable('it has no tests')
  if not name and any(isinstance(case.get('type'), str) and case['type'] in _CALLS for case in cases):
    raise ValueError('its tests call a function and do not say which ("fn_name")')
  return limited(
    _calls(name, pairs, row)
    if name
    else {'cases': [{'input': _lines(given), 'output': _lines(expected)} for given, expected in pairs]},
    row,
  )


def _function(value: dict) -> str:
  return next((value[key].strip() for key in _NAMES[:3] if text(value.get(key))), '')


def _size(value: Any) -> str:
  return str(len(value)) if isinstance(value, list) else type(value).__name__


def _lines(value: Any) -> str:
  """Standard input or output; some sets have lists of lines."""
  if isinstance(value, list):
    return '\n'.join(map(_lines, value))
  if not isinstance(value, (str, int, float)):
    raise ValueError(f'a test case needs text as input and output, not {type(value).__name__}')
  return value if isinstance(value, str) else str(value)


def _calls(name: str, pairs: list[tuple], row: dict) -> dict:
  """Calls of a function. APPS and TACO put every expected value into a list of one."""
  starter = row.get('starter_code') if isinstance(row.get('starter_code'), str) else ''
  as_text = all(isinstance(given, str) for given, _ in pairs)
  values = [_value(expected) if as_text else expected for _, expected in pairs]
  wrapped = not as_text and all(isinstance(value, list) and len(value) == 1 for value in values)
  if wrapped and not (_RETURNS_LIST.search(starter) and not any(isinstance(value[0], list) for value in values)):
    values = [value[0] for value in values]
  return {
    'function': name,
    'cases': [{'args': _arguments(given, starter), 'expected': value} for (given, _), value in zip(pairs, values)],
  }


def _arguments(given: Any, starter: str) -> list:
  """A call's arguments: a list of them, an object by name, or JSON of each on a line of its own."""
  if isinstance(given, dict):
    names = samples.parameters(starter)
    return [given[n] for n in names] if set(names) == set(given) else list(given.values())
  if not isinstance(given, str):
    return given if isinstance(given, list) else [given]
  return [_value(line) for line in given.split('\n') if line.strip()]


def _value(value: Any) -> Any:
  try:
    return json.loads(value) if isinstance(value, str) else value
  except ValueError:
    return value


def limited(tests: dict, row: dict) -> dict:
  """The tests with limits for all cases and each. A set's own limit is for faster languages too: 6 s a case is the
  least."""
  given, found = decoded(row.get('time_limit')), 0.0
  if isinstance(given, dict):  # CodeContests
    found = (given.get('seconds') or 0) + (given.get('nanos') or 0) / 1e9
  elif isinstance(given, (int, float)):
    found = given / 1000 if given > 100 else given  # milliseconds
  elif match := re.match(r'\s*(\d+(?:\.\d+)?)', given or ''):
    found = float(match[1])
  each = float(min(max(livecodebench.SECONDS, found), livecodebench.TOGETHER))
  return tests | {
    'limits': {'cpu_seconds': min(livecodebench.TOGETHER, each * len(tests['cases'])), 'case_seconds': each}
  }


def contests(row: dict) -> dict:
  """The tests of CodeContests: public, private and generated ones.

  Raises:
    Unusable: there are none, or the program reads a file.
  """
  if text(row.get('input_file')) or text(row.get('output_file')):
    raise Unusable('its programs read and write files, not standard input and output')
  pairs = []
  for name in ('public_tests', 'private_tests', 'hidden_tests', 'generated_tests'):
    held = decoded(row.get(name))
    if isinstance(held, list):
      held = {'input': [case['input'] for case in held], 'output': [case['output'] for case in held]}
    if isinstance(held, dict) and filled(held.get('input')):
      if len(held['input']) != len(held.get('output') or ()):
        raise ValueError(f'{name!r} has {len(held["input"])} inputs and {len(held.get("output") or ())} outputs')
      pairs += zip(held['input'], held['output'])
  if not pairs:
    raise Unusable('it has no tests')
  return limited({'cases': [{'input': _lines(given), 'output': _lines(expected)} for given, expected in pairs]}, row)


def codeforces(row: dict) -> dict:
  """The official tests of open-r1's codeforces, its examples where it has none.

  Raises:
    Unusable: more than the output decides: a checker, an interactive problem, files; or there are no tests.
  """
  for name, why in (
    ('generated_checker', 'several outputs may be right, and a checker of its own decides'),
    ('interaction_format', 'it is interactive'),
  ):
    if text(row.get(name)):
      raise Unusable(f'{why} ({name!r})')
  if row.get('input_mode') == 'file':
    raise Unusable('its programs read and write files, not standard input and output')
  cases = decoded(row.get('official_tests')) or decoded(row.get('examples'))
  if not cases:
    raise Unusable('it has no tests')
  return read(cases, row)
