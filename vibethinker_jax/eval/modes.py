"""Which flags the `evaluate` command reads in which of its modes (see runtime/given.py)."""

from vibethinker_jax.runtime import given

COMPARED, STORED, STORED_FILES = 'with --compare', 'with --responses and no --data', 'with --responses and --data=FILES'
STORED_SYNTHETIC, SAMPLED_FILES = 'with --responses and --data=synthetic', 'with --checkpoint and --data=FILES'
SAMPLED_SYNTHETIC = 'with --checkpoint on synthetic problems'
_ALL = 'output samples temperature top_p top_k min_p max_tokens trained_on train_fields data'
_SYNTHETIC, _FIELDS = 'domains problems templates levels seed', 'prompt_field answer_field domain_field wording preset'
_ASKED = 'system prefix chat_template chat_template_kwargs'
_STORED, _SAMPLED = 'responses response_field verdict_field tokenizer', f'checkpoint slots seed stop {_ASKED}'
READ = {
  COMPARED: given.words('compare output'),
  STORED: given.words(_ALL, _STORED, _FIELDS),
  STORED_FILES: given.words(_ALL, _STORED, _FIELDS, 'limit'),
  STORED_SYNTHETIC: given.words(_ALL, _STORED, _SYNTHETIC, 'prompt_field'),
  SAMPLED_FILES: given.words(_ALL, _SAMPLED, _FIELDS, 'limit'),
  SAMPLED_SYNTHETIC: given.words(_ALL, _SAMPLED, _SYNTHETIC),
}
MEANT = {
  'problems': '--limit=N takes the first N problems of each set of files',
  'limit': '--problems=N is the number of synthetic problems of each domain',
  'preset': 'it needs the files of the benchmark, --data=FILES',
  'domains': 'it chooses synthetic problems; --domain_field names the field by which files are divided in the table',
  'levels': 'it chooses synthetic problems; of files, --data=FILES names the ones to read',
  'templates': 'it chooses synthetic problems; of files, --data=FILES names the ones to read',
  'tokenizer': 'it counts the tokens of --responses; a --checkpoint brings its own',
  'verdict_field': 'it names a field of --responses=FILE',
  'response_field': 'it names a field of --responses=FILE',
  **dict.fromkeys(('slots', 'seed', 'stop', *given.words(_ASKED)), 'nothing is sampled; --checkpoint=MODEL samples'),
  **{
    f'{flag} {STORED}': 'the problems are all that stand in --responses; --data=FILES --limit=N names others'
    for flag in ('problems', 'limit', 'domains', 'levels', 'templates')
  },
  'seed ' + STORED_FILES: 'nothing is drawn; it chooses the problems of --data=synthetic',
  **{
    f'{flag} {COMPARED}': 'finished evaluations are only compared; give it to the command that makes them, with '
    '--checkpoint or --responses'
    for names in READ.values()
    for flag in names
  },
}
