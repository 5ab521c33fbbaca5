"""Some groups of an RL stage as text, for the report."""

import json
import os

from vibethinker_jax.runtime import disk, hosts, metrics


def number(reward: float) -> int | float:
  """For a person: 1 rather than 1.0, and no more than four places."""
  return int(reward) if reward == int(reward) else round(float(reward), 4)


class Examples:
  """examples.jsonl of host 0: some groups as text, for the report; goes on where a restored checkpoint stands."""

  def __init__(self, path, step: int):
    self._file = (
      disk.open_lines(path, 'examples.jsonl', lambda line: metrics.line_step(line) <= step)
      if hosts.first()
      else open(os.devnull, 'wb')
    )

  def write(self, step: int, rollout, weight_P, groups: int = 2) -> None:
    for p in range(min(groups, len(rollout.rows))):
      row = rollout.rows[p]
      disk.append(
        self._file,
        json.dumps(
          {
            'step': step,
            'prompt': row['prompt'],
            'answer': row['answer'],
            'domain': row['domain'],
            'accuracy': float(rollout.correct[p].mean()),
            'weight': float(weight_P[p]),
            'responses': [
              {'text': text, 'reward': number(reward), 'tokens': int(length)}
              | ({} if reward == right else {'correct': bool(right)})
              for text, reward, right, length in zip(
                rollout.texts[p], rollout.rewards[p], rollout.correct[p], rollout.lengths[p]
              )
            ],
          }
        ).encode()
        + b'\n',
        'examples.jsonl',
      )

  def close(self) -> None:
    self._file.close()
