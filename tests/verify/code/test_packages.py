"""numpy and other packages in the sandbox: what works there, and that nothing else does."""

import os

import pytest

from vibethinker_jax import config
from vibethinker_jax.verify.code import programs as code
from vibethinker_jax.verify.code.sandbox import __main__ as command, client, packages
from vibethinker_jax.verify.pool import Pool

np = pytest.importorskip('numpy')


def out(source, cpu=5.0, memory=1 << 30):
  run = code.sandbox().run(source, [''], None, cpu, memory, 1 << 20)
  return run.data.decode().strip(), run


@pytest.mark.parametrize(
  'source, expected',
  [
    ('import numpy as np\nprint(np.arange(4).sum(), np.__version__)', f'6 {np.__version__}'),
    ('from numpy.linalg import solve, svd\nimport numpy as np\nprint(solve(np.eye(2) * 2, [2, 4]))', '[1. 2.]'),
    ('import numpy as np\na = np.ones((400, 400))\nprint((a @ a)[0, 0], np.linalg.matrix_rank(a))', '400.0 1'),
    ('import numpy as np\nprint(np.random.default_rng(0).integers(9, size=3).shape, np.random.rand(2).size)', '(3,) 2'),
    (
      'import numpy as np\nprint(np.fft.rfft([1, 1]).real, np.polynomial.Polynomial([1, 2])(3), np.roots([1, -3, 2]))',
      '[2. 0.] 7.0 [2. 1.]',
    ),
    (
      'import numpy as np\nprint(np.ma.masked_equal([1, 2], 2).sum(), np.char.upper(["a"]), '
      'np.datetime64("2020-01-01"))',
      "1 ['A'] 2020-01-01",
    ),
    (
      'import numpy.lib.recfunctions, numpy.lib.stride_tricks as s, numpy as np\n'
      'print(s.sliding_window_view(np.arange(3), 2).tolist(), np.dtype([("a", int)]), np.einsum("ij->", np.eye(2)))',
      "[[0, 1], [1, 2]] [('a', '<i8')] 2.0",
    ),
    (
      'import numpy as np, sys, io\nprint(np.loadtxt(io.StringIO("1 2\\n3 4")).sum(), np.array2string(np.eye(1)))',
      '10.0 [[1.]]',
    ),
    (
      'import numpy as np\nb = __import__("io").BytesIO()\nnp.save(b, np.eye(2))\nb.seek(0)\nprint(np.load(b).sum())',
      '2.0',
    ),
    (
      'import numpy as np, pickle, copy\na = np.arange(3)\nprint(pickle.loads(pickle.dumps(a)).sum(), '
      'copy.deepcopy(a).max())',
      '3 2',
    ),
    (
      'import numpy as np, os\nnp.ones((300, 300)) @ np.ones((300, 300))\nprint([k for k in os.environ if "THREADS" '
      'in k])',
      '[]',
    ),
  ],
)
def test_what_programs_do_with_numpy(source, expected):
  assert out(source)[0] == expected


def test_input_of_numpy():
  source = 'import numpy as np, sys\na = np.array(sys.stdin.read().split(), dtype=np.int64)\nprint(a.sum(), a.mean())'
  tests = {'cases': [{'input': '1 2 3\n', 'output': '6 2.0\n'}, {'input': '4 5', 'output': '9 4.5'}]}
  assert code.verify(source, tests).status == 'correct'


@pytest.mark.parametrize(
  'result, expected, accepted',
  [
    ('np.int64(5)', 5, True),
    ('np.float32(0.5)', 0.5, True),
    ('[np.int8(5)]', [5], True),
    ('np.bool_(True)', True, True),
    ('np.bool_(True)', 1, False),
    ('np.int64(1)', True, False),
    ('np.float64(5)', 5, True),
    ('np.array([5])', [5], False),
    ('np.float64("nan")', 5, False),
    ('np.array([5]).tolist()', [5], True),
  ],
)
@pytest.mark.parametrize('rule', ['', 'livecodebench'])
def test_results_of_numpy(result, expected, accepted, rule):
  tests = {'function': 'f', 'cases': [{'args': [], 'expected': expected}], 'compare': rule}
  if rule and expected in (1, True) and 'float' not in result:
    accepted = True  # LiveCodeBench's equality is Python's
  assert (code.verify(f'import numpy as np\ndef f(): return {result}', tests).status == 'correct') is accepted


def test_sortedcontainers():
  pytest.importorskip('sortedcontainers')
  source = (
    'from sortedcontainers import SortedList, SortedDict\nprint(SortedList([2, 1])[0], SortedDict(b=1).peekitem(0))'
  )
  assert out(source)[0] == "1 ('b', 1)"


READS = (
  'np.load("/etc/passwd", allow_pickle=True)',
  'np.fromfile("/etc/passwd", dtype=np.uint8)',
  'np.loadtxt("/etc/passwd", dtype=str)',
  'np.memmap("/etc/passwd", mode="r")',
  'np.genfromtxt("/etc/passwd", dtype=str)',
  'np.lib.format.open_memmap("/etc/hostname")',
  'np.lib.npyio.DataSource().open("/etc/passwd").read()',
  'np.DataSource(None).open("/etc/passwd").read()',
  'np.ctypeslib.load_library("libc.so.6", "/usr/lib/x86_64-linux-gnu")',
  'np.fromregex("/etc/passwd", "x", [("a", "S1")])',
)
WRITES = (
  'np.save(P, np.eye(2))',
  'np.savez(P, a=1)',
  'np.savetxt(P, [1])',
  'np.eye(2).tofile(P)',
  'np.memmap(P, mode="w+", shape=9)',
  'np.lib.format.open_memmap(P, "w+", shape=(9,))',
  'np.eye(2).dump(P)',
)
OTHERS = (
  'import numpy.f2py\nnumpy.f2py.run_main(["-m", "x", "/tmp/x.f"])',
  'import numpy.distutils',
  'import numpy.tests',
  'import sympy, numpy',
  'import scipy, numpy',
  'import pip, numpy',
  'import numpy as np, os\nos.fork()',
  'import numpy as np, os\nos.execv("/bin/true", ["true"])',
  'import numpy as np, socket\nsocket.socket()',
  'import numpy as np\nnp.test()',
  'import numpy as np, os\nos.listdir(os.path.dirname(np.__file__))',
  'import numpy as np\nopen(np.__file__)',
  'import numpy as np, os\nos.stat(np.__file__)',
  'import numpy as np, ctypes\nf = np.ctypeslib.as_array(ctypes.cast(0, ctypes.POINTER(ctypes.c_long)), (1,))\nf[0]',
  'import numpy as np, mmap\nm = mmap.mmap(-1, 4096, prot=7)',
)


@pytest.mark.parametrize('source', [f'import numpy as np\n{line}' for line in READS + WRITES] + list(OTHERS))
def test_numpy_opens_no_door(source, tmp_path):
  os.chmod(tmp_path, 0o777)
  source = source.replace('(P,', f'({str(tmp_path / "x")!r},').replace('(P)', f'({str(tmp_path / "x")!r})')
  text, run = out(source + '\nprint("PWNED")')
  assert 'PWNED' not in text and (run.exit_code or run.signal or run.marks[0][0] != 'k')
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
  'source, reasons',
  [
    ('import numpy as np\na = np.ones(1 << 30)', ('memory_limit',)),
    ('import numpy as np\na = np.ones((20_000, 20_000))', ('memory_limit',)),
    ('import numpy as np\nkeep = []\nwhile True: keep.append(np.ones(1 << 24))', ('memory_limit',)),
    ('import numpy as np\na = np.random.rand(3000, 3000)\nwhile True: a @ a', ('time_limit',)),
    (
      'import numpy as np, sys\nwhile True: sys.stdout.write(str(np.arange(1000)) * 99)',
      ('output_limit', 'time_limit'),
    ),
  ],
)
def test_limits_hold_for_numpy(source, reasons):
  assert code.verify(source, {'cases': [{'input': '', 'output': '1'}]}, code.Limits(4.0)).reason in reasons


def test_memory_is_the_programs_own():
  """What the packages take is not counted: as much is left as for a program without them."""
  size = '850 << 20'
  source = f'x = bytearray({size})\nprint(len(x))'
  assert out(source)[0] == out('import numpy\n' + source)[0] != ''
  assert out('import numpy\nx = bytearray(1100 << 20)\nprint("PWNED")')[0] == ''


def test_one_thread():
  """The helper that forks has one, and so has a program's matrix product."""
  source = (
    'import ctypes, numpy as np\na = np.ones((500, 500)) @ np.ones((500, 500))\n'
    'import threading\nprint(threading.active_count(), a[0, 0])'
  )
  assert out(source)[0] == '1 500.0'
  helper = code.sandbox()._loaded._process.pid
  assert len(os.listdir(f'/proc/{helper}/task')) == 1


def test_forged_modules_do_not_stay():
  assert (
    out('import numpy as np, sys\nnp.add = None\nsys.modules["numpy"] = None\nnp.random.seed(1)\nprint(1)')[0] == '1'
  )
  assert out('import numpy as np\nprint(np.add(1, 2))')[0] == '3'


def test_programs_that_name_no_package_run_without_them():
  assert out('import sys\nprint([m for m in sys.modules if m.startswith("num" + "py")])')[0] == '[]'
  assert out('try:\n  __import__("num" + "py")\nexcept ImportError: print("none")')[0] == 'none'


def test_which_packages_there_are(capsys, monkeypatch):
  assert command.check() == 0
  assert f'numpy {np.__version__}' in capsys.readouterr().out
  monkeypatch.setenv(packages.VARIABLE, '')
  assert command.check() == 0
  assert 'packages         no' in capsys.readouterr().out
  box = client.Sandbox()
  assert box.run('import numpy\nprint(1)', [''], None, 2.0, 1 << 30, 1 << 16).marks[0][0] == 'e'
  box.close()


def test_packages_are_chosen_by_the_config(monkeypatch):
  recipe = config.bind(
    config.Recipe, {'seed': 0, 'verifier': 'a:b', 'mesh': {}, 'stages': ('sft',), 'sandbox': {'packages': ()}}, 'config'
  )
  assert recipe.sandbox.packages == ()
  row = {'tests': {'cases': [{'input': '', 'output': '1'}]}}
  response = '```python\nimport numpy\nprint(1)\n```'
  with Pool(workers=1, packages=recipe.sandbox.packages) as pool:
    assert pool.verify([(response, row)])[0].reason == 'runtime_error'
  with Pool(workers=1) as pool:
    assert pool.verify([(response, row)])[0].reason == 'accepted'
  for names, message in (
    (('no_such_package',), 'not installed'),
    (('a.b',), 'no name'),
    (('x; import os',), 'no name'),
  ):
    with pytest.raises(ValueError, match=message):
      Pool(workers=1, packages=names)
  monkeypatch.setattr(packages.importlib.util, 'find_spec', lambda name: None)
  assert packages.installed(packages.DEFAULT) == ()  # the default ones where they are installed


def test_a_package_that_cannot_be_loaded_is_named(tmp_path, monkeypatch):
  (tmp_path / 'broken_package.py').write_text('raise OSError("no library")')
  (tmp_path / 'threaded_package.py').write_text(
    'import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()'
  )
  (tmp_path / 'good_package.py').write_text('__version__ = "3"\nvalue = 42')
  monkeypatch.syspath_prepend(str(tmp_path))
  for name, message in (('broken_package', 'no library'), ('threaded_package', 'does not start')):
    with pytest.raises(client.SandboxUnavailable, match=message):
      client.Sandbox((name,)).start()
  box = client.Sandbox(('good_package',))
  assert box.start()['packages'] == 'yes: good_package 3'
  assert box.run('import good_package\nprint(good_package.value)', [''], None, 2.0, 1 << 30, 1 << 16).data == b'42\n'
  box.close()


def test_setup_and_tests_may_import_them():
  tests = {
    'asserts': 'import numpy as np\ndef check(candidate):\n  assert np.allclose(candidate([1.0]), [1.0])',
    'function': 'f',
  }
  assert code.verify('def f(x): return x', tests).status == 'correct'
  assert code.verify('def f(x): return [2.0]', tests).status == 'wrong'
  assert code.verify('import numpy as np\ndef f(x): return np.array(x) * 1.0', tests).status == 'correct'
  assert code.verify('import numpy as np\ndef f(x): return np.array(x) * 2', tests).status == 'wrong'
  tests = {'asserts': ['assert f(1) == [1, 2]']}  # in Python an array is not equal to a list
  assert code.verify('import numpy as np\ndef f(x): return np.array([1, 2])', tests).status == 'wrong'
  tests = {'asserts': ['assert f(x) == 6'], 'setup': 'import numpy as np\nx = np.array([1, 2, 3])'}
  assert code.verify('def f(x): return x.sum()', tests).status == 'correct'
