"""Streams a model's answer in the terminal.

python -m vibethinker_jax.sample --checkpoint=runs/tiny/rl_code --prompt='Solve 4x+2=10.'
"""

from vibethinker_jax.runtime import startup

if __name__ == '__main__':
  startup.prepare()

from collections.abc import Iterator
import sys

from absl import app, flags
import jax

from vibethinker_jax import config as config_lib, sharding
from vibethinker_jax.data import sources, turns
from vibethinker_jax.data.tokens import chat, chat_template, stops
from vibethinker_jax.programs import elsewhere, stage
from vibethinker_jax.runtime import given, hosts, storage, watch
from vibethinker_jax.sampler import defaults, engine

CHECKPOINT = flags.DEFINE_string(
  'checkpoint',
  None,
  'Stage directory of a workdir, one of our checkpoints, a Hugging Face directory, a GGUF file, or a name of the Hub: '
  'OWNER/NAME, OWNER/NAME@REVISION.',
)
PROMPT = flags.DEFINE_string('prompt', '', 'What to ask; empty reads prompts from standard input, one a line.')
MAX_TOKENS = flags.DEFINE_integer('max_tokens', 256, 'Response tokens at most.', lower_bound=1)
flags.DEFINE_float('temperature', None, "0 is greedy. Default: the model's generation_config.json, else 1.", 0.0)
flags.DEFINE_float('top_p', None, 'Nucleus; 1 keeps all tokens. Default: as of temperature, else 0.95.', 1e-6, 1.0)
flags.DEFINE_integer('top_k', None, 'Only the k likeliest tokens; 0 is off. Default: as of temperature.', 0)
flags.DEFINE_float(
  'min_p', None, 'Only tokens so likely beside the likeliest; 0 is off. Default: as of temperature.', 0.0, 1.0
)
STOP = flags.DEFINE_string(
  'stop',
  '',
  "Texts before which the response ends, commas between: '\\n\\nQuestion:,</answer>'; \\n is a line end, \\, a comma.",
)
SEED = flags.DEFINE_integer('seed', 0, 'The same seed gives the same answer.', lower_bound=0, upper_bound=2**32 - 1)
SYSTEM = flags.DEFINE_string('system', '', 'What the system turn says.')
PREFIX = flags.DEFINE_string('prefix', '', 'How the response begins, such as "<think>\\n"; \\n is a line end.')
CHAT_TEMPLATE = flags.DEFINE_string(
  'chat_template', '', "File with a chat template instead of the model's: jinja, or JSON with the field chat_template."
)
CHAT_KWARGS = flags.DEFINE_string(
  'chat_template_kwargs',
  '',
  'What the template is to know: enable_thinking=false,x=1; values are JSON where they parse, else text.',
)
startup.finite('temperature', 'top_p', 'min_p')
READ = {
  'here': given.words(
    'checkpoint prompt max_tokens temperature top_p top_k min_p stop seed system prefix',
    'chat_template chat_template_kwargs',
  )
}


def main(argv) -> None:
  given.check(argv, 'here', READ, {}, empty=('prompt',))
  startup.plain_logs()
  hosts.connect()
  startup.keep_compiled()
  with watch.guard():
    mesh = sharding.make_mesh()
    with startup.one_line(ValueError, flag='standard output'), jax.set_mesh(mesh):
      path, stop = storage.path(CHECKPOINT.value), stops.read(STOP.value)
      elsewhere.bring([CHECKPOINT.value])
      kwargs = chat_template.parse(CHAT_KWARGS.value)
      tokenizer = stage.asking(path, CHAT_TEMPLATE.value, kwargs) or stage.read_tokenizer(path)
      options, ends = drawing(tokenizer), stops.ids(tokenizer, stop)
      model = stage.load(path, mesh, tokenizer=tokenizer)
      for prompt in prompts():
        answer(model, prompt, mesh, options, stop, ends)


def prompts() -> Iterator[str]:
  """What host 0 was asked."""
  if PROMPT.value:
    yield PROMPT.value
    return
  while line := hosts.agreed(sys.stdin.readline, 'a prompt'):
    if line.strip():
      yield line.strip()


def drawing(tokenizer) -> engine.Options:
  """How to sample: as the flags say, else as the model does, which is printed."""
  given = {name: flags.FLAGS[name].value for name in defaults.Drawn._fields if flags.FLAGS[name].value is not None}
  taken = defaults.taken(tokenizer.files(), given)
  if (line := defaults.said(taken, tokenizer.files())) and hosts.first():
    print(line, file=sys.stderr)  # standard output is the answer
  drawn = defaults.Drawn(**taken | given)
  return engine.Options(MAX_TOKENS.value, **drawn._asdict(), slots=1, steps_per_call=4)


def answer(
  model: stage.Model, prompt: str, mesh, how: engine.Options, stop: tuple[str, ...], ends: tuple[int, ...]
) -> None:
  """Prints the response as it is decoded, with what the prompt has begun it with, and how it ended if it was cut
  off.

  Args:
    stop, ends: the texts and the tokens that end it.
  """
  options = sources.DataOptions(system=SYSTEM.value, prefix=turns.LINE_END.sub('\n', PREFIX.value))
  row = turns.asked({'prompt': prompt}, {}, options)
  ids, begun, printed = [], chat.opening(model.tokenizer, row), ''

  def show(p, g, tokens, until=stops.settled):
    nonlocal printed
    ids.extend(tokens)
    text = begun + until(model.tokenizer.decode(ids), stop)
    if hosts.first():
      print(text[len(printed) :], end='', flush=True)
    printed = max(printed, text, key=len)  # bytes of a character to come may tear the one before

  request = engine.Request([chat.encode_prompt(model.tokenizer, row)], group=1)
  responses = engine.generate(
    model.config,
    model.params,
    request,
    how,
    key=jax.random.key(SEED.value),
    mesh=mesh,
    vocabulary=engine.Vocabulary(model.tokenizer.vocab_size, ends),
    callbacks=engine.Callbacks(on_tokens=show, ends=stops.finder(model.tokenizer.decode, stop)),
  )
  show(0, 0, [], lambda text, stop: stops.cut(text, stop).rstrip(stops.LOST))  # all that began no stop string after all
  hosts.say('' if responses.stopped_PG[0, 0] else f'\n[cut off at --max_tokens={MAX_TOKENS.value}]')


if __name__ == '__main__':
  flags.mark_flag_as_required('checkpoint')
  app.run(main, flags_parser=config_lib.parse_flags)
