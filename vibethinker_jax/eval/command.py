"""The flags of the `evaluate` command, and which of them it reads in which of its modes (see runtime/given.py)."""

from absl import flags

from vibethinker_jax.data import presets, sources, synthetic
from vibethinker_jax.runtime import given, startup

CHECKPOINT = flags.DEFINE_list(
  'checkpoint',
  [],
  'Stage directories of a workdir, our checkpoints, Hugging Face directories, GGUF files, or names of the Hub '
  '(OWNER/NAME, OWNER/NAME@REVISION); several are evaluated one '
  'after the other and compared.',
)
PRESET = flags.DEFINE_list(
  'preset', [], f'Protocols: {", ".join(presets.PRESETS)}. One for all of --data, or one for each of its entries.'
)
DATA = flags.DEFINE_string(
  'data',
  '',
  'Files of problems with answers or tests, paths and globs with commas between (JSON lines or arrays, '
  "CSV, TSV, .gz too, parquet, ArrayRecord), or 'synthetic': held-out synthetic problems, the default with a "
  'checkpoint. Without --preset every entry is a set of its own.',
)
SYSTEM = flags.DEFINE_string(
  'system', '', "What the system turn says: text, or a template over a row's fields; it replaces the row's own."
)
PREFIX = flags.DEFINE_string(
  'prefix', '', 'How every response begins, such as "<think>\\n": part of what is asked; \\n is a line end.'
)
CHAT_TEMPLATE = flags.DEFINE_string(
  'chat_template', '', "File with a chat template instead of the model's: jinja, or JSON with the field chat_template."
)
CHAT_KWARGS = flags.DEFINE_string(
  'chat_template_kwargs',
  '',
  'What the template is to know: enable_thinking=false,x=1; values are JSON where they parse, else text.',
)
LIMIT = flags.DEFINE_integer(
  'limit', 0, 'Only so many problems from the start of each set of files; 0 is all.', lower_bound=0
)
PROMPT_FIELD = flags.DEFINE_string(
  'prompt_field',
  '',
  "Field of the prompt in --data, or a template: '{problem} Put the answer in \\boxed{{}}.', to "
  'which nothing is added; {options} are lettered lines in it. Default: found (prompt, problem, question).',
)
WORDING = flags.DEFINE_enum(
  'wording',
  'papers',
  sources.DataOptions.__annotations__['wording'].__args__,
  "'papers': as the papers' protocol asks a problem of its kind, with what it does not say itself; none: as it stands.",
)
ANSWER_FIELD = flags.DEFINE_string(
  'answer_field',
  '',
  'Field of the answer in --data. Default: found (answer, reward_model.ground_truth, final_answer, '
  'ground_truth, target, ...; else the last box of solution).',
)
DOMAIN_FIELD = flags.DEFINE_string(
  'domain_field', '', 'Field by which a set is divided in its table. Default: domain, subject, type, difficulty.'
)
DOMAINS = flags.DEFINE_list('domains', list(synthetic.DOMAINS), 'Domains of the synthetic problems.')
PROBLEMS = flags.DEFINE_integer('problems', 100, 'Problems per domain of the synthetic problems.', lower_bound=1)
TEMPLATES = flags.DEFINE_list('templates', [], 'Only these templates of the synthetic problems; default: all.')
LEVELS = flags.DEFINE_list('levels', ['1'], 'Difficulty levels of the synthetic problems: 1, 2, 3.')
SAMPLES = flags.DEFINE_integer('samples', None, "Responses per problem. Default: the preset's, else 4.", lower_bound=1)
flags.DEFINE_float(
  'temperature', None, "0 is greedy. Default: the preset's, else generation_config.json's, else 1.", lower_bound=0.0
)
flags.DEFINE_float(
  'top_p', None, 'Nucleus; 1 keeps all tokens. Default: as of temperature, else 0.95.', lower_bound=1e-6, upper_bound=1
)
flags.DEFINE_integer('top_k', None, 'Only the k likeliest tokens; 0 is off. Default: as of temperature.', lower_bound=0)
flags.DEFINE_float(
  'min_p', None, 'Only tokens so likely beside the likeliest; 0 is off. Default: as of temperature.', 0.0, 1.0
)
MAX_TOKENS = flags.DEFINE_integer(
  'max_tokens', None, "Response tokens at most. Default: the preset's, else 256.", lower_bound=1
)
STOP = flags.DEFINE_string(
  'stop',
  '',
  "Texts before which a response ends, commas between: '\\n\\nQuestion:,</answer>'; \\n is a line end, \\, a comma.",
)
SLOTS = flags.DEFINE_integer(
  'slots', 64, 'Responses in flight, over all devices; changes the speed alone.', lower_bound=1
)
SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the draws, and of the synthetic problems.', lower_bound=0, upper_bound=2**32 - 1
)
RESPONSES = flags.DEFINE_string(
  'responses',
  '',
  'Score these stored responses (JSON lines, of anybody) without a model. Their problems are those '
  'of --data, found by id or prompt, or stand in the file itself.',
)
RESPONSE_FIELD = flags.DEFINE_string('response_field', '', 'Field of the response in --responses. Default: found.')
VERDICT_FIELD = flags.DEFINE_string(
  'verdict_field',
  '',
  'Field of the verdict in --responses: the result says how far it agrees with ours, and lists every disagreement.',
)
TOKENIZER = flags.DEFINE_string('tokenizer', '', 'Counts the tokens of --responses, where the file does not say.')
TRAINED_ON = flags.DEFINE_string(
  'trained_on',
  '',
  'Training files: which problems share 10 words in a row with them, and the scores with and without those problems.',
)
TRAIN_FIELDS = flags.DEFINE_list('train_fields', ['prompt', 'response'], 'Fields of --trained_on that are compared.')
COMPARE = flags.DEFINE_list(
  'compare',
  [],
  'Directories of finished evaluations to compare on one page; the first is what the others are compared with.',
)
VERIFIER = flags.DEFINE_string(
  'verifier',
  '',
  'The reward that was trained for: module:function as of config.verifier, or several with weights as of '
  'config.rewards, such as answer=1,format=0.2,mine:judge=0.5. Default: answers, tests and constraints.',
)
CORRECT_AT = flags.DEFINE_float(
  'correct_at', 1.0, 'The reward from which a response counts as correct, where --verifier gives numbers.'
)
VERIFY = flags.DEFINE_string(
  'verify',
  '',
  'How responses are judged, as of config.verify: workers=64,timeout=120,memory=0,batch=32,invalid_share=0.5, '
  'environment=KEY+OTHER.',
)
OUTPUT = flags.DEFINE_string('output', None, 'Directory for the results, or gs://BUCKET/DIRECTORY.')

startup.finite('temperature', 'top_p', 'min_p', 'correct_at')
for _flag, _known in (
  ('levels', list(map(str, synthetic.LEVELS))),
  ('domains', list(synthetic.DOMAINS)),
  ('templates', [t.__name__ for found in synthetic.TEMPLATES.values() for t in found]),
):
  flags.register_validator(
    _flag, lambda value, known=_known: set(value) <= set(known), f'choose from {", ".join(_known)}'
  )

COMPARED, STORED, STORED_FILES = 'with --compare', 'with --responses and no --data', 'with --responses and --data=FILES'
STORED_SYNTHETIC, SAMPLED_FILES = 'with --responses and --data=synthetic', 'with --checkpoint and --data=FILES'
SAMPLED_SYNTHETIC = 'with --checkpoint on synthetic problems'
_ALL = 'output samples temperature top_p top_k min_p max_tokens trained_on train_fields data verifier correct_at verify'
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
NEEDS = {'train_fields': 'trained_on', 'correct_at': 'verifier'}  # flags that do nothing without another
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


def mode() -> str:
  """What is to be done: a key of READ.

  Raises:
    SystemExit: no model, responses or evaluations to compare, or several of them.
  """
  named = [name for name in ('checkpoint', 'responses', 'compare') if flags.FLAGS[name].value]
  if len(named) != 1:
    raise SystemExit(
      'error: give one of --checkpoint (sample and score), --responses (score what is stored), --compare'
      + (f'; not {" and ".join(f"--{name}" for name in named)} at once' if named else '')
    )
  if COMPARE.value:
    return COMPARED
  if RESPONSES.value:
    return STORED_SYNTHETIC if DATA.value == 'synthetic' else STORED_FILES if DATA.value else STORED
  files = DATA.value not in ('', 'synthetic') or PRESET.value and not DATA.value
  return SAMPLED_FILES if files else SAMPLED_SYNTHETIC
