"""Sampling what an evaluation still lacks, straight into its journal."""

from concurrent.futures import Future
import itertools

from vibethinker_jax import hosts, timeline
from vibethinker_jax.data import chat
from vibethinker_jax.eval import benchmarks
from vibethinker_jax.eval.journal import Journal
from vibethinker_jax.sampler import engine
from vibethinker_jax.verify.verdict import Verdict


def missing(name: str, rows: list[dict], samples: int, journal: Journal) -> list[tuple[int, int]]:
  """(row, sample) pairs of a set that are not in the journal of host 0, in the order of the problems."""
  found = hosts.agreed(lambda: [
      (p, g) for p, row in enumerate(rows) for g in range(samples) if (name, row['id'], g) not in journal.known])
  return [(p, g) for p, g in found]


def prompts(tokenizer, rows: list[dict]) -> list[list[int]]:
  return [chat.encode_prompt(tokenizer, row['prompt']) for row in rows]


def check_room(config, prompts: list[list[int]], max_tokens: int) -> None:
  """Raises ValueError where a response could run past the positions that the model was made for."""
  longest = max(map(len, prompts))
  if config.max_position_embeddings and longest + max_tokens > config.max_position_embeddings:
    raise ValueError(f'prompts of up to {longest} tokens and {max_tokens} of the response exceed the model\'s '
                     f'{config.max_position_embeddings} positions: give --max_tokens='
                     f'{max(1, config.max_position_embeddings - longest)} or less')


def sample(model, name: str, rows: list[dict], samples: int, options: engine.Options, *, key, mesh, journal: Journal,
           pool, on_response=lambda tokens: None) -> dict:
  """Samples every missing response of a set in one call of the engine; each is in the journal as soon as it ends.

  Each response is a group of its own, drawn by its problem's id and its number: then any of them can be missing,
  after a kill or because more are wanted, and those that are sampled are always the same. (A group of G would share the
  prefill of its prompt, a hundredth of the work where responses are long, but what a kill leaves is no whole group.)

  Args:
    model: config, params, tokenizer. rows: with id, prompt, and what judges. on_response: told each one's tokens.

  Returns:
    {(set, id, sample): Future of the verdict}: verified while others are decoded, each by the host that sampled it.
  """
  wanted, futures = missing(name, rows, samples, journal), {}
  if not wanted:
    return futures
  encoded, stops = prompts(model.tokenizer, rows), set(model.tokenizer.stop_ids)

  def keep(i, tokens) -> str:
    p, g = wanted[i]
    text, stopped = model.tokenizer.decode(tokens), int(tokens[-1]) in stops
    journal.append({'set': name, 'id': rows[p]['id'], 'sample': g, 'response': text, 'tokens': len(tokens),
                    'cut_off': not stopped})
    on_response(len(tokens))
    return text

  def on_finished(i, _, tokens):
    p, g = wanted[i]
    futures[name, rows[p]['id'], g] = pool.submit(keep(i, tokens), rows[p])

  with timeline.phase('rollout'):
    responses = engine.generate(
        model.config, model.params, [encoded[p] for p, _ in wanted], 1, options, key=key, mesh=mesh,
        stop_ids=model.tokenizer.stop_ids, vocab_size=model.tokenizer.vocab_size, on_finished=on_finished,
        prompt_ids=[benchmarks.prompt_id({'id': f'{rows[p]["id"]}/{g}'}) for p, g in wanted],
        on_tokens=lambda *_: hosts.beat())
  for i in range(len(wanted) if hosts.count() > 1 else 0):  # what other hosts sampled
    if (name, rows[wanted[i][0]]['id'], wanted[i][1]) not in journal.known:
      keep(i, responses.tokens_PGL[i, 0, :responses.lengths_PG[i, 0]])
  return told(futures) if hosts.count() > 1 else futures


def told(futures: dict) -> dict:
  """The verdicts of all hosts, on every host."""
  found = {}
  mine = [(*key, *future.result()) for key, future in futures.items()]
  for *key, status, reason in itertools.chain(*hosts.gather(mine, 'verdicts')):
    found[tuple(key)] = Future()
    found[tuple(key)].set_result(Verdict(status, reason))
  return found
