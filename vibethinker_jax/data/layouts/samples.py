r"""Sample tests that stand in the statement of a programming problem, for rows that come without any others.

  cases('... Sample Input 1\n\n1 2\n\nSample Output 1\n\n3\n\nSince ...')
      == [{'input': '1 2\n', 'output': '3\n', 'testtype': 'stdin'}]
  cases('Example 1:\n\nInput: a = 1, b = [2]\nOutput: 3', 'class Solution:\n  def f(self, a: int, b: List[int]) ->
      int:') == [{'input': '1\n[2]', 'output': '3', 'testtype': 'functional'}]

A row has a few of them, all shown to the model: a program that passes them may still be wrong.
"""

import ast
import json
import re

_HEADING = re.compile(r'[ \t#*-]*(?:Sample|Example)[ \t]+(Input|Output)[ \t]*#?(\d*)[ \t:#*-]*')  # AtCoder's
_EXAMPLE = re.compile(
  r'^[ \t*]*Input:[ \t*]*(.*?)^[ \t*]*Output:[ \t*]*(.*?)'  # LeetCode's
  r'(?=^[ \t*]*(?:Explanation|Example|Input|Constraints|Note)\b|\n[ \t]*\n|\Z)',
  re.MULTILINE | re.DOTALL,
)
_SENTENCE = re.compile(r'[A-Za-z]+ [A-Za-z]+ [a-z]+.*\.\s*')
_NUMBERS = re.compile(r'[\s\d.,+-]+')
_FENCE = re.compile(r'```(?:python)?[ \t]*\n(.*?)```', re.DOTALL)


def starter_of(prompt: str) -> str:
  """The starter code that a prompt ends with: its last fenced block, if a class or function is begun in it; else ''."""
  found = _FENCE.findall(prompt)
  return found[-1] if found and re.search(r'^\s*(?:class|def)\s+\w+', found[-1], re.MULTILINE) else ''


def cases(statement: str, starter: str = '') -> list[dict]:
  """The sample tests of a statement in LiveCodeBench's form: input, output, testtype.

  Args:
    statement: the problem's text. starter: code that the program begins with, '' for programs that read standard input.

  Returns:
    The tests in the statement's order; [] if there are none, or one of them cannot be read.
  """
  if not starter:
    return _standard_input(statement)
  names, found = parameters(starter), []
  for given, output in _EXAMPLE.findall(statement):
    try:
      values = _arguments(given, names)
      found.append(
        {'input': '\n'.join(map(json.dumps, values)), 'output': json.dumps(_value(output)), 'testtype': 'functional'}
      )
    except ValueError:
      return []
  return found


def parameters(starter: str) -> list[str]:
  """The names of the last method's parameters, without self; [] if there is none."""
  tree = None
  for body in (' pass', ''):  # mostly it is to be written
    try:
      tree = tree or ast.parse(starter.rstrip() + body)
    except SyntaxError:
      continue
  if tree is None:
    return []
  methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
  return [a.arg for a in methods[-1].args.args if a.arg != 'self'] if methods else []


def _standard_input(statement: str) -> list[dict]:
  lines = [line.rstrip() for line in statement.splitlines()]
  heads = [(i, *match.groups()) for i, line in enumerate(lines) if (match := _HEADING.fullmatch(line))]
  found = []
  for (i, kind, number), (j, other, same), (end, *_) in zip(heads, heads[1:], heads[2:] + [(len(lines), '', '')]):
    output = _output(lines[j + 1 : end])
    if (kind, other) == ('Input', 'Output') and number == same and output:
      given = _fenced(lines[i + 1 : j]) or '\n'.join(lines[i + 1 : j]).strip('\n')
      found.append({'input': given + '\n', 'output': output + '\n', 'testtype': 'stdin'})
  return found


def _output(block: list[str]) -> str:
  """What is printed, of all that stands between this heading and the next: what follows an empty line explains it. ''
  where that is not certain: prose in the place of an empty output, more numbers after the empty line."""
  if fenced := _fenced(block):
    return fenced
  gap = next((i for i, line in enumerate(block) if line), len(block))
  end = next((i for i in range(gap, len(block)) if not block[i]), len(block))
  after = next((line for line in block[end:] if line), '')
  if gap > 1 and _SENTENCE.fullmatch(block[gap] if gap < len(block) else '') or _NUMBERS.fullmatch(after):
    return ''
  return '\n'.join(block[gap:end])


def _fenced(block: list[str]) -> str:
  """What stands in a block's ``` fences, if it begins with one."""
  text = '\n'.join(block).strip('\n')
  return '\n'.join(text.split('\n')[1:]).partition('\n```')[0] if text.startswith('```') else ''


def _arguments(text: str, names: list[str]) -> list:
  """The values of 'a = 1, b = [2]' in the order of the names.

  Raises:
    ValueError: other names, or a value that is none.
  """
  head = re.compile(r'\s*,?\s*(' + '|'.join(map(re.escape, names)) + r')\s*=(?!=)\s*')
  values, at = {}, 0
  while text[at:].strip():
    match = head.match(text, at)
    if not names or not match or match[1] in values:
      raise ValueError(f'the arguments {text!r} are not those of {names}')
    try:
      values[match[1]], at = json.JSONDecoder().raw_decode(text, match.end())
    except ValueError:  # a value of Python: it ends before the next name
      following = re.compile(',' + head.pattern).search(text, match.end())
      at = following.start() if following else len(text)
      values[match[1]] = _value(text[match.end() : at])
  if values.keys() != set(names):
    raise ValueError(f'the arguments {text!r} are not those of {names}')
  return [values[name] for name in names]


def _value(text: str):
  """Raises ValueError for what is neither a value of JSON nor one of Python."""
  try:
    return json.loads(text)
  except ValueError:
    try:
      return ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
      raise ValueError(f'{text!r} is no value') from error
