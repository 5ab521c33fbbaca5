"""A flag that is given is read, or refused with a line that names it and the one that is meant: all flags, all
modes."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TINY = f'--config={ROOT}/configs/tiny.py'
MODES = {  # command -> {a key of its READ: flags that bring it there}
  'main': {'here': [TINY, '--workdir=w'], 'with --rehearse': [TINY, '--workdir=w', '--rehearse']},
  'sample': {'here': ['--checkpoint=c']},
  'decontaminate': {'here': ['--train=t', '--against=a', '--output=o.jsonl']},
  'convert': {
    'where a Hugging Face directory is written': ['--source=s', '--target=t'],
    'where one of our checkpoints is written': ['--source=s.gguf', '--target=t'],
  },
  'plan': {
    'where no stage samples': [TINY, '--topology=v5e:4x4', '--stages=sft,merge'],
    'where no stage is of the program rl': [TINY, '--topology=v5e:4x4', '--stages=sft,probe'],
    'with stages of the program rl': [TINY, '--topology=v5e:4x4'],
  },
  'evaluate': {
    'with --compare': ['--compare=a,b', '--output=o'],
    'with --responses and no --data': ['--responses=r', '--output=o'],
    'with --responses and --data=FILES': ['--responses=r', '--data=d', '--output=o'],
    'with --responses and --data=synthetic': ['--responses=r', '--data=synthetic', '--output=o'],
    'with --checkpoint and --data=FILES': ['--checkpoint=c', '--data=d', '--output=o'],
    'with --checkpoint on synthetic problems': ['--checkpoint=c', '--output=o'],
  },
}
CASES = {  # command -> [(its arguments, parts of what is said)]
  'evaluate': [
    (['--checkpoint=c', '--data=d.jsonl', '--problems=16', '--output=o'], ['--problems', '--limit']),
    (['--checkpoint=c', '--limit=16', '--output=o'], ['--limit', '--problems']),
    (['--responses=r', '--slots=3', '--seed=1', '--output=o'], ['--slots', '--seed', '--checkpoint']),
    (['--checkpoint=c', '--train_fields=a', '--output=o'], ['--train_fields', '--trained_on']),
    (['--checkpoint=c', '--data=', '--output=o'], ['--data is given without a value']),
    (['--compare=a,a', '--output=o'], ["--compare names 'a' twice"]),
    (['--checkpoint=c', '--output=o', 'samples=3'], ["'samples=3' is no flag", '--samples=3 is meant']),
  ],
  'main': [
    ([TINY, '--workdir=w', '--stages=sft', '--stages=probe'], ['--stages is given 2 times', '--stages=A,B']),
    ([TINY, '--workdir=w', '--config.sft.steps=3', '--config.sft.steps=4'], ['--config.sft.steps is given 2']),
    ([TINY, '--workdir=w', '--stages=sft,sft'], ["'sft' twice"]),
    ([TINY, '--workdir=w', '--config.evaluate.ks=(1,2)', '--config.sft.domains=("code","code")'], ['READ']),
    ([TINY, '--workdir=w', '--rehearse', '--stages=sft'], ['--stages does nothing with --rehearse', 'runs all stages']),
    ([TINY, '--workdir=w', '--stage=sft'], ['Did you mean', 'stages']),
  ],
  'convert': [(['--source=s.gguf', '--target=t', '--dtype=float16'], ['--dtype', '--to=hf'])],
  'decontaminate': [
    (['--train=a', '--against=b', '--output=c', '--ngram=10', '--ngram=8'], ['--ngram is given 2 times'])
  ],
}

# Flags that are read beside another one only.
NEEDY = (('evaluate', 'train_fields'), ('evaluate', 'correct_at'), ('convert', 'public'))

# In a process of its own: two commands may have flags of one name. Every flag is given in every mode; what is printed
# is [mode, flag, the mode that it then is, whether the table reads it there, what was said].
TRY = """
import importlib, json, sys
from absl import flags
sys.argv_ = sys.argv
command, modes = sys.argv[1], json.loads(sys.argv[2])
module = importlib.import_module('vibethinker_jax.' + command)
from vibethinker_jax.runtime import given
mine = {f.name for f in flags.FLAGS.get_key_flags_for_module(module.__name__)}
listed = set().union(*module.READ.values())
numbers = ('int', 'float', 'string enum')
valid = {'domains': '=algebra', 'levels': '=1', 'templates': '=mean'}
def value(flag):
  if command == 'evaluate' and flag.name in valid:
    return valid[flag.name]
  if flag.flag_type() == 'bool':
    return ''
  return f'={flag.default or 1}' if flag.flag_type() in numbers else '=x'
found = []
def said(arguments):
  flags.FLAGS.unparse_flags()
  for name in mine:
    flags.FLAGS[name].unparse()
  sys.argv = [command, *arguments]
  try:
    left = flags.FLAGS(sys.argv)
  except flags.Error as error:
    return '', str(error)
  seen = []
  check = given.check
  def spy(argv, mode, *rest, **named):
    seen.append(mode)
    check(argv, mode, *rest, **named)
    raise SystemExit('READ')
  given.check = spy
  try:
    module.main(left)
  except SystemExit as stop:
    return seen[0] if seen else '', str(stop)
  finally:
    given.check = check
for mode, base in modes.items():
  names = {a[2:].partition('=')[0] for a in base}
  assert said(base) == (mode, 'READ'), (mode, said(base))
  for name in sorted(mine - names):
    now, text = said([*base, '--' + name + value(flags.FLAGS[name])])
    found.append([mode, name, now, now in module.READ and name in module.READ[now], text])
cases = [said(case)[1] for case in json.loads(sys.argv_[3])]
lists = {'unlisted': sorted(mine - listed), 'unknown': sorted(listed - mine), 'modes': sorted(module.READ)}
print(json.dumps({'cases': cases, 'found': found} | lists))
"""


@pytest.mark.parametrize('command', MODES)
def test_every_flag_in_every_mode(command):
  cases = CASES.get(command, [])
  done = subprocess.run(
    [sys.executable, '-c', TRY, command, json.dumps(MODES[command]), json.dumps([a for a, _ in cases])],
    capture_output=True,
    text=True,
    timeout=300,
    cwd=ROOT,
  )
  assert done.returncode == 0, done.stderr
  answer = json.loads(done.stdout.splitlines()[-1])
  assert answer['unlisted'] == answer['unknown'] == []  # a new flag needs an entry in READ
  assert answer['modes'] == sorted(MODES[command])  # and a new mode one in MODES
  for mode, flag, _, read, text in answer['found']:
    if read and (command, flag) not in NEEDY:
      assert text == 'READ', (mode, flag, text)
    else:
      assert text.startswith('error: ') and f'--{flag}' in text and '\n' not in text, (mode, flag, text)
      others = {word.strip(',;:.()').partition('=')[0] for word in text.split() if word.startswith(('--', '(--'))}
      assert len(others - {f'--{flag}'}) >= 1 or command == 'plan', (mode, flag, text)  # one that is meant
  for text, (arguments, parts) in zip(answer['cases'], cases, strict=True):
    assert all(part in text for part in parts), (arguments, text)


def refused(command, *arguments):
  done = subprocess.run(
    [sys.executable, '-m', f'vibethinker_jax.{command}', *arguments],
    capture_output=True,
    text=True,
    timeout=120,
    cwd=ROOT,
  )
  assert done.returncode != 0 and 'Traceback' not in done.stderr, done.stderr
  return done.stderr


@pytest.mark.parametrize(
  'command, arguments, parts',
  [
    ('evaluate', ['--checkpoint=c', '--data=d.jsonl', '--problems=16', '--output=o'], ['--problems', '--limit']),
    ('verify.code.sandbox', ['--check', '--repeat=3'], ['--repeat', '--corpus']),
    ('verify.code.sandbox', ['--check', 'corpus'], ['corpus']),
    ('verify.math', ['--pairs=a', '--pairs=b'], ['--pairs is given twice']),
    ('verify.math', ['--hacks='], ['--hacks is given without a value']),
  ],
)
def test_flags_that_do_nothing(command, arguments, parts):
  said = refused(command, *arguments)
  assert all(part in said for part in parts), said
