"""Seeded synthetic problems with exact answers and several worked solution styles.

Every problem belongs to exactly one split, by a hash of what makes it that problem (template and numbers, not
wording, not seed), so SFT, probing, RL and evaluation can never share a problem.
"""

import hashlib
import random

from vibethinker_jax.data.synthetic import algebra, calculus, code, geometry, statistics
from vibethinker_jax.data.synthetic.problem import DOMAINS as DOMAINS, LEVELS as LEVELS, MATHS as MATHS, Draft

TEMPLATES = {
  'algebra': algebra.TEMPLATES,
  'geometry': geometry.TEMPLATES,
  'calculus': calculus.TEMPLATES,
  'statistics': statistics.TEMPLATES,
  'code': code.TEMPLATES,
}
# Eighths of the problem space that belong to each split.
SPLITS = {'train': range(3), 'rl': range(3, 5), 'probe': range(5, 6), 'evaluate': range(6, 8)}


def split_of(template: str, key: tuple) -> str:
  """The split a problem belongs to."""
  eighth = hashlib.blake2b(repr((template, key)).encode(), digest_size=1).digest()[0] % 8
  return next(name for name, eighths in SPLITS.items() if eighth in eighths)


def problem(
  domain: str, split: str, index: int, seed: int = 0, levels: tuple[int, ...] = (1,), templates: tuple[str, ...] = ()
) -> dict:
  """The `index`-th problem of a split: the same arguments always give the same problem.

  Args:
    templates: names of the templates to draw from; () is all of the domain.

  Returns a row: prompt, answer (maths), tests (code), domain, template, level, id, responses (style -> full
  response: `<think>...</think>` and the final answer).

  Raises:
    ValueError: unknown domain or split, or a domain of which no template is named.
  """
  if domain not in TEMPLATES:
    raise ValueError(f'unknown domain {domain!r}; choose from {", ".join(TEMPLATES)}')
  if split not in SPLITS:
    raise ValueError(f'unknown split {split!r}; choose from {", ".join(SPLITS)}')
  rng = random.Random(f'{seed}/{domain}/{split}/{index}')
  choice = [t for t in TEMPLATES[domain] if not templates or t.__name__ in templates]
  if not choice:
    raise ValueError(f'templates {templates} name none of {domain}: {", ".join(t.__name__ for t in TEMPLATES[domain])}')
  template = rng.choice(choice)
  level = rng.choice(levels)
  for _ in range(1000):
    draft = template(rng, level)
    if split_of(template.__name__, draft.key) == split:
      return _row(domain, template.__name__, level, draft)
  raise ValueError(f'{domain}.{template.__name__} has no {split} problem at level {level}: widen its numbers')


def _row(domain: str, template: str, level: int, draft: Draft) -> dict:
  finals = draft.final or dict.fromkeys(draft.solutions, f'\\boxed{{{draft.answer}}}')
  # One step a line: easier to read, and a line end is one token where ', ' before a digit is two.
  works = {style: work.replace(', ', '\n') for style, work in draft.solutions.items()}
  return {
    'prompt': draft.prompt,
    'answer': draft.answer,
    'tests': draft.tests,
    'domain': domain,
    'template': template,
    'level': level,
    'id': f'{domain}/{template}/{"/".join(map(str, draft.key))}',
    'responses': {style: f'<think>{work}</think>{finals[style]}' for style, work in works.items()},
  }


def problems(
  domain: str, split: str, count: int, seed: int = 0, levels: tuple[int, ...] = (1,), templates: tuple[str, ...] = ()
) -> list[dict]:
  """`count` different problems of a split, for probing, RL and evaluation.

  Raises:
    ValueError: the split has fewer different problems than asked for at these levels.
  """
  rows, index = {}, 0
  while len(rows) < count:
    if index > 20 * count + 1000:
      raise ValueError(
        f'{domain}/{split} at levels {levels} has hardly more than {len(rows)} different problems, '
        f'{count} were asked for: ask for fewer or add levels'
      )
    row = problem(domain, split, index, seed, levels, templates)
    rows.setdefault(row['id'], row)
    index += 1
  return list(rows.values())
