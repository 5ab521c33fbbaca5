"""What runs in a confined child: the program on its inputs. Standard library alone, loaded by the helper.

Nothing here holds an expected output, and nothing here decides: the host compares.
"""

import atexit
import builtins
import functools
import io
import json
import os
import resource
import sys
import threading
import time

import nodes
import values

TYPING = (
  'Any Callable Deque DefaultDict Dict Generator Iterable Iterator List NamedTuple Optional Sequence Set '
  'Tuple Type TypeVar Union'
).split()
# Modules whose names LeetCode gives a class Solution, and LiveCodeBench any program, without an import. Builtins go
# before: pow(2, 3, 5) is not math's.
GIVEN = ('operator', 'string', 'math', 'bisect', 'heapq', 'functools', 'itertools', 'collections', 'typing')
GIVEN_LIVECODEBENCH = (
  'string',
  're',
  'datetime',
  'collections',
  'heapq',
  'bisect',
  'copy',
  'math',
  'random',
  'statistics',
  'itertools',
  'functools',
  'operator',
  'io',
  'sys',
  'json',
  'typing',
)
STREAMS = ('stdin', 'stdout', 'stderr')  # of sys: they are the helper's
LITERAL = 50_000
RECURSION = 50_000  # LiveCodeBench's limit
RESULT_FD = 3


def given_names(modules):
  """name -> object: what `from module import *` brings of each, then the modules themselves."""
  names = {}
  for module in map(__import__, modules):
    names.update(
      (name, getattr(module, name))
      for name in getattr(module, '__all__', dir(module))
      if not name.startswith('_') and not hasattr(builtins, name) and name not in STREAMS
    )
  return names | {name: __import__(name) for name in modules + ('random', 're', 'sys')}


BUILTINS = dict(vars(builtins))
NAMES, NAMES_LIVECODEBENCH = given_names(GIVEN), given_names(GIVEN_LIVECODEBENCH)


def offer(names):
  """Gives names to a program beside the builtins, so that they never stand in its own namespace, where the function to
  call is looked up; and `from builtins import *` does not fetch them there."""
  builtins.__all__ = [name for name in dir(builtins) if not name.startswith('_')]
  builtins.__dict__.update(names)


def start(task):
  """What every program begins with."""
  if task.get('rule') == 'livecodebench':
    sys.setrecursionlimit(RECURSION)
    offer(NAMES_LIVECODEBENCH)


def compiled(text):
  """Code of a program's text, which a byte-order mark may begin. A literal has at most LITERAL digits; what it reads
  and prints afterwards may have any number: its time is its own."""
  sys.set_int_max_str_digits(LITERAL)
  code = compile(text.lstrip('\ufeff'), 'solution.py', 'exec', dont_inherit=True)
  sys.set_int_max_str_digits(0)
  return code


def case_limit(
  seconds, now=time.process_time, kind=resource.RLIMIT_CPU, get=resource.getrlimit, put=resource.setrlimit
):
  """The soft CPU limit for the next case, in the kernel's whole seconds, at most that for all together: a second below
  the hard one. A program may lift it and gains that second."""
  hard = get(kind)[1]
  soft = int(-(-(now() + seconds) // 1))
  put(kind, (soft if hard == resource.RLIM_INFINITY else max(1, min(soft, hard - 1)), hard))


def run_case(code, names, data, spares, exits):
  """Runs the compiled program on one stdin text; returns the kind of its end, one letter. exits: see guarded."""
  if spares:
    os.dup2(spares[0], 0)
    os.dup2(spares[1], 1)
  os.ftruncate(0, 0)
  os.lseek(0, 0, 0)
  for at in range(0, len(data), 1 << 20):
    os.write(0, data[at : at + (1 << 20)])
  os.lseek(0, 0, 0)
  sys.stdin = io.open(0, 'r', encoding='utf-8', closefd=False)
  sys.stdout = io.open(1, 'w', encoding='utf-8', newline='\n', closefd=False)
  builtins.__dict__.update(names)
  kind = guarded(lambda: exec(code, {'__name__': '__main__', '__builtins__': builtins}), exits)
  for thread in threading.enumerate():
    if thread is not threading.main_thread() and not thread.daemon:
      thread.join()
  end = guarded(lambda: (atexit._run_exitfuncs(), sys.stdout.flush()))
  return kind if kind != 'k' else end


def guarded(call, exits=(None, 0)):
  """k: ended well; e: raised, or exited with a code that is not in exits (None: any will do); m: out of memory. The
  broad except is the point of a sandbox."""
  try:
    call()
  except SystemExit as e:
    return 'k' if exits is None or any(e.code is code or e.code == code for code in exits) else 'e'
  except MemoryError:
    return 'm'
  except BaseException:
    return 'e'
  return 'k'


def stdin_program(task, write):
  code = []
  start(task)
  kind = guarded(lambda: code.append(compiled(task['source'])))
  cases, names = [data.encode('utf-8', 'surrogatepass') for data in task['inputs']], dict(builtins.__dict__)
  spares = (os.dup(0), os.dup(1)) if len(cases) > 1 else ()
  exits = None if task.get('rule') == 'livecodebench' else (None, 0)  # it ignores the code of sys.exit
  for data in cases:
    case_limit(task['limits']['case'])
    kind = run_case(code[0], names, data, spares, exits) if code else kind
    write(RESULT_FD, b'%s %d\n' % (kind.encode(), os.fstat(spares[1] if spares else 1).st_size))
    if kind != 'k':
      return  # the host stops at the first failure


def own(space, name):
  """The function to call: a method that the program's class Solution, made anew, has from the program's own classes; or
  else a plain function of the program. What a library class would lend is none, nor is the builtin of that name, which
  a star import may have brought.

  Raises KeyError, AttributeError.
  """
  solution = space.get('Solution')
  if not isinstance(solution, type):
    if space[name] is BUILTINS.get(name):
      raise AttributeError(f'{name} is the builtin')
    return space[name]
  made = solution()
  library = lambda c: c.__module__ in sys.modules and c.__module__ != '__main__'
  if name in getattr(made, '__dict__', ()) or any(name in vars(c) for c in type(made).__mro__ if not library(c)):
    return getattr(made, name)
  raise AttributeError(f'class Solution has no method {name}')


def function_program(task, write):
  """Calls a function of the program, one JSON line a case.

  An input is JSON of the arguments; or, where task['typed'], of {'call': an expression} or {'args', 'kwargs'} in the
  form of values.py, as is then the result. task['go_on']: an exception is reported by its name and is not the end.
  task['types']: see nodes.py; of the arguments and of the result. task['setup']: code that calls may use.
  """
  encode, decode, typed = json.JSONEncoder(default=values.plain).encode, json.loads, task.get('typed')
  to_form, from_form, make, levels = values.encode, values.decode, nodes.make, nodes.levels
  arguments, returns = task.get('types') or ((), ('', 0))
  space = {'__name__': 'solution', '__builtins__': builtins}
  start(task)
  if task.get('rule') != 'livecodebench':
    offer(NAMES if 'class Solution' in task['source'] else {name: NAMES[name] for name in TYPING})
  if task.get('types'):
    offer(nodes.KINDS)
  sys.stdin, sys.stdout = io.open(0, 'r', closefd=False), io.open(1, 'w', encoding='utf-8', closefd=False)
  graded, longest, no_exit = (
    task['function'],
    task['limits']['output'],
    (),
  )  # it has not come to its end if it exits before
  kind = guarded(lambda: exec(compiled(task['source']), space), no_exit)
  if kind == 'k' and task.get('setup'):  # in a copy: what it defines stands in for nothing of the program
    scope = dict(space)
    kind = guarded(lambda: exec(compiled(task['setup']), scope), no_exit)
  else:
    scope = space

  def call(text):
    wanted = decode(text)
    function = own(space, graded)
    if typed and 'call' in wanted:
      result = eval(wanted['call'], {**scope, 'candidate': function})
    else:
      given, named = (from_form(wanted['args']), from_form(wanted['kwargs'])) if typed else (wanted, {})
      if arguments:
        classes = {kind: space.get(kind, node) for kind, node in nodes.KINDS.items()}
        given = [make(*kind, value, classes) for kind, value in zip(arguments, given)]
      result = levels(*returns, function(*given, **named))
    if isinstance(result, str) and len(result) > longest:  # its line would take a second to make
      write_all(RESULT_FD, b' ' * (longest + 1) + b'\n', write)
      return
    write_all(RESULT_FD, encode(to_form(result) if typed else result).encode() + b'\n', write)

  def call_and_go_on(text):
    try:
      call(text)
    except Exception as e:
      write(RESULT_FD, b'!x ' + type(e).__name__.encode('ascii', 'replace')[:100] + b'\n')

  for text in task['inputs']:
    case_limit(task['limits']['case'])
    if kind == 'k':
      kind = guarded(functools.partial(call_and_go_on if task.get('go_on') else call, text), no_exit)
    if kind != 'k':
      write(RESULT_FD, b'!' + kind.encode() + b'\n')
      break
  guarded(lambda: sys.stdout.flush())  # looked at by the corpus runner alone


def write_all(fd, data, write):
  while data:
    data = data[write(fd, data) :]
