"""Files are read and measured before anything runs: what is said of wrong rows and of prompts that are too long."""

import json
import types

import pytest

from vibethinker_jax.data.sources import DataOptions
from vibethinker_jax.data.tokens import chat, tokenizer as tokenizer_lib
from vibethinker_jax.programs import reading
from vibethinker_jax.programs.reading import Lengths, Part


@pytest.fixture(scope='module')
def tokenizer():
  return tokenizer_lib.train(
    (f'{i} apples and {i + 1} pears are {2 * i + 1} fruits; user system' for i in range(300)), 300
  )


def write(path, *rows):
  path.write_text(''.join((row if isinstance(row, str) else json.dumps(row)) + '\n' for row in rows))
  return str(path)


def part(files, kind='problems', room=60, **more):
  rooms = (('rl.row_length=80', room + 1), ('rl.sampler.columns=70', room))
  return Part('rl', 'rl', kind, DataOptions(files, wording='none'), 'scratch', rooms, **more)


@pytest.mark.parametrize(
  'prompt',
  [
    'three apples',
    'x' * 400,
    'Привет, мир',
    '\u0958\u0958\u0958',
    '',
    '   \n\n\t  ',
    [{'role': 'user', 'content': 'apples'}],
    [{'role': 'system', 'content': 'pears'}, {'role': 'user', 'content': 'é' * 30}],
    '<|im_start|><|im_end|>',
  ],
)
def test_the_bound_is_one(tokenizer, prompt):
  hub = tokenizer_lib.from_files(tokenizer.hub_files())
  for either in (tokenizer, hub):
    lengths = Lengths(either)
    assert lengths.exactly({'prompt': prompt}) <= lengths.most({'prompt': prompt})


def test_a_template_that_shows_a_message_twice_has_no_bound(tokenizer):
  files = tokenizer.hub_files()
  settings = json.loads(files['tokenizer_config.json'])
  settings['chat_template'] = settings['chat_template'].replace(
    "{{ message['content'] }}", "{{ message['content'] * 2 }}"
  )
  hub = tokenizer_lib.from_files(files | {'tokenizer_config.json': json.dumps(settings).encode()})
  assert Lengths(hub).most({'prompt': 'apples'}) == float('inf')


def test_only_what_could_be_too_long_is_tokenised(tokenizer, tmp_path, monkeypatch):
  files = write(
    tmp_path / 'p.jsonl',
    *({'problem': f'{i} apples', 'answer': i} for i in range(50)),
    {'problem': 'apples and pears ' * 20, 'answer': 1},
  )
  asked = []
  monkeypatch.setattr(chat, 'encode_prompt', lambda t, p, encode=chat.encode_prompt: asked.append(p) or encode(t, p))
  found = reading.read(part(files, room=300), Lengths(tokenizer))
  assert (found.rows, found.faults, found.long) == (51, [], []) and len(asked) == 2  # the template, and the long one


def test_a_prompt_that_is_too_long(tokenizer, tmp_path):
  long = lambda n: {'question': '7 apples and ' * n, 'answer': '7'}
  files = (
    write(tmp_path / 'a.jsonl', {'question': 'one', 'answer': '1'}, long(30))
    + ','
    + write(tmp_path / 'b.jsonl', long(60), {'question': 'two', 'answer': '2'})
  )
  (line,) = reading.read(part(files), Lengths(tokenizer)).long
  first, most = (len(chat.encode_prompt(tokenizer, {'prompt': '7 apples and ' * n})) for n in (30, 60))
  assert line.startswith(
    f'{tmp_path}/a.jsonl, line 2: this prompt has {first} tokens, but rl.row_length=80 has room '
    'for 61 and rl.sampler.columns=70 has room for 60; 2 of 4 are too long, the longest with '
    f'{most} tokens: {tmp_path}/b.jsonl, line 1. Raise rl.row_length and rl.sampler.columns, or leave'
  )
  assert reading.read(part(files, room=most), Lengths(tokenizer)).long == []


def test_an_example_that_is_too_long(tokenizer, tmp_path):
  short, long = {'prompt': 'one', 'response': '1'}, {'prompt': 'one', 'response': ['1', 'apples and pears ' * 30]}
  files = write(tmp_path / 'a.jsonl', short, long)
  (line,) = reading.read(part(files, 'examples'), Lengths(tokenizer)).long
  assert (
    "the row that begins with 'one': this example (prompt and response) has" in line and "rl.too_long='drop'" in line
  )
  found = reading.read(part(files, 'examples', drop=True), Lengths(tokenizer))
  assert found.rows == 3 and found.long == []
  assert reading.read(
    part(write(tmp_path / 'b.jsonl', long | {'response': 'pears ' * 99}), 'examples', drop=True), Lengths(tokenizer)
  ).long  # none fits


def test_the_longest_prompt_is_found(tokenizer, tmp_path):
  files = write(tmp_path / 'p.jsonl', *({'problem': '7 apples ' * n, 'answer': 1} for n in (1, 9, 3, 5)))
  assert reading.read(part(files, room=1000), Lengths(tokenizer), longest=True).longest == len(
    chat.encode_prompt(tokenizer, {'prompt': '7 apples ' * 9})
  )


def test_a_line_for_each_wrong_file(tokenizer, tmp_path):
  good = {'problem': 'a', 'answer': '1'}
  files = [
    write(tmp_path / 'missing.jsonl', good, {'problem': 'b'}),
    write(tmp_path / 'right.jsonl', good),
    write(tmp_path / 'half.jsonl', good, good, '{"problem": "c"'),
  ]
  lines = reading.read(part(','.join(files)), Lengths(tokenizer)).faults
  assert (
    len(lines) == 2 and 'missing.jsonl, line 2: a problem' in lines[0] and 'half.jsonl, line 3: not JSON' in lines[1]
  )
  files = ','.join([write(tmp_path / 'x.jsonl', good), write(tmp_path / 'y.jsonl', good | {'answer': '2'})])
  (line,) = reading.read(part(files), Lengths(tokenizer)).faults  # wrong only together
  assert 'the same prompt with different answers' in line
  files = f'{tmp_path}/no.jsonl,{files},{tmp_path}/missing.jsonl,{tmp_path}/none_*'
  lines = reading.read(part(files), Lengths(tokenizer)).faults
  assert (
    len(lines) == 3 and 'no such data file' in lines[0] and 'none_*' in lines[1] and 'missing.jsonl, line 2' in lines[2]
  )


def test_a_row_that_the_verifier_cannot_judge(tokenizer, tmp_path):
  rows = [
    {'prompt': 'Write.', 'constraints': [{'kind': 'words', 'at_most': 3}]},
    {'prompt': 'Sing.', 'constraints': [{'kind': 'wrods', 'at_most': 3}]},
  ]
  files = write(tmp_path / 'p.jsonl', *rows)
  (line,) = reading.read(part(files, verified=True), Lengths(tokenizer)).faults
  assert line.startswith(f'{tmp_path}/p.jsonl, line 2: constraint ') and 'wrods' in line
  assert reading.read(part(files), Lengths(tokenizer)).faults == []  # a verifier of one's own
  traces = write(
    tmp_path / 't.jsonl', {'prompt': 'a', 'response': 'b', 'answer': '1'}, {'prompt': 'c', 'response': 'd'}
  )
  (line,) = reading.read(part(traces, 'traces'), Lengths(tokenizer)).faults
  assert 't.jsonl, line 2: rl: a trace has neither answer nor tests' in line


def test_parts_of_a_recipe():
  sampler = types.SimpleNamespace(prompt_columns=0, columns=100, max_tokens=40)
  stage = lambda program, files, **more: types.SimpleNamespace(
    program=program, data=DataOptions(files), init_from='base', sampler=sampler, samples=1, **more
  )
  options = {
    'sft': stage('sft', 'a.jsonl,hard', length=64, too_long='drop'),
    'rl': stage('rl', 'b.jsonl', row_length=90, share_prompts=False),
    'more': stage('rl', 'b.jsonl', row_length=80, share_prompts=False),
    'hard': stage('filter', 'a.jsonl'),
    'own': stage('sft', 'hard', length=64),
  }
  options['rl'].init_from, options['more'].init_from, options['hard'].init_from = 'sft', 'rl@3', 'other/model'
  recipe = types.SimpleNamespace(stages=tuple(options), base='base/model', verifier='mine:verify')
  found = reading.parts(recipe, options, recipe.stages)
  assert [(x.where, x.kind, x.data.files, x.root, x.rooms, x.drop) for x in found] == [
    ('sft', 'examples', 'a.jsonl', 'base/model', (('sft.length=64', 65),), True),
    ('rl', 'problems', 'b.jsonl', 'base/model', (('rl.sampler.columns=100', 60), ('rl.row_length=90', 51)), False),
    (
      'more',
      'problems',
      'b.jsonl',
      'base/model',
      (('more.sampler.columns=100', 60), ('more.row_length=80', 41)),
      False,
    ),
    ('hard', 'traces', 'a.jsonl', 'other/model', (('hard.sampler.columns=100', 60),), False),
  ]
  assert [(x.where, len(x.rooms)) for x in reading.together(found)] == [('sft', 1), ('rl', 4), ('hard', 1)]


def test_what_was_in_order_is_not_read_again(tokenizer, tmp_path, monkeypatch):
  good, bad = (
    write(tmp_path / f'{name}.jsonl', row)
    for name, row in (('good', {'problem': 'a', 'answer': 1}), ('bad', {'problem': 'a'}))
  )
  read = []
  monkeypatch.setattr(
    reading, 'read', lambda part, *_, read_=reading.read: read.append(part.data.files) or read_(part, *_)
  )
  for _ in range(2):
    with pytest.raises(ValueError, match='rl: .*bad.jsonl, line 1'):
      reading.check(tmp_path, [part(good), part(bad)], {'scratch': tokenizer})
  assert read == [good, bad, bad]
  write(tmp_path / 'bad.jsonl', {'problem': 'a', 'answer': '11'})
  for _ in range(2):
    reading.check(tmp_path, [part(good), part(bad)], {'scratch': tokenizer})
  reading.check(tmp_path, [part(good, room=59)], {'scratch': tokenizer})  # a smaller room: measured again
  assert read == [good, bad, bad, bad, good]


def test_a_sample_is_of_the_rows_as_they_stand(tmp_path):
  rows = [{'q': f'{i}' * (1 + 5000 * (i % 4 == 3)), 'n': i} for i in range(100)]
  files = f'{write(tmp_path / "a.x.jsonl", *rows)}, {write(tmp_path / "b.jsonl", rows[0])}'
  small = reading.sample(part(files), tmp_path / 'few').data.files.split(',')
  found = [[json.loads(line) for line in open(path)] for path in small]
  assert found[1] == rows[:1] and len(found[0]) == 6 and found[0][0] == rows[0] and all(row in rows for row in found[0])
  assert [path.rsplit('/', 1)[1] for path in small] == ['0_a.jsonl', '1_b.jsonl'] and max(r['n'] for r in found[0]) > 60


def test_all_that_is_wrong_with_a_file_is_told_at_once(tokenizer, tmp_path):
  """Each kind of wrong row, a prompt that is too long, and a question with two answers, with their lines."""
  files = write(
    tmp_path / 'a.jsonl',
    {'problem': 'one', 'answer': 1},
    {'answer': 2},
    '{"problem": "cut',
    {'answer': 3},
    {'problem': '7 apples and ' * 30, 'answer': 7},
    {'problem': 'one', 'answer': 2},
  )
  found = reading.read(part(files), Lengths(tokenizer))
  bare, cut, two = found.faults
  assert bare.startswith(f'{files}, line 2: a problem needs') and bare.endswith('(so is 1 more: line 4)')
  assert cut.startswith(f'{files}, line 3: not JSON') and f'line 1 and {files}, line 6: the same prompt with' in two
  (line,) = found.long
  assert line.startswith(f'{files}, line 5: this prompt has ')
  # beside a file that cannot be read at all
  found = reading.read(part(f'{files},{tmp_path}/nowhere.jsonl,{write(tmp_path / "empty.jsonl")}'), Lengths(tokenizer))
  assert found.faults == [
    f'no such data file: {tmp_path}/nowhere.jsonl',
    bare,
    cut,
    two,
    f'{tmp_path}/empty.jsonl is empty: it has no rows',
  ] and found.long == [line]


@pytest.mark.parametrize('kind', ['examples', 'traces'])
def test_all_wrong_rows_of_examples(tokenizer, tmp_path, kind):
  good = {'prompt': 'one', 'response': '1', 'answer': '1'}
  files = write(tmp_path / 'a.jsonl', good, {'prompt': 'two'}, good, {'response': '3'}, good)
  found = reading.read(part(files, kind), Lengths(tokenizer))
  assert [line.partition(': ')[0] for line in found.faults] == [
    f'{files}, line 2',
    f'{files}, line 4',
  ] and found.rows == 3


def test_many_wrong_rows_are_one_line(tokenizer, tmp_path):
  files = write(tmp_path / 'a.jsonl', *[{'task': 'one'}] * 120, {'problem': 'one', 'answer': 1})
  first, rest = reading.read(part(files), Lengths(tokenizer)).faults
  assert 'line 1: ' in first and first.endswith('(so are 99 more: line 2, 3, 4, 5, 6, 7, ...)')
  assert rest == f'{files}: what follows the first 100 wrong rows was not looked at'
