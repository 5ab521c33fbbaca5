"""Packed SFT batches: masks, positions, segments, and resuming exactly."""

import json

import numpy as np
import pytest

from vibethinker_jax.data import chat, loader, sources, tokenizer as tokenizer_lib

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


def batches(tokenizer, source=None, seed=0, **options):
  options = {'batch_size': ROWS, 'length': LENGTH, 'seed': seed, **options}
  return loader.sft_batches(source or Source(), tokenizer, **options)


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
    ids, mask = chat.encode_example(tokenizer, **source[i])
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


def test_packing_wastes_little(tokenizer):
  found = take(batches(tokenizer, Source(2000)), 20)
  assert np.mean([b['segment_ids'] > 0 for b in found]) > 0.85


def test_an_epoch_has_every_example_once_and_the_next_another_order(tokenizer, monkeypatch):
  monkeypatch.setattr(loader, 'PACKING_BINS', 1)  # rows in the order of the examples
  found = [tuple(ids) for ids, _ in documents(take(batches(tokenizer, Source(30)), 8))]
  epochs = [found[:30], found[30:60]]
  assert all(len(set(epoch)) == 30 for epoch in epochs)
  assert epochs[0] != epochs[1]


def test_same_seed_same_batches(tokenizer):
  first = take(batches(tokenizer), 5)
  assert equal(first, take(batches(tokenizer), 5))
  assert not equal(first, take(batches(tokenizer, seed=1), 5))
  assert not equal(first, take(batches(tokenizer, shuffle=False), 5))


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


def test_shards_are_disjoint_and_complete(tokenizer):
  source = Source(42)
  shards = [{tuple(ids) for ids, _ in documents(take(batches(
      tokenizer, source, shard_index=i, shard_count=3, shuffle=False), 5))} for i in range(3)]
  assert [len(s) for s in shards] == [14, 14, 14]
  assert len(set.union(*shards)) == 42


def test_too_long_an_example(tokenizer):
  with pytest.raises(ValueError, match=r'an example has \d+ tokens, a packed row holds 41.*question'):
    take(batches(tokenizer, length=40), 3)


def test_synthetic_source(tokenizer):
  source = sources.SyntheticExamples(('algebra', 'code'), (1,), 0, 1000)
  assert len(source) == 1000 and source[7] == source[7] and source[7] != source[8]
  assert 'def ' not in source[0]['response'] and {'prompt', 'response'} == source[0].keys()
  assert repr(source) == repr(sources.SyntheticExamples(('algebra', 'code'), (1,), 0, 1000))
