"""`problem`, `problems` and `split_of`: disjoint splits, determinism, distinct problems, clear errors."""

import itertools
import time

import pytest

from vibethinker_jax.data import synthetic

LEVELS = (1, 2, 3)


@pytest.mark.parametrize('domain', synthetic.DOMAINS)
def test_splits_are_disjoint(domain):
  ids = {
    split: {synthetic.problem(domain, split, index, seed, LEVELS)['id'] for seed in range(3) for index in range(100)}
    for split in synthetic.SPLITS
  }
  for split in ids:
    for other in ids:
      assert split == other or not ids[split] & ids[other], (split, other)


def test_prompts_of_splits_are_disjoint():
  """A split by key is only worth something if the same question cannot come back under another key."""
  for domain in synthetic.DOMAINS:
    prompts = {
      split: {synthetic.problem(domain, split, index, 0, (1,))['prompt'] for index in range(200)}
      for split in synthetic.SPLITS
    }
    assert not prompts['train'] & (prompts['rl'] | prompts['probe'] | prompts['evaluate']), domain


@pytest.mark.parametrize('domain', synthetic.DOMAINS)
def test_same_arguments_same_problem(domain):
  rows = [synthetic.problem(domain, 'train', index, 3, LEVELS) for index in range(50)]
  assert rows == [synthetic.problem(domain, 'train', index, 3, LEVELS) for index in range(50)]
  assert rows != [synthetic.problem(domain, 'train', index, 4, LEVELS) for index in range(50)]
  assert {row['level'] for row in rows} == {1, 2, 3} and len({row['template'] for row in rows}) > 4


@pytest.mark.parametrize('domain', synthetic.DOMAINS)
def test_rows(domain):
  for row in synthetic.problems(domain, 'probe', 60, levels=LEVELS):
    assert row['domain'] == domain and len(row['responses']) >= 2
    for response in row['responses'].values():
      assert response.startswith('<think>') and response.count('</think>') == 1
      final = response.split('</think>')[1]
      if domain == 'code':
        assert final.startswith('\n```python\ndef solve(') and final.endswith('\n```')
        assert row['tests']['cases']
      else:
        assert final == f'\\boxed{{{row["answer"]}}}' and row['answer'] and row['tests'] is None


def test_problems_are_distinct():
  for domain in synthetic.DOMAINS:
    rows = synthetic.problems(domain, 'evaluate', 200, seed=1, levels=(1,))
    assert len({row['id'] for row in rows}) == len({row['prompt'] for row in rows}) == 200, domain


def test_split_sizes():
  rows = [synthetic.split_of('power_rule', key) for key in itertools.product(range(20), repeat=3)]
  shares = {split: rows.count(split) / len(rows) for split in synthetic.SPLITS}
  for split, eighths in synthetic.SPLITS.items():
    assert abs(shares[split] - len(eighths) / 8) < 0.02, shares


def test_errors():
  with pytest.raises(ValueError, match='unknown domain .physics.'):
    synthetic.problem('physics', 'train', 0)
  with pytest.raises(ValueError, match='unknown split .test.'):
    synthetic.problem('algebra', 'test', 0)
  with pytest.raises(ValueError, match='fewer or add levels'):
    synthetic.problems('code', 'probe', 400)


def test_speed_is_printed():
  """Not asserted, because other work shares the machine: at least 10 000 rows/s are wanted."""
  for domain in synthetic.DOMAINS:
    start = time.perf_counter()
    for index in range(1000):
      synthetic.problem(domain, 'train', index)
    print(f'{domain}: {1000 / (time.perf_counter() - start):.0f} rows/s')
