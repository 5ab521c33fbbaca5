"""What runs in a confined child: the program on its inputs. Standard library alone, loaded by the helper.

Nothing here holds an expected output, and nothing here decides: the host compares.
"""
import atexit
import builtins
import io
import json
import os
import resource
import sys
import threading
import time

import values

TYPING = (
  'Any Callable Deque DefaultDict Dict Generator Iterable Iterator List NamedTuple Optional Sequence Set '
  'Tuple Type TypeVar Union').split()
# What LeetCode gives a class Solution without an import. Builtins go before: pow(2, 3, 5) is not math's.
GIVEN = ('operator', 'string', 'math', 'bisect', 'heapq', 'functools', 'itertools', 'collections', 'typing')
RESULT_FD = 3


def given_names():
  names = {name: __import__(name) for name in GIVEN + ('random', 're', 'sys')}
  for module in (sys.modules[name] for name in GIVEN):
    names.update((name, getattr(module, name)) for name in getattr(module, '__all__', dir(module))
                 if not name.startswith('_') and not hasattr(builtins, name))
  return names


NAMES = given_names()


def case_limit(seconds, now=time.process_time, kind=resource.RLIMIT_CPU, get=resource.getrlimit,
               put=resource.setrlimit):
  """The soft CPU limit for the next case, in the kernel's whole seconds, at most that for all together: a second below
  the hard one. A program may lift it and gains that second."""
  hard = get(kind)[1]
  soft = int(-(-(now() + seconds) // 1))
  put(kind, (soft if hard == resource.RLIM_INFINITY else max(1, min(soft, hard - 1)), hard))


def run_case(code, names, data, spares):
  """Runs the compiled program on one stdin text; returns the kind of its end, one letter."""
  if spares:
    os.dup2(spares[0], 0)
    os.dup2(spares[1], 1)
  os.ftruncate(0, 0)
  os.lseek(0, 0, 0)
  for at in range(0, len(data), 1 << 20):
    os.write(0, data[at:at + (1 << 20)])
  os.lseek(0, 0, 0)
  sys.stdin = io.open(0, 'r', encoding='utf-8', closefd=False)
  sys.stdout = io.open(1, 'w', encoding='utf-8', newline='\n', closefd=False)
  builtins.__dict__.update(names)
  kind = guarded(lambda: exec(code, {'__name__': '__main__', '__builtins__': builtins}))
  for thread in threading.enumerate():
    if thread is not threading.main_thread() and not thread.daemon:
      thread.join()
  end = guarded(lambda: (atexit._run_exitfuncs(), sys.stdout.flush()))
  return kind if kind != 'k' else end


def guarded(call):
  """k: ended well; e: raised or a non-zero exit; m: out of memory. The broad except is the point of a
  sandbox."""
  try:
    call()
  except SystemExit as e:
    return 'k' if e.code in (None, 0) else 'e'
  except MemoryError:
    return 'm'
  except BaseException:
    return 'e'
  return 'k'


def stdin_program(task, write):
  code = []
  kind = guarded(lambda: code.append(compile(task['source'], 'solution.py', 'exec', dont_inherit=True)))
  cases, names = [data.encode('utf-8', 'surrogatepass') for data in task['inputs']], dict(builtins.__dict__)
  spares = (os.dup(0), os.dup(1)) if len(cases) > 1 else ()
  for data in cases:
    case_limit(task['limits']['case'])
    kind = run_case(code[0], names, data, spares) if code else kind
    write(RESULT_FD, b'%s %d\n' % (kind.encode(), os.fstat(spares[1] if spares else 1).st_size))
    if kind != 'k':
      return  # the host stops at the first failure


def named(space, name):
  """The function of a program: a method of its class Solution, which is made anew, or a plain one."""
  solution = space.get('Solution')
  return getattr(solution(), name) if isinstance(solution, type) and hasattr(solution, name) else space[name]


def function_program(task, write):
  """Calls a function of the program, one JSON line a case.

  An input is JSON of the arguments; or, where task['typed'], of {'call': an expression} or {'args', 'kwargs'} in the
  form of values.py, as is then the result. task['go_on']: an exception is reported by its name and is not the end.
  """
  encode, decode, typed = json.JSONEncoder().encode, json.loads, task.get('typed')
  to_form, from_form = values.encode, values.decode
  space = {'__name__': 'solution', '__builtins__': builtins}
  space.update(NAMES if 'class Solution' in task['source'] else {name: NAMES[name] for name in TYPING})
  sys.stdin, sys.stdout = io.open(0, 'r', closefd=False), io.open(1, 'w', encoding='utf-8', closefd=False)
  start = lambda text: exec(compile(text, 'solution.py', 'exec', dont_inherit=True), space)
  kind = guarded(lambda: (start(task['source']), start(task.get('setup', ''))))

  def call(text):
    wanted = decode(text)
    if not typed:
      result = named(space, task['function'])(*wanted)
    elif 'call' in wanted:
      result = to_form(eval(wanted['call'], {**space, 'candidate': named(space, task['function'])}))
    else:
      result = to_form(named(space, task['function'])(*from_form(wanted['args']), **from_form(wanted['kwargs'])))
    write_all(RESULT_FD, encode(result).encode() + b'\n', write)

  def call_and_go_on(text):
    try:
      call(text)
    except Exception as e:
      write(RESULT_FD, b'!x ' + type(e).__name__.encode('ascii', 'replace')[:100] + b'\n')

  for text in task['inputs']:
    case_limit(task['limits']['case'])
    if kind == 'k':
      kind = guarded(lambda: (call_and_go_on if task.get('go_on') else call)(text))
    if kind != 'k':
      write(RESULT_FD, b'!' + kind.encode() + b'\n')
      break
  guarded(lambda: sys.stdout.flush())  # looked at by the corpus runner alone


def write_all(fd, data, write):
  while data:
    data = data[write(fd, data):]
