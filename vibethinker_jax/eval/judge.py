"""Verdicts of responses and the numbers of a set, without JAX."""

from vibethinker_jax.eval import scores, sets, votes
from vibethinker_jax.eval.rewards import measured
from vibethinker_jax.eval.scores import Judged
from vibethinker_jax.verify.pool import Pool


def judged(
  chosen: sets.Set, lines: dict, pool: Pool, futures: dict | None = None, graded: bool = False
) -> list[list[Judged]]:
  """The responses of every problem with their verdicts, by the present verifier.

  Args:
    lines: (set, id, sample) -> line of a journal; of each problem the first `samples` count.
    futures: (set, id, sample) -> verdict under way, of responses that were judged while others were sampled.
    graded: the verdicts have rewards of their own.
  """
  futures, wanted = futures or {}, []
  for row in chosen.rows:
    keys = [key for g in range(chosen.samples) if (key := (chosen.name, row['id'], g)) in lines]
    submit = lambda line, row=row: pool.submit(
      line['response'], measured(pool, row, line.get('tokens'), chosen.max_tokens)
    )
    wanted.append([(lines[key], futures.get(key) or submit(lines[key])) for key in keys])
  found = []
  for row, pairs in zip(chosen.rows, wanted):
    found.append([])
    for line, future in pairs:
      verdict = future.result()
      vote = votes.answer(line['response'], row) if has_answer(row) else None
      found[-1].append(
        Judged(
          line['sample'],
          line['response'],
          verdict.status,
          verdict.reason,
          vote,
          line.get('tokens'),
          line.get('cut_off'),
          verdict.value() if graded and verdict.status != 'invalid' else None,
          verdict.parts,
        )
      )
  return found


def has_answer(row: dict) -> bool:
  """Whether responses can vote on an answer: not where programs or constraints are judged."""
  return row.get('tests') is None and row.get('constraints') is None


def score(chosen: sets.Set, judged_P: list[list[Judged]], pool: Pool, by: dict | None = None) -> dict:
  """scores.of_set with the set's settings, name of the score, and notes. by: verifier.identity of a user's."""
  voting = [] if by else [i for i, row in enumerate(chosen.rows) if has_answer(row)]
  ballots = [[(j.answer, j.status == 'correct') for j in judged if j.status != 'invalid'] for judged in judged_P]
  cons = dict(zip(voting, votes.cons_of([ballots[i] for i in voting], [chosen.rows[i] for i in voting], pool)))
  found = scores.of_set(chosen.rows, judged_P, [cons.get(i) for i in range(len(chosen.rows))])
  silent = found['reasons'].get('no_answer', 0)
  unheard = (
    [f'{silent} of {found["responses"]} responses have no answer that can be judged (a box; a python block)']
    if 2 * silent > found['responses']
    else []
  )
  if by:
    unheard = [f'judged by {by["verifier"]}: no cons@n, whose votes the default verifier counts by equal answers']
  return {
    'score': chosen.score_name(chosen.samples),
    'files': chosen.files,
    **chosen.settings(),
    **(by or {}),
    'samples_asked': chosen.samples,
    'notes': chosen.notes() + unheard,
    **found,
  }


def of_sets(
  chosen: list[sets.Set], lines: dict, pool: Pool, futures: dict | None, by: dict | None = None
) -> tuple[dict, list[dict]]:
  """({name: score} of all sets, their lines), see `judged` and `score`."""
  results, found = {}, []
  for s in chosen:
    judged_P = judged(s, lines, pool, futures, by is not None)
    results[s.name] = score(s, judged_P, pool, by)
    found += lines_of(s, judged_P)
  return results, found


def lines_of(chosen: sets.Set, judged_P: list[list[Judged]]) -> list[dict]:
  """The journal's lines with verdicts, in the order of the problems."""
  return [
    {
      'set': chosen.name,
      'id': row['id'],
      'sample': j.sample,
      'response': j.text,
      'tokens': j.tokens,
      'cut_off': j.cut_off,
      'status': j.status,
      'reason': j.reason,
      'answer': j.answer,
    }
    | ({} if j.reward is None else {'reward': j.reward})
    | ({'parts': j.parts} if j.parts else {})
    for row, judged in zip(chosen.rows, judged_P)
    for j in judged
  ]
