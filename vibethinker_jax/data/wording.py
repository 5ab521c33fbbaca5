r"""What a model is asked: a problem as a set has it, and the words that the papers' protocol puts around it.

One wording for each kind of problem, the same in every stage and in `evaluate`:

  asked('What is 2+3?', {'answer': '5'})
      == "What is 2+3? Let's think step by step and output the final answer within \\boxed{}."
  asked('Which is red?', {'answer': 'A', 'choices': ['blood', 'grass']})
      == "Which is red?\n\nA) blood\nB) grass\n\nLet's think step by step and output the letter ... within \\boxed{}."

Each thing is said once: of a text that shows its options, its starter code, or says how to answer, only what it lacks
is added, so that asked(asked(x)) == asked(x). A row is only ever asked for what the verifiers read: a box, or a python
block (verify.parts). One that asks for another form ('Answer: ...' as DAPO, '<answer>', '####' as verl's GSM8K) keeps
that, and is told to box what it writes there: 'Answer: \\boxed{7}' is both.

Maths: the words at the end of the papers' published AIME24 file (VibeThinker-1.5B §4.1). Standard input and starter
code: LiveCodeBench's own prompt. Choice, functions and completion are not published: ours.
"""

import re
import string

MATHS = "{problem} Let's think step by step and output the final answer within \\boxed{{}}."
LETTER = "{problem}\n\nLet's think step by step and output the letter of the right option within \\boxed{{}}."
BOX_IT = '{problem}\n\nWrite the final answer itself within \\boxed{{}}.'
_TASK = (
  'You will be given a question (problem specification) and will generate a correct Python program that matches '
  'the specification and passes all tests.\n\nQuestion: {problem}\n\n'
)
STDIN = _TASK + (
  'Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample '
  'inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the '
  'inputs, runs the algorithm and writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n'
)
STARTER = _TASK + (
  'You will use the following starter code to write the solution to the problem and enclose your code within '
  'delimiters.\n```python\n{starter_code}\n```\n\n'
)
SHOWN = '{problem}\n\nUse this starter code:\n```python\n{starter_code}\n```'  # of a text that says how to answer
COMPLETE = (
  'Complete this Python function. Answer with the whole function, with what it imports, in one ```python '
  'block.\n\n```python\n{starter_code}```'
)
FUNCTION = '{problem}\nAnswer with the whole Python code in one ```python block.'
NAMED = '{problem}\n\nThe function to write is `{name}`.'

# A box in a problem is often a part of it (an operation, a gap to be filled): these words make it an instruction.
_BOX = re.compile(r'\\(?:boxed|fbox)(?![a-zA-Z])(?!\s*\{\s*\\(?!text|mathrm|l?dots))')
_BOX_WORDS = re.compile(
  r'\b(?:answers?|within|enclosed?|wrap(?:ped)?|output|format|solution)\b|答案|结果|最终|回答', re.IGNORECASE
)
_BOX_IN_WORDS = re.compile(r'\bbox your (?:final )?answer\b|\bboxed (?:final )?answer\b', re.IGNORECASE)
_OTHER_FORM = re.compile(r'</?answer>|####|\bAnswer:\s*[$<\\\[{]|["\'`“]Answer:', re.IGNORECASE)
_FENCE = re.compile(r'```[ \t]*py', re.IGNORECASE)
_FENCE_WORDS = re.compile(
  r'\b(?:enclosed?|delimiters?|markdown|code block|wrap(?:ped)?|fenced?|present the code|'
  r'your (?:whole )?(?:code|answer|program|solution)|complete (?:the|this)|following format|'
  r'in one)\b',
  re.IGNORECASE,
)
_FENCE_IN_WORDS = re.compile(r'\b(?:python|markdown) (?:code )?block\b|\btriple backticks\b', re.IGNORECASE)
_NEAR, _AFTER = 250, 150  # characters before and after a box or fence in which the words that ask for it stand
_DEFINED = re.compile(r'^[ \t]*((?:async )?def[ \t]+\w+[^\n]*?)[ \t]*:?[ \t]*(?:\.\.\.|pass)?[ \t]*$', re.MULTILINE)
_IMPORTED = re.compile(r'^[ \t]*from solution import (\w+)', re.MULTILINE)
_CHECKED = re.compile(r'^[ \t]*check\([ \t]*(?:Solution\(\)\.)?(\w+)', re.MULTILINE)
_ASSERTED = re.compile(r'^[ \t]*assert[ \t(]+(\w+)\(', re.MULTILINE)


def kind_of(row: dict, problem: str = '') -> str:
  """'maths', 'choice', 'function', 'stdin' or 'completion', by how the row is judged; '' for constraints, and for a row
  that nothing judges.

  Args:
    row: with tests (the form of verify.code), choices, answer, starter_code, constraints, whichever it has. problem:
      its text; only a row whose problem is its starter code (HumanEval) is a completion, without it a function.
  """
  tests, starter = row.get('tests'), row.get('starter_code') or ''
  if row.get('constraints') is not None:
    return ''
  if tests:
    if starter.strip() and problem.strip() and _plain(problem) == _plain(starter):
      return 'completion'
    stdin = isinstance(tests, dict) and 'cases' in tests and not tests.get('function') and not starter.strip()
    return 'stdin' if stdin else 'function'
  if row.get('choices') and isinstance(row['choices'], list):
    return 'choice'
  return 'maths' if row.get('answer') not in (None, '') else ''


def asked(problem: str | list[dict], row: dict) -> str | list[dict]:
  """What a model is asked.

  Args:
    problem: text, or chat messages: then the last user turn is worded in a copy, all others stay. What any turn but the
      assistant's says need not be said again.
    row: as of `kind_of`.
  """
  if isinstance(problem, str):
    return _worded(problem, problem, row)
  users = [i for i, turn in enumerate(problem) if turn['role'] == 'user']
  if not users:
    return problem
  said = '\n\n'.join(turn['content'] for turn in problem if turn['role'] != 'assistant')
  worded = _worded(problem[users[-1]]['content'], said, row)
  return [turn | {'content': worded} if i == users[-1] else turn for i, turn in enumerate(problem)]


def options(choices: list) -> str:
  """'A) ...' and so on, a line each; of options that bring their letters along, those go."""
  return '\n'.join(f'{letter}) {text}' for letter, text in _lettered(choices))


def _lettered(choices: list) -> list[tuple[str, str]]:
  pairs = [(letter, str(choice).strip()) for letter, choice in zip(string.ascii_uppercase, choices)]
  own = [re.match(rf'\(?{letter}\s*[).:]\s*(?=\S)', text) for letter, text in pairs]
  return [(letter, text[match.end() :]) for (letter, text), match in zip(pairs, own)] if all(own) else pairs


def fields(row: dict) -> dict:
  """What a template of the user's finds besides the row's own fields: {options} as lines, {starter_code} of any
  program."""
  found = {'options': options(row['choices'])} if row.get('choices') and isinstance(row['choices'], list) else {}
  return found | ({'starter_code': row.get('starter_code') or ''} if row.get('tests') is not None else {})


def _worded(text: str, said: str, row: dict) -> str:
  """`text` with what `said`, all turns together, lacks."""
  kind = kind_of(row, text)
  if kind in ('maths', 'choice'):
    listed = kind == 'choice' and not _shows_options(said, row['choices'])
    text = f'{text}\n\n{options(row["choices"])}' if listed else text
    if _asks(said, _BOX, _BOX_WORDS, _BOX_IN_WORDS):
      return text
    letter = kind == 'choice' or _answers_by_letter(said, str(row['answer']))
    return (BOX_IT if _OTHER_FORM.search(said) else LETTER if letter else MATHS).format(problem=text)
  if not kind:
    return text
  starter, told = row.get('starter_code') or '', _asks(said, _FENCE, _FENCE_WORDS, _FENCE_IN_WORDS)
  if kind == 'completion':
    return COMPLETE.format(starter_code=starter)
  if kind == 'stdin':
    return text if told else STDIN.format(problem=text)
  if starter.strip() and not _shows_code(said, starter):
    return (SHOWN if told else STARTER).format(problem=text, starter_code=starter)
  name = '' if starter.strip() else _unnamed(said, row['tests'])
  text = NAMED.format(problem=text, name=name) if name else text
  return text if told else FUNCTION.format(problem=text)


def _asks(said: str, sign: re.Pattern, words: re.Pattern, plainly: re.Pattern) -> bool:
  """Whether a text asks for an answer's form: by its sign and words near it, or plainly without the sign."""
  return bool(plainly.search(said)) or any(
    words.search(said[max(0, match.start() - _NEAR) : match.end() + _AFTER]) for match in sign.finditer(said)
  )


def _shows_options(said: str, choices: list) -> bool:
  """Whether every option stands in the text behind its letter: 'A) x', '(A) x', 'A. x', '$\\textbf{(A)}$ x'."""
  text = _plain(said)
  return all(
    re.search(rf'(?<![A-Za-z0-9]){letter}(?=[\W_])[\W_]{{1,12}}?{re.escape(_plain(option))}(?!\w)', text)
    for letter, option in _lettered(choices)
  )


def _answers_by_letter(said: str, answer: str) -> bool:
  """Whether a row without `choices` is one: its answer is a letter, and the text has options up to it and B at
  least."""
  letter = answer.strip(' ().')
  return bool(re.fullmatch('[A-J]', letter)) and all(
    re.search(rf'(?:^|[\s({{*]){x}[).:]', said) for x in string.ascii_uppercase[: max(2, ord(letter) - 64)]
  )


def _shows_code(said: str, starter: str) -> bool:
  """Whether every function that the starter code begins is begun in the text."""
  text, lines = _plain(said), _DEFINED.findall(starter) or [starter]
  return all(_plain(line) in text for line in lines)


def _unnamed(said: str, tests) -> str:
  """The name of the function that the tests call, where the text does not say it; else ''."""
  if not isinstance(tests, dict):
    return ''
  names = [str(tests['function']).split('.')[-1]] if tests.get('function') else []
  if not names and tests.get('asserts'):
    code = tests['asserts'] if isinstance(tests['asserts'], str) else '\n'.join(map(str, tests['asserts']))
    found = _CHECKED if re.search(r'^[ \t]*def check\(', code, re.MULTILINE) else _ASSERTED
    names = [x for x in _IMPORTED.findall(code) or found.findall(code) if x not in ('Solution', 'candidate')]
  return names[0] if names and not any(re.search(rf'\b{re.escape(x)}\b', said) for x in names) else ''


def _plain(text) -> str:
  return ' '.join(str(text).split())
