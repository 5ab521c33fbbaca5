"""Where training examples come from: random-access sources for Grain."""

import random

from vibethinker_jax.data import synthetic


class SyntheticExamples:
  """Synthetic problems with one of their worked solutions each: {'prompt', 'response'} by index.

  The solution style is drawn anew for each index, so that over a run the model meets every path to an answer (the
  spectrum of VibeThinker-1.5B §3.3).
  """

  def __init__(self, domains: tuple[str, ...], levels: tuple[int, ...], seed: int, size: int):
    self.domains, self.levels, self.seed, self.size = tuple(domains), tuple(levels), seed, size

  def __len__(self) -> int:
    return self.size

  def __getitem__(self, index: int) -> dict:
    domain = self.domains[index % len(self.domains)]
    row = synthetic.problem(domain, 'train', index, self.seed, self.levels)
    responses = row['responses']
    style = random.Random(f'{self.seed}/style/{index}').choice(sorted(responses))
    return {'prompt': row['prompt'], 'response': responses[style]}

  def __repr__(self) -> str:  # Grain names the source by this in its state
    return f'SyntheticExamples({self.domains}, {self.levels}, {self.seed}, {self.size})'
