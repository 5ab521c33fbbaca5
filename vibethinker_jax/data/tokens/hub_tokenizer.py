"""Tokenizers of Hugging Face models: tokenizer.json with the chat template of tokenizer_config.json."""

import datetime
import json
import os
import re

import jinja2
import jinja2.ext
import jinja2.sandbox
import tokenizers

CHATML = (
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
  '{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}'
)
PLAIN = "{% for message in messages %}{{ message['content'] }}{{ eos_token }}{% endfor %}"
THINK = ('<think>', '</think>')
# Stands for a control token in a message while the template is rendered; a private-use character.
_MASK = '\ue0ff'


class HubTokenizer:
  """Text <-> token ids, as transformers' fast tokenizer of the same files.

  Attributes:
    vocab_size: ids from 0; the model's vocabulary may be padded beyond it, those ids are never sampled.
    pad_id: filler of empty positions. end_id: what ends an assistant's message in the chat template.
    stop_ids: what ends a response when sampling: end_id and the end tokens of the settings files.
    template: the text of its chat template. controls: ids of the control tokens by their text.
  """

  def __init__(self, files: dict[str, bytes], bare: bool = False):
    """Args: files: by name, with tokenizer.json; tokenizer_config.json, chat_template.jinja, generation_config.json
    where the model has them. bare: a chat template follows (chat_template.applied): none is needed here.

    Raises:
      ValueError: files that cannot be read, no end token, or a template that fails.
    """
    self._files = dict(files)
    if 'tokenizer.json' not in files:
      raise ValueError(
        f'a tokenizer.json is needed, found {", ".join(sorted(files)) or "no tokenizer files"}; '
        'transformers writes one: AutoTokenizer.from_pretrained(...).save_pretrained(...)'
      )
    try:
      self._tokenizer = tokenizers.Tokenizer.from_str(_think_tags_as_text(files['tokenizer.json'].decode()))
    except Exception as error:  # the library raises plain Exceptions
      raise ValueError(f'tokenizer.json cannot be read: {error}') from error
    self._tokenizer.no_truncation()
    self._tokenizer.no_padding()
    self._config = settings(files, 'tokenizer_config.json')
    added = self._tokenizer.get_added_tokens_decoder()
    self.controls = {token.content: i for i, token in added.items() if token.special}
    self.vocab_size = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    self._controls = re.compile('|'.join(map(re.escape, sorted(self.controls, key=len, reverse=True))) or r'(?!)')
    self.template = self._find_template(bare)
    self._template, self._shown = compile_template(self.template), frozenset()  # system turns that it is known to show
    eos = self._token('eos_token')
    stops = settings(files, 'generation_config.json').get('eos_token_id')
    stops = [] if stops is None else stops if isinstance(stops, list) else [stops]
    self.end_id = self._find_end(eos)
    known = {i for i in stops if type(i) is int and 0 <= i < self.vocab_size}  # some files name ids of other models
    self.stop_ids = tuple(sorted({self.end_id, *([eos] if eos is not None else []), *known}))
    pad = self._token('pad_token')
    self.pad_id = self.end_id if pad is None else pad

  def files(self) -> dict[str, bytes]:
    """The files this tokenizer was made from, by name."""
    return self._files

  hub_files = files

  def encode(self, text: str) -> list[int]:
    """Token ids of plain text; the text of a control token stays plain text."""
    return self._encode_plain(text)

  def has(self, token: str) -> bool:
    """Whether this text is a token of its own."""
    return self._tokenizer.token_to_id(token) is not None

  def encode_marked(self, text: str) -> list[int]:
    """Token ids of a text of the config's author, as a template's: a control token in it is one."""
    return self._encode_rendered(text, [])

  def decode(self, ids) -> str:
    """Text of token ids; control tokens vanish."""
    return self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=True)

  def show(self, ids) -> str:
    """Text of token ids, control tokens shown."""
    return self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False)

  def encode_chat(self, messages: list[dict]) -> list[int]:
    """Token ids of the rendered chat template, up to where the assistant starts to speak.

    The same ids as transformers' apply_chat_template(..., add_generation_prompt=True), but control tokens that stand in
    the messages are encoded as plain text.
    """
    text, masked = self._render(messages, True)
    if messages and messages[0]['role'] == 'system' and messages[0]['content'].strip():
      self._check_system(text, masked, messages)
    return self._encode_rendered(text, masked)

  def _check_system(self, text, masked, messages):
    """Raises ValueError where a template leaves the system turn out: the same text comes without it."""
    system = messages[0]['content']
    if system in self._shown or system.strip() in _unmask(text, masked):
      return
    if self._render(messages[1:], True)[0] == text:
      raise ValueError(
        f'the chat template shows no system turn, and leaves out {system[:60]!r}: put it before the '
        'question, in a template data.prompt, or set a chat_template that shows it'
      )
    self._shown = {system, *(self._shown if len(self._shown) < 1000 else ())}

  def generation_prompt(self, messages: list[dict]) -> str:
    """What the template puts behind the messages before the assistant speaks: what add_generation_prompt adds."""
    asked, without = self.render_chat(messages), self.render_chat(messages, False)
    if asked == without:  # the template does not ask whether it should
      return asked.rpartition(messages[-1]['content'].strip())[2] if messages else ''
    return asked[len(os.path.commonprefix([asked, without])) :]

  def render_chat(self, messages: list[dict], add_generation_prompt: bool = True) -> str:
    """The text of the chat template."""
    text, masked = self._render(messages, add_generation_prompt)
    return _unmask(text, masked)

  def _render(self, messages, add_generation_prompt):
    """(rendered text with the control tokens of the messages masked, the masked tokens in order)."""
    masked = []

    def mask(match):
      masked.append(match.group())
      return f'{_MASK}{len(masked) - 1}{_MASK}'

    hide = lambda value: self._controls.sub(mask, value.replace(_MASK, '')) if isinstance(value, str) else value
    messages = [{name: hide(value) for name, value in message.items()} for message in messages]
    # Masks of this rendering only: a template may repeat or drop a message, the number finds its token again.
    tokens = {name: self._text(name) for name in ('bos_token', 'eos_token', 'pad_token', 'unk_token')}
    try:
      text = self._template.render(
        messages=messages,
        add_generation_prompt=add_generation_prompt,
        tools=None,
        documents=None,
        **{k: v for k, v in tokens.items() if v is not None},
      )
    except jinja2.TemplateError as error:
      raise ValueError(f'the chat template of this tokenizer failed: {error}') from error
    return text, masked

  def _encode_rendered(self, text, masked):
    ids, position = [], 0
    if not masked:  # the usual case, by the library's own splitting
      self._tokenizer.encode_special_tokens = False
      return self._tokenizer.encode(text, add_special_tokens=False).ids
    for match in self._controls.finditer(text):
      ids += self._encode_plain(_unmask(text[position : match.start()], masked)) + [self.controls[match.group()]]
      position = match.end()
    return ids + self._encode_plain(_unmask(text[position:], masked))

  def _encode_plain(self, text):
    self._tokenizer.encode_special_tokens = True
    return self._tokenizer.encode(text, add_special_tokens=False).ids

  def _text(self, name):
    value = self._config.get(name)
    return value.get('content') if isinstance(value, dict) else value

  def _token(self, name):
    text = self._text(name)
    return None if text is None else self._tokenizer.token_to_id(text)

  def _find_template(self, bare):
    if 'chat_template.jinja' in self._files:
      return self._files['chat_template.jinja'].decode()
    if 'chat_template.json' in self._files:
      return json.loads(self._files['chat_template.json'])['chat_template']
    template = self._config.get('chat_template')
    if isinstance(template, list):  # several by name
      template = next((t['template'] for t in template if t['name'] == 'default'), template[0]['template'])
    if template:
      return template
    if {'<|im_start|>', '<|im_end|>'} <= set(self.controls):
      return CHATML
    if bare:
      return PLAIN
    raise ValueError(
      'the model has no chat template (chat_template in tokenizer_config.json, or chat_template.jinja), and '
      'no <|im_start|>, <|im_end|> for ChatML: give one, --chat_template=FILE or config.chat_template=FILE'
    )

  def _find_end(self, eos):
    """The control token behind an assistant's message in the template; else the end-of-text token."""
    found = self.end_of_turn()
    if found is not None:
      return found
    if eos is None:
      raise ValueError(
        'the tokenizer names no eos_token in tokenizer_config.json and the chat template ends messages '
        'without a control token: nothing would end a response'
      )
    return eos

  def end_of_turn(self) -> int | None:
    """The control token behind an assistant's message in the template, None if there is none."""
    text = 'vibethinker'
    try:
      rendered = self.render_chat([{'role': 'user', 'content': 'x'}, {'role': 'assistant', 'content': text}], False)
    except ValueError:
      return None
    match = self._controls.search(rendered, rendered.rfind(text)) if text in rendered else None
    return self.controls[match.group()] if match else None


def settings(files: dict[str, bytes], name: str) -> dict:
  """The JSON object of a file of settings, {} if the model does not have it.

  Raises:
    ValueError: it is none.
  """
  try:
    values = json.loads(files.get(name, b'{}'))
  except ValueError as error:
    raise ValueError(f'{name} is not JSON: {error}') from error
  if not isinstance(values, dict):
    raise ValueError(f'{name} must be a JSON object, {{...}}, not {str(values)[:40]!r}')
  return values


def _unmask(text: str, masked: list[str]) -> str:
  return re.sub(f'{_MASK}(\\d+){_MASK}', lambda match: masked[int(match.group(1))], text)


def _think_tags_as_text(text: str) -> str:
  """A tokenizer.json in which <think> and </think> are no control tokens: what is judged and trained has them in it."""
  if not all(tag in text for tag in THINK):
    return text
  values = json.loads(text)
  found = [token for token in values.get('added_tokens') or () if token['special'] and token['content'] in THINK]
  for token in found:
    token['special'] = False
  return json.dumps(values) if found else text


class _Generation(jinja2.ext.Extension):
  """{% generation %} ... {% endgeneration %}, by which transformers finds the assistant's words: rendered as it is."""

  tags = {'generation'}

  def parse(self, parser):
    next(parser.stream)
    return parser.parse_statements(('name:endgeneration',), drop_needle=True)


def compile_template(template: str) -> jinja2.Template:
  """A jinja template with what transformers offers to templates, sandboxed."""

  def fail(message):
    raise jinja2.TemplateError(message)

  def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

  environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=['jinja2.ext.loopcontrols', _Generation]
  )
  environment.filters['tojson'] = tojson
  environment.globals['raise_exception'] = fail
  environment.globals['strftime_now'] = lambda form: datetime.datetime.now().strftime(form)
  try:
    return environment.from_string(template)
  except jinja2.TemplateError as error:
    raise ValueError(f'the chat template of this tokenizer is not valid: {error}') from error
