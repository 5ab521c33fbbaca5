r"""Sample tests that stand in the statement of a programming problem, for rows that come without any others.

  cases('... Sample Input 1\n\n1 2\n\nSample Output 1\n\n3\n\nSince ...')
      == [{'input': '1 2\n', 'output': '3\n', 'testtype': 'stdin'}]
  cases('Example 1:\n\nInput: a = 1, b = [2]\nOutput: 3', 'class Solution:\n  def f(self, a: int, b: List[int]) -> int:')
      == [{'input': '1\n[2]', 'output': '3', 'testtype': 'functional'}]

A row has a few of them, all shown to the model: a program that passes them may still be wrong.
"""

import ast
import json
import re

# AtCoder's headings; the input ends where its output begins, the output at an empty line (what follows explains it).
_SAMPLE = re.compile(r'^[ \t]*(?:Sample|Example) Input[ \t]*#?(\d*)[ \t]*:?[ \t]*\n(.*?)'
                     r'^[ \t]*(?:Sample|Example) Output[ \t]*#?\1[ \t]*:?[ \t]*\n(.*?)(?=\n[ \t]*\n|\Z)', re.MULTILINE | re.DOTALL)
# LeetCode's.
_EXAMPLE = re.compile(r'^[ \t]*Input:[ \t]*(.*?)^[ \t]*Output:[ \t]*(.*?)'
                      r'(?=^[ \t]*(?:Explanation|Example|Input|Constraints|Note)\b|\n[ \t]*\n|\Z)', re.MULTILINE | re.DOTALL)
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
    return [{'input': given.strip('\n') + '\n', 'output': output.strip('\n') + '\n', 'testtype': 'stdin'}
            for _, given, output in _SAMPLE.findall(_without_gaps(statement)) if output.strip()]
  names, found = parameters(starter), []
  for given, output in _EXAMPLE.findall(statement):
    try:
      values = _arguments(given, names)
      found.append({'input': '\n'.join(map(json.dumps, values)), 'output': json.dumps(_value(output)),
                    'testtype': 'functional'})
    except ValueError:
      return []
  return found


def parameters(starter: str) -> list[str]:
  """The names of the last method's parameters, without self; [] if there is none."""
  try:
    tree = ast.parse(starter.rstrip() + ' pass' if starter.rstrip().endswith(':') else starter)
  except SyntaxError:
    return []
  methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
  return [a.arg for a in methods[-1].args.args if a.arg != 'self'] if methods else []


def _without_gaps(statement: str) -> str:
  """The statement with the empty lines between a heading and what it heads taken out."""
  return re.sub(r'^([ \t]*(?:Sample|Example) (?:Input|Output)[ \t]*#?\d*[ \t]*:?)[ \t]*\n(?:[ \t]*\n)+', r'\1\n', statement,
                flags=re.MULTILINE)


def _arguments(text: str, names: list[str]) -> list:
  """The values of 'a = 1, b = [2]' in the order of the names.

  Raises:
    ValueError: other names, or a value that is none.
  """
  found = list(re.finditer(r'(?:^|,)\s*(' + '|'.join(map(re.escape, names)) + r')\s*=(?!=)', text)) if names else []
  ends = [match.start() for match in found[1:]] + [len(text)]
  values = {match[1]: _value(text[match.end():end]) for match, end in zip(found, ends)}
  if sorted(values) != sorted(names) or len(found) != len(names):
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
