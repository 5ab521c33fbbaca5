"""Drops training rows that share an n-gram of words with an evaluation set (VibeThinker-1.5B §3.5), with a report.

  python -m vibethinker_jax.decontaminate --train=traces.jsonl.gz --against=aime24.parquet,math500.jsonl \\
      --output=clean.jsonl.gz

Words are compared after Unicode NFKC and case folding, without punctuation and symbols. An evaluation text that is
shorter than an n-gram is searched for as a whole. OUTPUT holds the rows that stay, unchanged; OUTPUT.report.json says
of every dropped row which n-gram it shares with which evaluation row.
"""

import collections
import pathlib
import sys
import time

from absl import app, flags
import tqdm

from vibethinker_jax import config as config_lib
from vibethinker_jax.data import ngrams, overlap
from vibethinker_jax.data.files import rows as rows_lib
from vibethinker_jax.runtime import disk, given, origins, startup, storage

TRAIN = flags.DEFINE_string(
  'train',
  None,
  'Training files: paths and globs with commas between; JSON lines or arrays, '
  'CSV, TSV (.gz too), parquet, ArrayRecord.',
)
AGAINST = flags.DEFINE_string('against', None, 'Evaluation files, in the same way.')
OUTPUT = flags.DEFINE_string('output', None, 'For the rows that stay: .jsonl, .jsonl.gz, .parquet (of parquet).')
NGRAM = flags.DEFINE_integer('ngram', 10, 'Words of an n-gram.', lower_bound=ngrams.FEWEST)
FIELDS_HELP = (
  "Fields that are compared: dotted paths, with '|' between alternatives. 'prompt' and 'response' are "
  'found as in training (so problem, question, solution are found too); a row may lack a response.'
)
TRAIN_FIELDS = flags.DEFINE_list('train_fields', ['prompt', 'response'], FIELDS_HELP)
AGAINST_FIELDS = flags.DEFINE_list('against_fields', ['prompt'], FIELDS_HELP)
IGNORE_COMMON = flags.DEFINE_integer(
  'ignore_common',
  0,
  'N-grams in more than so many training rows are boilerplate and do not count; they are listed '
  'in the report. 0: all count.',
  lower_bound=0,
)
FLAGS_NAME = '--train_fields and --against_fields name others'
SHOWN = 10  # lines of each list on the screen; the report has all
READ = {'here': given.words('train against output ngram train_fields against_fields ignore_common')}


def main(argv) -> None:
  given.check(argv, 'here', READ, {})
  startup.leave_it_to_first()
  startup.plain_logs()
  with startup.one_line(ValueError, flag='--output'):
    print(
      summary(
        run(
          TRAIN.value,
          AGAINST.value,
          OUTPUT.value,
          NGRAM.value,
          TRAIN_FIELDS.value,
          AGAINST_FIELDS.value,
          IGNORE_COMMON.value,
        )
      )
    )


def run(
  train: str,
  against: str,
  output: str,
  n: int,
  train_fields: list[str],
  against_fields: list[str],
  ignore_common: int = 0,
) -> dict:
  """Writes `output` and its report, and returns the report.

  Raises:
    ValueError: a bad file, row or field; no row is left.
  """
  started = time.time()
  storage.local(output, '--output')
  rows = rows_lib.Rows(rows_lib.paths(train))
  rows_lib.check_output(rows, output)
  disk.check(pathlib.Path(output).absolute().parent)
  evaluation = rows_lib.Rows(rows_lib.paths(against))
  owners, found = [], []  # evaluation row of each text
  for i in range(len(evaluation)):
    for text in overlap.texts(evaluation, i, against_fields, FLAGS_NAME):
      owners.append(i)
      found.append(text)
  index = ngrams.Index(found, n)
  if not len(index):
    raise ValueError(f'{against}: the fields {", ".join(against_fields)} have no text of {ngrams.FEWEST} words or more')

  shared = {}  # training row -> its hits
  for i in _bar(len(rows)):
    hits = {hit.gram: hit for text in overlap.texts(rows, i, train_fields, FLAGS_NAME) for hit in index.shared(text)}
    if hits:
      shared[i] = list(hits.values())
  counts = collections.Counter(hit.gram for hits in shared.values() for hit in hits)
  common = {gram for gram, count in counts.items() if ignore_common and count > ignore_common}
  dropped = {i: left for i, hits in shared.items() if (left := [hit for hit in hits if hit.gram not in common])}
  place = lambda of, i: {'file': of.place(i)[0].path, 'line': of.number(i)}
  ranked = lambda wanted: [
    {'ngram': ' '.join(gram), 'rows': count} for gram, count in counts.most_common() if wanted(gram)
  ]
  listed = lambda numbers: [place(evaluation, owners[number]) for number in numbers]
  report = {
    'train': train,
    'against': against,
    'origins': origins.of(train, against).get('data', {}),
    'output': output,
    'ngram': n,
    'train_fields': train_fields,
    'against_fields': against_fields,
    'ignore_common': ignore_common,
    'rows': len(rows),
    'dropped': len(dropped),
    'kept': len(rows) - len(dropped),
    'evaluation_rows': len(evaluation),
    'evaluation_ngrams': len(index),
    'evaluation_rows_hit': len({owners[hit.text] for hits in dropped.values() for hit in hits}),
    'matched_whole': listed(index.short),
    'too_short_to_match': listed(index.ignored),
    'dropped_by_evaluation_file': dict(
      collections.Counter(evaluation.place(owners[hits[0].text])[0].path for hits in dropped.values()).most_common()
    ),
    'ignored_ngrams': ranked(common.__contains__),
    'most_frequent_ngrams': ranked(lambda gram: gram not in common)[:100],
    'dropped_rows': [
      place(rows, i)
      | {
        'ngram': ' '.join(hits[0].gram),
        'ngrams_shared': len(hits),
        'against': place(evaluation, owners[hits[0].text]),
      }
      for i, hits in dropped.items()
    ],
  }
  if len(dropped) < len(rows):
    rows_lib.write(rows, [i for i in range(len(rows)) if i not in dropped], output)
  report['seconds'] = round(time.time() - started, 1)
  config_lib.write_json(pathlib.Path(f'{output}.report.json'), report)
  if len(dropped) == len(rows):
    raise ValueError(
      f'all {len(rows)} rows share an n-gram with an evaluation row, nothing was written; '
      f'{output}.report.json says which'
    )
  return report


def summary(report: dict) -> str:
  """What was dropped, why, and where to look for the rest."""
  n = report['ngram']
  whole, ignored = len(report['matched_whole']), len(report['too_short_to_match'])
  lines = [
    f'{report["rows"]} training rows against {report["evaluation_rows"]} evaluation rows '
    f'({report["evaluation_ngrams"]} n-grams of {n} words; {whole} shorter texts searched for as a whole, '
    f'{ignored} left out as too short)',
    f'dropped {report["dropped"]} ({100 * report["dropped"] / report["rows"]:.1f}%), which share words with '
    f'{report["evaluation_rows_hit"]} evaluation rows; kept {report["kept"]}',
  ]
  lines += [f'  {count:>7} by {path}' for path, count in report['dropped_by_evaluation_file'].items()]
  for title, name in (
    ('most frequent n-grams, and training rows that have them', 'most_frequent_ngrams'),
    (f'ignored: in more than {report["ignore_common"]} training rows', 'ignored_ngrams'),
  ):
    if report[name]:
      lines += ['', title] + [f'  {x["rows"]:>7}  {x["ngram"]}' for x in report[name][:SHOWN]] + _more(report[name])
  if report['dropped_rows']:
    lines += (
      ['', 'dropped']
      + [
        f'  {x["file"]}, {x["line"]}: "{x["ngram"]}" stands in {x["against"]["file"]}, {x["against"]["line"]}'
        for x in report['dropped_rows'][:SHOWN]
      ]
      + _more(report['dropped_rows'])
    )
  if not report['ignore_common'] and report['most_frequent_ngrams'] and report['most_frequent_ngrams'][0]['rows'] > 20:
    lines += [
      '',
      'An n-gram in many training rows is often boilerplate: --ignore_common=20 would not count those in '
      'more than 20 rows.',
    ]
  return '\n'.join(lines + ['', f'{report["output"]}, {report["output"]}.report.json ({report["seconds"]} s)'])


def _more(values: list) -> list[str]:
  return [f'  ... {len(values) - SHOWN} more in the report'] if len(values) > SHOWN else []


def _bar(count: int):
  return tqdm.tqdm(
    range(count), desc='comparing', unit='row', dynamic_ncols=True, mininterval=0.2 if sys.stderr.isatty() else 20
  )


if __name__ == '__main__':
  flags.mark_flags_as_required(['train', 'against', 'output'])
  app.run(main, flags_parser=config_lib.parse_flags)
