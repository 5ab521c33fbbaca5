"""Sampling what an evaluation still lacks, straight into its journal."""

from collections.abc import Callable
from concurrent.futures import Future
import itertools
import pathlib

import jax
import numpy as np

from vibethinker_jax.data.tokens import chat, stops
from vibethinker_jax.eval import benchmarks
from vibethinker_jax.eval.journal import Journal
from vibethinker_jax.eval.rewards import measured
from vibethinker_jax.eval.sets import Set
from vibethinker_jax.runtime import hosts, timeline
from vibethinker_jax.sampler import engine
from vibethinker_jax.verify.verdict import Verdict


def missing(chosen: Set, journal: Journal) -> list[tuple[int, int]]:
  """(row, sample) pairs of a set that are not in the journal of host 0, in the order of the problems."""
  found = hosts.agreed(
    lambda: [
      (p, g)
      for p, row in enumerate(chosen.rows)
      for g in range(chosen.samples)
      if (chosen.name, row['id'], g) not in journal.known
    ]
  )
  return [(p, g) for p, g in found]


def prompts(tokenizer, rows: list[dict]) -> list[list[int]]:
  return [chat.encode_prompt(tokenizer, row) for row in rows]


def check_room(config, prompts: list[list[int]], max_tokens: int) -> None:
  """Raises ValueError where a response could run past the positions that the model was made for."""
  longest = max(map(len, prompts))
  if config.max_position_embeddings and longest + max_tokens > config.max_position_embeddings:
    raise ValueError(
      f"prompts of up to {longest} tokens and {max_tokens} of the response exceed the model's "
      f'{config.max_position_embeddings} positions: give --max_tokens='
      f'{max(1, config.max_position_embeddings - longest)} or less'
    )


def collect(
  model,
  chosen: list[Set],
  directory: pathlib.Path,
  samplers: dict[str, engine.Options],
  *,
  key,
  mesh,
  pool,
  progress: Callable,
) -> tuple[Journal, dict]:
  """Samples what an evaluation lacks of its sets.

  Args:
    model: config, params, tokenizer. directory: of the journal.
    samplers: of each set by its name. progress: (all responses, those that are there) -> a progress bar.

  Returns:
    The journal (host 0's; others write to nowhere) and the verdicts under way, see `sample`.
  """
  journal = Journal(directory, writes=hosts.first())
  lacking = sum(len(missing(s, journal)) for s in chosen)
  total = sum(s.samples * len(s.rows) for s in chosen)
  bar, futures = progress(total, total - lacking), {}
  if lacking:
    journal.start(devices=mesh.size, device=jax.devices()[0].device_kind, slots=samplers[chosen[0].name].slots)
  try:
    for s in chosen:
      futures |= sample(
        model,
        s,
        samplers[s.name],
        key=key,
        mesh=mesh,
        journal=journal,
        pool=pool,
        on_response=lambda tokens: bar.update(1),
      )
  finally:
    bar.close()
    journal.stop()
    if not journal.known:  # failed before there was anything to keep
      journal.remove()
  return journal, futures


def sample(
  model, chosen: Set, options: engine.Options, *, key, mesh, journal: Journal, pool, on_response=lambda tokens: None
) -> dict:
  """Samples every missing response of a set in one call of the engine; each is in the journal as soon as it ends.

  A response depends on its problem's id and its number alone, so those that are sampled after a kill, or because more
  are wanted, are the ones that an undisturbed evaluation has.

  Args:
    model: config, params, tokenizer.
    on_response: told each one's tokens.

  Returns:
    {(set, id, sample): Future of the verdict}: verified while others are decoded, each by the host that sampled it.
  """
  wanted, futures = set(missing(chosen, journal)), {}
  if not wanted:
    return futures
  lacking = sorted({p for p, _ in wanted})
  there_PG = np.array([[(p, g) not in wanted for g in range(chosen.samples)] for p in lacking])
  nothing = np.zeros((*there_PG.shape, 0))  # the tokens of what is there are not needed
  earlier = engine.Responses(nothing, nothing, there_PG.astype(np.int32), there_PG, there_PG, 0)
  stop_ids = stops.ids(model.tokenizer, chosen.stop)

  rows = [chosen.rows[p] for p in lacking]
  openings = [chat.opening(model.tokenizer, row) for row in rows]

  def keep(i, g, tokens) -> str:
    whole = model.tokenizer.decode(tokens)
    sampled = stops.cut(whole, chosen.stop)
    text = openings[i] + sampled
    journal.append(
      {
        'set': chosen.name,
        'id': rows[i]['id'],
        'sample': g,
        'response': text,
        'tokens': len(tokens),
        'cut_off': int(tokens[-1]) not in stop_ids and sampled == whole,
      }
    )
    on_response(len(tokens))
    return text

  def on_finished(i, g, tokens):
    futures[chosen.name, rows[i]['id'], g] = pool.submit(
      keep(i, g, tokens), measured(pool, rows[i], len(tokens), options.max_tokens)
    )

  request = engine.Request(
    prompts(model.tokenizer, rows), chosen.samples, [benchmarks.prompt_id(row) for row in rows], earlier
  )
  with timeline.phase('rollout'):
    responses = engine.generate(
      model.config,
      model.params,
      request,
      options,
      key=key,
      mesh=mesh,
      vocabulary=engine.Vocabulary(model.tokenizer.vocab_size, stop_ids),
      callbacks=engine.Callbacks(
        on_finished, lambda *_: hosts.beat(), ends=stops.finder(model.tokenizer.decode, chosen.stop)
      ),
    )
  if hosts.count() == 1:
    return futures
  for i, g in np.argwhere(~there_PG):
    if (chosen.name, rows[i]['id'], int(g)) not in futures:  # another host's
      keep(int(i), int(g), responses.tokens_PGL[i, g, : responses.lengths_PG[i, g]])
  return told(futures)


def told(futures: dict) -> dict:
  """The verdicts of all hosts, on every host."""
  found = {}
  mine = [(*key, *future.result()) for key, future in futures.items()]
  for *key, status, reason, reward, parts in itertools.chain(*hosts.gather(mine, 'verdicts')):
    found[tuple(key)] = Future()
    found[tuple(key)].set_result(Verdict(status, reason, reward, parts))
  return found
