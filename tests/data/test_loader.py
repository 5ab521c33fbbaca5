"""Packed SFT batches: masks, positions, segments, and resuming exactly."""

import gzip
import json
import os
import pathlib

import numpy as np
import pytest

from vibethinker_jax.data import loader, sources
from vibethinker_jax.data.tokens import chat, tokenizer as tokenizer_lib

LENGTH, ROWS = 192, 4


class Source:
  """Small examples that can be told apart."""

  def __init__(self, size=40, longest=12):
    self.size, self.longest = size, longest

  def __len__(self):
    return self.size

  def __getitem__(self, index):
    return {'prompt': f'question {index}', 'response': f'{index} ' + 'is it ' * (1 + index % self.longest)}

  def __repr__(self):
    return f'Source({self.size}, {self.longest})'


@pytest.fixture(scope='module')
def tokenizer():
  examples = sources.SyntheticExamples(('algebra',), (1,), 0, 200)
  return tokenizer_lib.train((text for i in range(200) for text in examples[i].values()), 320)


def batches(tokenizer, source=None, seed=0, weights=(), **options):
  options = {'batch_size': ROWS, 'length': LENGTH, 'seed': seed, **options}
  found = source or Source()
  return loader.sft_batches(
    loader.Mixture(found if isinstance(found, list) else [found], weights), tokenizer, **options
  )


def take(iterator, count):
  return [next(iterator) for _ in range(count)]


def equal(a, b):
  return all(x.keys() == y.keys() and all((x[k] == y[k]).all() for k in x) for x, y in zip(a, b, strict=True))


def documents(found):
  """(ids, mask) of every segment; the ids are its tokens and the last target."""
  for batch in found:
    for r in range(len(batch['tokens'])):
      segments = batch['segment_ids'][r]
      for s in range(1, segments.max() + 1):
        at = np.flatnonzero(segments == s)
        assert (np.diff(at) == 1).all() and (batch['positions'][r][at] == np.arange(len(at))).all()
        tokens, targets = batch['tokens'][r][at], batch['targets'][r][at]
        assert (tokens[1:] == targets[:-1]).all()  # the next token, within the document
        yield [*tokens.tolist(), int(targets[-1])], batch['mask'][r][at]


def test_rows_hold_whole_documents_with_their_masks(tokenizer):
  source = Source()
  known = {}
  for i in range(len(source)):
    ids, mask = chat.encode_example(tokenizer, source[i])
    known[tuple(ids)] = mask[1:]
  found = take(batches(tokenizer, source), 8)
  for batch in found:
    assert all(x.shape == (ROWS, LENGTH) and x.dtype == np.int32 for x in batch.values())
    padding = batch['segment_ids'] == 0
    assert not any(batch[name][padding].any() for name in ('tokens', 'targets', 'mask'))
  count = 0
  for ids, mask in documents(found):
    assert known[tuple(ids)] == mask.tolist()
    # the response and its end token, nothing of the prompt
    response = np.array(ids[1:])[mask == 1]
    assert response[-1] == tokenizer.end_id and (response == tokenizer.end_id).sum() == 1
    text = tokenizer.decode(response)
    assert text == source[int(text.split()[0])]['response']
    count += 1
  assert count > 8 * ROWS  # rows are shared


def real_share(iterator, positions=2_500_000):
  """Of the positions that hold tokens."""
  first = next(iterator)['segment_ids']
  return np.mean([first > 0, *(next(iterator)['segment_ids'] > 0 for _ in range(positions // first.size))])


@pytest.mark.parametrize('length, median, spread, longest', [(1024, 170, 0.6, 1024), (8192, 2300, 0.7, 5000)])
def test_packing_wastes_little(monkeypatch, length, median, spread, longest):
  """Lengths like those of MATH's solutions and of long reasoning about its problems."""
  rng = np.random.default_rng(0)
  lengths = np.exp(rng.normal(np.log(median), spread, 3000)).clip(20, longest).astype(int)
  source = [{'prompt': '', 'response': int(n)} for n in lengths]
  ones = lambda tokenizer, example: dict.fromkeys(('tokens', 'targets', 'mask'), np.ones(example['response'], np.int32))
  monkeypatch.setattr(loader, 'encode', ones)
  assert real_share(loader.sft_batches(loader.Mixture([source]), None, batch_size=8, length=length, seed=0)) >= 0.97


REAL = pathlib.Path(os.environ.get('VIBETHINKER_DATA', ''))


@pytest.mark.skipif('VIBETHINKER_DATA' not in os.environ, reason='VIBETHINKER_DATA names no folder of public data sets')
@pytest.mark.parametrize(
  'name, response, length',
  [
    ('math_train', 'solution', 1024),
    ('math_train', 'solution', 2048),
    ('outputs_sky27b_math500_longcot', 'output', 8192),
    ('outputs_sky27b_math500_longcot', 'output', 32768),
  ],
)
def test_packing_of_public_traces_wastes_little(name, response, length):
  with gzip.open(REAL / f'{name}.jsonl.gz', 'rt') as file:
    rows = [json.loads(line) for line in file]
  source = [{'prompt': row['problem'], 'response': row[response]} for row in rows]
  tokenizer = tokenizer_lib.train((text for row in source[:500] for text in row.values()), 2000)
  found = loader.sft_batches(loader.Mixture([source]), tokenizer, batch_size=8, length=length, seed=0, too_long='drop')
  assert real_share(found) >= 0.97


def test_an_epoch_has_every_example_once_and_the_next_another_order(tokenizer, monkeypatch):
  monkeypatch.setattr(loader, 'PACKING_BINS', 1)  # rows in the order of the examples
  found = [tuple(ids) for ids, _ in documents(take(batches(tokenizer, Source(30)), 8))]
  epochs = [found[:30], found[30:60]]
  assert all(len(set(epoch)) == 30 for epoch in epochs)
  assert epochs[0] != epochs[1]


def test_the_order_of_the_examples_is_that_of_earlier_versions(tokenizer, monkeypatch):
  monkeypatch.setattr(loader, 'PACKING_BINS', 1)  # rows in the order of the examples
  found = [
    int(tokenizer.decode(np.array(ids[1:])[mask == 1]).split()[0])
    for ids, mask in documents(take(batches(tokenizer), 2))
  ]
  assert found[:12] == [37, 4, 10, 32, 39, 22, 27, 9, 5, 20, 29, 7]


def test_same_seed_same_batches(tokenizer):
  first = take(batches(tokenizer), 5)
  assert equal(first, take(batches(tokenizer), 5))
  assert not equal(first, take(batches(tokenizer, seed=1), 5))


@pytest.mark.parametrize('after', [0, 1, 3, 7])
def test_state_resumes_in_a_fresh_iterator(tokenizer, after):
  whole = batches(tokenizer)
  take(whole, after)
  state = whole.get_state()
  expected = take(whole, 6)
  fresh = batches(tokenizer)
  fresh.set_state(state)
  assert equal(take(fresh, 6), expected)


def test_state_is_json(tokenizer):
  """It goes into the checkpoint's extra part."""
  whole = batches(tokenizer)
  take(whole, 3)
  fresh = batches(tokenizer)
  fresh.set_state(json.loads(json.dumps(whole.get_state())))
  assert equal(take(fresh, 3), take(whole, 3))


def some_rows(batch, rows):
  return {name: x[list(rows)] for name, x in batch.items()}


def test_streams_are_disjoint_and_complete(tokenizer, monkeypatch):
  monkeypatch.setattr(loader, 'PACKING_BINS', 1)  # rows in the order of the examples
  found = take(batches(tokenizer, Source(42), streams=3, batch_size=3), 20)
  documents_of = lambda i: [tuple(ids) for ids, _ in documents([some_rows(batch, [i]) for batch in found])]
  streams = [set(documents_of(i)[:14]) for i in range(3)]  # an epoch
  assert [len(s) for s in streams] == [14, 14, 14]
  assert len(set.union(*streams)) == 42


@pytest.mark.parametrize(
  'streams, hosts',
  [
    (1, [range(4)]),
    (4, [range(2), range(2, 4)]),
    (2, [[0], [1], [2], [3]]),
    (2, [[0, 2], [1, 3]]),
    (1, [[3], [0, 1, 2]]),
  ],
  ids=str,
)
def test_hosts_read_the_rows_of_one_batch(tokenizer, streams, hosts):
  """The same batches for any number of hosts, and a host reads only the streams of its rows."""
  expected = take(batches(tokenizer, streams=streams), 4)
  for rows in hosts:
    mine = batches(tokenizer, streams=streams, rows=rows)
    assert equal(take(mine, 4), [some_rows(batch, rows) for batch in expected])
    assert set(mine.get_state()) == {str(row * streams // ROWS) for row in rows}


def test_another_number_of_hosts_resumes_exactly(tokenizer):
  two = [batches(tokenizer, streams=4, rows=rows) for rows in ([0, 1], [2, 3])]
  for host in two:
    take(host, 3)
  state = json.loads(json.dumps(two[0].get_state() | two[1].get_state()))
  one = batches(tokenizer, streams=4)
  one.set_state(state)
  assert equal(take(one, 3), take(batches(tokenizer, streams=4), 6)[3:])


def test_too_long_an_example(tokenizer):
  with pytest.raises(ValueError, match=r'an example has \d+ tokens, a packed row holds 41.*question'):
    take(batches(tokenizer, length=40), 3)


def test_too_long_examples_are_dropped_with_a_count(tokenizer, caplog):
  source = Source(200)
  lengths = [len(chat.encode_example(tokenizer, source[i])[0]) for i in range(200)]
  limit = sorted(lengths)[120]
  fit = {i for i in range(200) if lengths[i] - 1 <= limit}
  found = take(batches(tokenizer, source, length=limit, too_long='drop'), 80)
  seen = {int(tokenizer.decode(np.array(ids[1:])[mask == 1]).split()[0]) for ids, mask in documents(found)}
  assert seen == fit and len(fit) < 130
  counts = [int(record.message.split()[0]) for record in caplog.records]
  assert counts[:2] == [1, 10] and 'they do not fit' in caplog.text


def test_dropping_resumes_exactly(tokenizer):
  options = dict(source=Source(60), length=45, too_long='drop')
  whole = batches(tokenizer, **options)
  take(whole, 3)
  state, fresh = whole.get_state(), batches(tokenizer, **options)
  expected = take(whole, 5)
  fresh.set_state(state)
  assert equal(take(fresh, 5), expected)


def test_dropping_everything_is_an_error(tokenizer, monkeypatch):
  monkeypatch.setattr(loader, 'MOST_IN_A_ROW', 50)
  with pytest.raises(ValueError, match='80 examples in a row do not fit'):
    take(batches(tokenizer, length=8, too_long='drop'), 1)
  with pytest.raises(ValueError, match="too_long='skip'"):
    batches(tokenizer, too_long='skip')


class Named(Source):
  """Examples that say which source they are of."""

  def __init__(self, name, size):
    super().__init__(size)
    self.name = name

  def __getitem__(self, index):
    return {'prompt': f'question {index}', 'response': f'{self.name} {index} is it'}


def mixed(tokenizer, sizes=(40, 400), **options):
  options = {'weights': (3.0, 1.0), **options}
  return batches(tokenizer, [Named(name, size) for name, size in zip('abc', sizes)], **options)


def drawn(tokenizer, found):
  """(source, index) of each document."""
  texts = [tokenizer.decode(np.array(ids[1:])[mask == 1]).split() for ids, mask in documents(found)]
  return [(text[0], int(text[1])) for text in texts]


def test_weights_are_the_shares_whatever_the_sizes(tokenizer, monkeypatch):
  monkeypatch.setattr(loader, 'PACKING_BINS', 1)  # rows in the order of the examples
  found = drawn(tokenizer, take(mixed(tokenizer), 14))
  a = [i for name, i in found if name == 'a']
  assert abs(len(a) / len(found) - 0.75) < 0.02 and len(found) > 200
  epochs = [a[:40], a[40:80]]  # each source has epochs of its own
  assert all(sorted(epoch) == list(range(40)) for epoch in epochs) and epochs[0] != epochs[1] != sorted(epochs[1])
  assert found != drawn(tokenizer, take(mixed(tokenizer, seed=1), 14))
  assert found == drawn(tokenizer, take(mixed(tokenizer), 14))


@pytest.mark.parametrize('after', [1, 6])
def test_a_mix_resumes_in_a_fresh_iterator(tokenizer, after):
  whole = mixed(tokenizer)
  take(whole, after)
  state = json.loads(json.dumps(whole.get_state()))
  expected = take(whole, 5)
  fresh = mixed(tokenizer)
  fresh.set_state(state)
  assert equal(take(fresh, 5), expected)


def test_streams_of_a_mix_are_disjoint_and_complete(tokenizer, monkeypatch):
  monkeypatch.setattr(loader, 'PACKING_BINS', 1)
  found = take(mixed(tokenizer, (30, 30), weights=(1, 1), streams=2, batch_size=2), 24)
  streams = []
  for i in range(2):
    seen = drawn(tokenizer, [some_rows(batch, [i]) for batch in found])
    streams.append({name: [j for n, j in seen if n == name][:15] for name in 'ab'})
  for name in 'ab':
    assert sorted(streams[0][name] + streams[1][name]) == list(range(30)), name


def test_wrong_weights_and_too_small_sources(tokenizer):
  for weights in ((), (1.0,), (1.0, 2.0, 3.0)):
    with pytest.raises(ValueError, match='2 sources with weights'):
      mixed(tokenizer, weights=weights)
  with pytest.raises(ValueError, match='has 2 examples for 4 streams'):
    batches(tokenizer, Source(2), streams=4)
  with pytest.raises(ValueError, match='batch_size=4 must be a multiple of streams=3'):
    batches(tokenizer, streams=3)


def test_synthetic_source(tokenizer):
  source = sources.SyntheticExamples(('algebra', 'code'), (1,), 0, 1000)
  assert len(source) == 1000 and source[7] == source[7] and source[7] != source[8]
  assert 'def ' not in source[0]['response'] and {'prompt', 'response'} == source[0].keys()
  assert repr(source) == repr(sources.SyntheticExamples(('algebra', 'code'), (1,), 0, 1000))
