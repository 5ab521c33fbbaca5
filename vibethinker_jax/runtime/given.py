"""Which flags a command reads in which of its modes; a flag that is given and not read is an error.

Each command has a table READ = {mode: names of the flags that it reads}, and MEANT = {flag: what to give instead}. The
name of a mode is the end of the sentence '--limit does nothing ...'.
"""

from absl import flags


def words(*names: str) -> frozenset[str]:
  """The flags of a mode, from strings of names with spaces between."""
  return frozenset(' '.join(names).split())


def check(
  argv: list[str],
  mode: str,
  read: dict[str, frozenset[str]],
  meant: dict[str, str],
  needs: dict[str, str] | None = None,
  empty: tuple[str, ...] = (),
  repeats: tuple[str, ...] = (),
) -> None:
  """To be called first thing in a command.

  Args:
    argv: what absl leaves: the program, and arguments that are no flags.
    mode: a key of `read`. meant: by flag, or by 'flag mode'. needs: flags that do nothing without another one.
    empty: flags for which an empty value means something. repeats: lists in which a name may stand twice.

  Raises:
    SystemExit: an argument that is no flag; a flag that `mode` does not read, that is given twice, or without a value.
  """
  known = flags.FLAGS
  wrong = []
  if len(argv) > 1:
    named = argv[1].partition('=')[0]
    wrong.append(
      f'{argv[1]!r} is no flag'
      + (f': --{argv[1]} is meant' if named in known else '; every flag is --NAME=VALUE, values with spaces in quotes')
    )
  fields = [name for name in known if name.startswith('config.')]  # of ml_collections: --config.sft.steps=3
  for name in sorted(frozenset(fields).union(*read.values())):
    flag = known[name]
    if not flag.present:
      continue
    if name not in read[mode] and name not in fields:
      others = ' or '.join(other for other, names in read.items() if name in names)
      instead = meant.get(f'{name} {mode}') or meant.get(name) or f'it is read {others}'
      wrong.append(f'--{name} does nothing {mode}: {instead}')
    elif (other := (needs or {}).get(name)) and not given(other):
      wrong.append(f'--{name} does nothing without --{other}')
    elif flag.value in ('', []) and name not in (*empty, *fields):
      wrong.append(f'--{name} is given without a value: leave it out, or give one')
    elif name in fields and isinstance(flag.value, list):
      pass  # of a tuple all values count, in whatever words; the recipe says what may stand in it
    elif flag.present > 1:
      several = f', such as --{name}=A,B for several' if isinstance(flag.value, list) else ''
      wrong.append(f'--{name} is given {flag.present} times, only the last would count: give it once{several}')
    elif name not in repeats and isinstance(flag.value, list) and len(set(flag.value)) < len(flag.value):
      twice = next(x for x in flag.value if flag.value.count(x) > 1)
      wrong.append(f'--{name} names {twice!r} twice')
  if wrong:
    raise SystemExit('error: ' + '; '.join(wrong))


def given(name: str) -> bool:
  """Whether a flag stands on the command line."""
  return flags.FLAGS[name].present > 0
