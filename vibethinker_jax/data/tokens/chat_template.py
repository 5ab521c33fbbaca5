"""A chat template of one's own, and what is passed to it: kept as the template of the tokenizer's files.

`chat_template_kwargs`, such as enable_thinking=False, become the defaults of those names in lines in front of the
template:

  {%- if enable_thinking is not defined %}{%- set enable_thinking = False %}{%- endif %}

A checkpoint and its Hugging Face copy so ask as the model was trained, in transformers too, and whoever passes another
value still gets it. The files then hold one template, chat_template.jinja.
"""

import hashlib
import json
import re
from typing import Any

import jinja2
import jinja2.meta

from vibethinker_jax.data.tokens.hub_tokenizer import HubTokenizer, compile_template
from vibethinker_jax.data.tokens.tokenizer import Tokenizer
from vibethinker_jax.runtime import hub

# What transformers passes to every template itself.
GIVEN = (
  'messages',
  'tools',
  'documents',
  'add_generation_prompt',
  'bos_token',
  'eos_token',
  'pad_token',
  'unk_token',
  'sep_token',
  'cls_token',
  'mask_token',
  'additional_special_tokens',
)
NONE_OF_OURS = 'the tokenizer is our own SentencePiece one, which has no chat template'
_MARKS = re.compile(r'<[|｜][^<>|｜\s]+[|｜]>')


def read(path: str) -> str:
  """The template of a file: jinja text, or JSON with the field chat_template, as tokenizer_config.json has it; or of a
  model, by its directory or its name on the Hub.

  Raises:
    ValueError: there is none.
  """
  place = hub.local(path, weights=False)
  if place.is_dir():
    names = ('chat_template.jinja', 'chat_template.json', 'tokenizer_config.json')
    place = next((place / name for name in names if (place / name).is_file()), place)
  try:
    text = place.read_text()
  except (OSError, UnicodeDecodeError) as error:
    raise ValueError(f'chat_template={path!r} cannot be read as text: {error}') from error
  try:
    values = json.loads(text)
  except ValueError:
    values = {'chat_template': text}
  template = values.get('chat_template') if isinstance(values, dict) else None
  if isinstance(template, list):  # several by name
    named = {t.get('name'): t.get('template') for t in template if isinstance(t, dict)}
    template = named.get('default') or next(iter(named.values()), None)
  if not isinstance(template, str) or not template.strip():
    raise ValueError(
      f'chat_template={path!r}: there is no template in it; it is a jinja file, or JSON with the field "chat_template"'
    )
  return template


def parse(text: str) -> dict:
  """{name: value} of 'enable_thinking=false,x=1' or of a JSON object; a value is JSON where it parses, else text.

  Raises:
    ValueError: it is neither.
  """
  if text.lstrip().startswith('{'):
    try:
      return json.loads(text)
    except ValueError as error:
      raise ValueError(f'chat_template_kwargs={text!r} is no JSON object: {error}') from error
  found = {}
  for part in re.split(r',(?=\s*\w+\s*=)', text) if text else ():
    name, equals, value = (x.strip() for x in part.partition('='))
    if not equals or not name.isidentifier() or name in found:
      raise ValueError(
        f'chat_template_kwargs={text!r}: {part!r} must be NAME=VALUE, each name once, such as enable_thinking=false'
      )
    found[name] = _value(value)
  return found


def _value(text: str) -> Any:
  try:
    return json.loads({'True': 'true', 'False': 'false', 'None': 'null'}.get(text, text), parse_constant=str)
  except ValueError:
    return text


def names(template: str) -> list[str]:
  """The names that a template reads and a caller may pass."""
  environment = compile_template(template).environment
  read_names = jinja2.meta.find_undeclared_variables(environment.parse(template))
  return sorted(read_names - set(environment.globals) - set(GIVEN))


def identity(path: str, kwargs: dict) -> dict:
  """What of them is written into an evaluation's result, {} of none: the digest of the file's template, the kwargs."""
  found = {'chat_template': hashlib.sha256(read(path).encode()).hexdigest()} if path else {}
  return found | ({'chat_template_kwargs': kwargs} if kwargs else {})


def applied(tokenizer: Tokenizer | HubTokenizer, path: str, kwargs: dict) -> Tokenizer | HubTokenizer:
  """The tokenizer with another template and defaults for what it reads; applied twice it is the same.

  Args:
    path: of the template, see `read`; '' keeps the tokenizer's. kwargs: {name: value}.

  Raises:
    ValueError: our own tokenizer, a file without a template, a template that does not compile, that fails on a user's
      turn or does not show it, that writes control tokens which this tokenizer does not have, or that reads none of the
      kwargs' names.
  """
  if not path and not kwargs:
    return tokenizer
  what = f'chat_template={path!r}' if path else f'chat_template_kwargs={kwargs!r}'
  if isinstance(tokenizer, Tokenizer):
    raise ValueError(f'{what} does nothing: {NONE_OF_OURS}')
  try:
    template = read(path) if path else tokenizer.template
    known = names(template)
    if unknown := sorted(set(kwargs) - set(known)):
      raise ValueError(
        f'chat_template_kwargs: the template never reads {", ".join(unknown)}; it reads '
        f'{", ".join(known) or "no names but those that are always given"}'
      )
    front = ''.join(_default(name, value) for name, value in sorted(kwargs.items()))
    template = template if template.startswith(front) else front + template
    found = HubTokenizer(_files(tokenizer, template))
    _check(found)
    if path and found.end_of_turn() is None:
      raise ValueError(
        'no control token follows what an assistant says, so that nothing would end a response: write '
        "{{ eos_token }} behind an assistant's turn"
      )
  except (ValueError, jinja2.TemplateError) as error:
    raise ValueError(f'{error}' if what.partition('=')[0] in str(error) else f'{what}: {error}') from error
  return found


def _default(name: str, value: Any) -> str:
  """A line that sets a name where nobody has; the line end behind it is no part of what is rendered."""
  return f'{{%- if {name} is not defined %}}{{%- set {name} = {_literal(value)} %}}{{%- endif %}}\n'


def _literal(value: Any) -> str:
  """A value of JSON as a literal of jinja, which reads Python's, and the escapes of its strings."""
  return ascii(list(value) if isinstance(value, tuple) else value)


def _files(tokenizer: HubTokenizer, template: str) -> dict[str, bytes]:
  files = {name: content for name, content in tokenizer.files().items() if name != 'chat_template.json'}
  if 'tokenizer_config.json' in files:
    settings = json.loads(files['tokenizer_config.json'])
    settings.pop('chat_template', None)
    files['tokenizer_config.json'] = json.dumps(settings, indent=2, ensure_ascii=False).encode()
  return files | {'chat_template.jinja': template.encode()}


def _check(tokenizer: HubTokenizer) -> None:
  """Raises ValueError where the template does not show what a user says, or writes what is no token here."""
  asked = [{'role': 'user', 'content': 'vibethinker'}]
  text = tokenizer.render_chat(asked)
  if 'vibethinker' not in text:
    raise ValueError(f'the template does not show what the user says; it renders to {text[:200]!r}')
  whole = tokenizer.render_chat([*asked, {'role': 'assistant', 'content': 'yes'}], False)
  if missing := sorted({mark for mark in _MARKS.findall(text + whole) if not tokenizer.has(mark)}):
    raise ValueError(
      f'the template writes {", ".join(missing)}, no token of this tokenizer: it is made for another model'
    )
