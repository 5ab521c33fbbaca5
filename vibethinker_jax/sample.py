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
from vibethinker_jax.data.tokens import chat, chat_template
from vibethinker_jax.programs import elsewhere, stage
from vibethinker_jax.runtime import given, hosts, storage, watch
from vibethinker_jax.sampler import engine

CHECKPOINT = flags.DEFINE_string(
  'checkpoint',
  None,
  'Stage directory of a workdir, one of our checkpoints, a Hugging Face directory, a GGUF file, or a name of the Hub: '
  'OWNER/NAME, OWNER/NAME@REVISION.',
)
PROMPT = flags.DEFINE_string('prompt', '', 'What to ask; empty reads prompts from standard input, one a line.')
MAX_TOKENS = flags.DEFINE_integer('max_tokens', 256, 'Response tokens at most.', lower_bound=1)
TEMPERATURE = flags.DEFINE_float('temperature', 1.0, '0 is greedy.', lower_bound=0.0)
TOP_P = flags.DEFINE_float('top_p', 0.95, 'Nucleus; 1 keeps all tokens.', lower_bound=1e-6, upper_bound=1.0)
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
startup.finite('temperature', 'top_p')
READ = {
  'here': given.words(
    'checkpoint prompt max_tokens temperature top_p seed system prefix chat_template chat_template_kwargs'
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
      path = storage.path(CHECKPOINT.value)
      elsewhere.bring([CHECKPOINT.value])
      tokenizer = stage.asking(path, CHAT_TEMPLATE.value, chat_template.parse(CHAT_KWARGS.value))
      model = stage.load(path, mesh, tokenizer=tokenizer)
      for prompt in prompts():
        answer(model, prompt, mesh)


def prompts() -> Iterator[str]:
  """What host 0 was asked."""
  if PROMPT.value:
    yield PROMPT.value
    return
  while line := hosts.agreed(sys.stdin.readline, 'a prompt'):
    if line.strip():
      yield line.strip()


def answer(model: stage.Model, prompt: str, mesh) -> None:
  """Prints the response as it is decoded, with what the prompt has begun it with, and how it ended if it was cut
  off."""
  options = sources.DataOptions(system=SYSTEM.value, prefix=turns.LINE_END.sub('\n', PREFIX.value))
  row = turns.asked({'prompt': prompt}, {}, options)
  ids, begun, printed = [], chat.opening(model.tokenizer, row), ''

  def show(p, g, tokens):
    nonlocal printed
    ids.extend(tokens)
    text = begun + model.tokenizer.decode(ids)
    if text.endswith('\N{REPLACEMENT CHARACTER}'):  # the bytes of a character that is not complete yet
      return
    if hosts.first():
      print(text[len(printed) :], end='', flush=True)
    printed = text

  request = engine.Request([chat.encode_prompt(model.tokenizer, row)], group=1)
  options = engine.Options(MAX_TOKENS.value, TEMPERATURE.value, TOP_P.value, slots=1, steps_per_call=4)
  responses = engine.generate(
    model.config,
    model.params,
    request,
    options,
    key=jax.random.key(SEED.value),
    mesh=mesh,
    vocabulary=engine.Vocabulary(model.tokenizer.vocab_size, model.tokenizer.stop_ids),
    callbacks=engine.Callbacks(on_tokens=show),
  )
  hosts.say('' if responses.stopped_PG[0, 0] else f'\n[cut off at --max_tokens={MAX_TOKENS.value}]')


if __name__ == '__main__':
  flags.mark_flag_as_required('checkpoint')
  app.run(main, flags_parser=config_lib.parse_flags)
