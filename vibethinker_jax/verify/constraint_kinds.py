"""The kinds of constraints, a pure function each: text -> bool; counts take at_least, at_most or exactly."""

from __future__ import annotations

import json
import re
import unicodedata

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_SENTENCE = re.compile(r'(?<![.!?。！？])[.!?。！？]+["\')\]”’]*(?=\s|$)|(?<![。！？])[。！？]+')
_BULLET = re.compile(r'^[ \t]*(?:[-*+•][ \t]+\S|\d{1,3}[.)][ \t]+\S)', re.MULTILINE)
_HIGHLIGHT = re.compile(r'(?<!\*)\*{1,2}[ \t]*[^*\s][^*\n]*\*{1,2}(?!\*)')
_PLACEHOLDER = re.compile(r'\[[^\[\]\n]+\]')
_TITLE = re.compile(r'<<[ \t]*[^<>\s][^<>\n]*>>|^#[ \t]+\S', re.MULTILINE)
_FENCED = re.compile(r'\s*```[a-z]*\n(.*)\n```\s*', re.DOTALL)


def within(count: int, at_least: int = 0, at_most: int | None = None, exactly: int | None = None) -> bool:
  """
  >>> within(3, at_least=2), within(3, at_most=2), within(3, exactly=3)
  (True, False, True)
  """
  return count >= at_least and (at_most is None or count <= at_most) and (exactly is None or count == exactly)


def occurrences(text: str, phrase: str) -> int:
  """Whole words, without regard to case.

  >>> occurrences('An apple, Apple pie, pineapple', 'apple')
  2
  """
  parts = r'\s+'.join(map(re.escape, phrase.split()))
  return len(re.findall(rf'(?<!\w){parts}(?!\w)', text, re.IGNORECASE)) if parts else 0


def split_paragraphs(text: str) -> list[str]:
  """
  >>> split_paragraphs('one\\n\\ntwo\\nlines')
  ['one', 'two\\nlines']
  """
  return [part.strip() for part in re.split(r'\n[ \t]*\n', text) if part.strip()]


# Length and counts


def characters(text: str, **bounds) -> bool:
  """
  >>> characters('12345', at_most=5)
  True
  """
  return within(len(text.strip()), **bounds)


def words(text: str, **bounds) -> bool:
  """
  >>> words("don't count twice", exactly=3)
  True
  """
  return within(len(_WORD.findall(text)), **bounds)


def sentences(text: str, **bounds) -> bool:
  """A text that ends without a full stop ends a sentence all the same.

  >>> sentences('One. Two! And 3.5 is no end', exactly=3)
  True
  """
  rest = _SENTENCE.split(text)
  return within(sum(bool(part.strip()) for part in rest), **bounds)


def paragraphs(text: str, **bounds) -> bool:
  """
  >>> paragraphs('one\\n\\ntwo', exactly=2)
  True
  """
  return within(len(split_paragraphs(text)), **bounds)


def paragraph_starts(text: str, number: int, word: str) -> bool:
  """The number-th paragraph (the first is 1) begins with a word.

  >>> paragraph_starts('One.\\n\\nThen two.', number=2, word='then')
  True
  """
  parts = split_paragraphs(text)
  first = _WORD.search(parts[number - 1]) if 0 < number <= len(parts) else None
  return first is not None and first.group().lower() == word.lower()


# Keywords


def keywords(text: str, words: list) -> bool:
  """All of them.

  >>> keywords('The cat saw a dog.', words=['dog', 'cat']), keywords('concatenate', words=['cat'])
  (True, False)
  """
  return all(occurrences(text, word) for word in words)


def keyword_count(text: str, word: str, **bounds) -> bool:
  """
  >>> keyword_count('no, no and No', word='no', exactly=3)
  True
  """
  return within(occurrences(text, word), **bounds)


def forbidden(text: str, words: list) -> bool:
  """
  >>> forbidden('It is fine.', words=['very', 'good']), forbidden('Very fine.', words=['very'])
  (True, False)
  """
  return not any(occurrences(text, word) for word in words)


def without(text: str, characters: str) -> bool:
  """None of some characters: `without` commas.

  >>> without('no comma here', characters=','), without('one, two', characters=',;')
  (True, False)
  """
  return not set(characters) & set(text)


def letter_count(text: str, letter: str, **bounds) -> bool:
  """
  >>> letter_count('Banana', letter='a', exactly=3)
  True
  """
  return within(text.lower().count(letter.lower()), **bounds)


def order(text: str, words: list) -> bool:
  """The first occurrences of some words or phrases follow each other.

  >>> order('first this, then that', words=['first', 'then']), order('then first', words=['first', 'then'])
  (True, False)
  """
  at = [re.search(rf'(?<!\w){re.escape(word)}(?!\w)', text, re.IGNORECASE) for word in words]
  return all(at) and all(a.start() < b.start() for a, b in zip(at, at[1:]))


# Case


def uppercase(text: str) -> bool:
  """
  >>> uppercase('ALL 3 CAPITALS!'), uppercase('Not all'), uppercase('123')
  (True, False, False)
  """
  return text.isupper()


def lowercase(text: str) -> bool:
  """
  >>> lowercase('no capitals.'), lowercase('One')
  (True, False)
  """
  return text.islower()


def capital_words(text: str, **bounds) -> bool:
  """Words in capitals alone, of two letters at least.

  >>> capital_words('NASA and ESA in A box', exactly=2)
  True
  """
  return within(sum(len(word) > 1 and word.isupper() for word in _WORD.findall(text)), **bounds)


# Format


def json_format(text: str, keys: list = ()) -> bool:
  """The whole text is one JSON object or array, in a fence or not; with keys: an object that has them.

  >>> json_format('```json\\n{"a": 1}\\n```', keys=['a']), json_format('{"a": 1} done'), json_format('5')
  (True, False, False)
  """
  fenced = _FENCED.fullmatch(text)
  try:
    value = json.loads(fenced.group(1) if fenced else text)
  except (ValueError, RecursionError):
    return False
  return isinstance(value, dict if keys else (dict, list)) and all(key in value for key in keys)


def bullets(text: str, **bounds) -> bool:
  """Items of lists, with a bullet or numbered.

  >>> bullets('List:\\n- one\\n* two\\n3. three\\n-none', exactly=3)
  True
  """
  return within(len(_BULLET.findall(text)), **bounds)


def sections(text: str, name: str = '', **bounds) -> bool:
  """Lines like 'Section 1' of a given name, else Markdown headings.

  >>> sections('Section 1\\ntext\\nSection 2: more', name='Section', exactly=2), sections('# A\\n## B', at_least=2)
  (True, True)
  """
  heading = rf'^[#* \t]*{re.escape(name)}[ \t]+(?:\d+|[IVXLC]+|[A-Z])\b' if name else r'^#{1,6}[ \t]+\S'
  return within(len(re.findall(heading, text, re.MULTILINE)), **bounds)


def title(text: str) -> bool:
  """A title in double angle brackets or as a first-level heading.

  >>> title('<<On cats>>\\nText'), title('# On cats\\nText'), title('<< >>')
  (True, True, False)
  """
  return _TITLE.search(text) is not None


def highlights(text: str, **bounds) -> bool:
  """Parts between single or double stars.

  >>> highlights('*one* and **two** but 3 * 4', exactly=2)
  True
  """
  return within(len(_HIGHLIGHT.findall(text)), **bounds)


def placeholders(text: str, **bounds) -> bool:
  """
  >>> placeholders('Dear [name], see [place].', at_least=2)
  True
  """
  return within(len(_PLACEHOLDER.findall(text)), **bounds)


def postscript(text: str, marker: str = 'P.S.') -> bool:
  """
  >>> postscript('Bye.\\nP.S. More.'), postscript('Bye. P.S.')
  (True, False)
  """
  return re.search(rf'^[ \t]*{re.escape(marker)}\s*\S', text, re.MULTILINE | re.IGNORECASE) is not None


def responses(text: str, separator: str = '******', count: int = 2) -> bool:
  """Several different responses with a separator between them.

  >>> responses('one ****** two'), responses('one ****** one')
  (True, False)
  """
  parts = [part.strip() for part in text.split(separator)]
  return len(parts) == count and all(parts) and len(set(parts)) == count


def one_of(text: str, options: list) -> bool:
  """The whole text is one of the options, a full stop aside.

  >>> one_of('My answer is yes.', options=['My answer is yes', 'My answer is no'])
  True
  """
  return text.strip().rstrip('.') in [option.strip().rstrip('.') for option in options]


# Start and end


def starts_with(text: str, phrase: str) -> bool:
  """
  >>> starts_with('  Well, yes', phrase='well,')
  True
  """
  return text.lstrip().lower().startswith(phrase.strip().lower())


def ends_with(text: str, phrase: str) -> bool:
  """
  >>> ends_with('So long. "The End." ', phrase='the end.')
  True
  """
  return text.rstrip().rstrip('"”').lower().endswith(phrase.strip().lower())


def quoted(text: str) -> bool:
  """
  >>> quoted(' "All of it." '), quoted('"Some" of it')
  (True, False)
  """
  text = text.strip()
  return len(text) > 2 and text[0] in '"“' and text[-1] in '"”'


def complete(text: str) -> bool:
  """It ends where a sentence, a list item in a fence or a formula may end, not in the middle.

  >>> complete('It is done.'), complete('It is')
  (True, False)
  """
  return text.count('```') % 2 == 0 and text.rstrip().endswith(tuple('.!?。！？…)]}>"”’\'`*$|'))


# Language and repetition


def script(text: str, name: str, share: float = 0.9) -> bool:
  """At least a share of the letters are of a script, by their Unicode names: 'latin', 'cyrillic', 'cjk' (Chinese
  characters), 'hiragana', 'hangul', 'arabic', 'devanagari', 'greek', 'thai', ...; several names: 'cjk hiragana'.

  >>> script('Привет, мир', name='cyrillic'), script('Hello, мир', name='cyrillic')
  (True, False)
  """
  wanted = tuple(name.upper().split())
  letters = [unicodedata.name(c, '') for c in text if c.isalpha()]
  return bool(letters) and sum(letter.startswith(wanted) for letter in letters) >= share * len(letters)


def repeats(text: str, phrase: str) -> bool:
  """It begins with a phrase, word for word: the request, before the answer.

  >>> repeats('Why is it so? Because.', phrase='Why is it so?')
  True
  """
  return ' '.join(text.split()).startswith(' '.join(phrase.split()))


def unrepeated(text: str, size: int = 4, at_most: float = 0.2) -> bool:
  """At most a share of the runs of `size` words occurred before.

  >>> unrepeated('the cat sat on the mat'), unrepeated('over and over and over and over and', size=2)
  (True, False)
  """
  found = [word.lower() for word in _WORD.findall(text)]
  runs = [tuple(found[i : i + size]) for i in range(len(found) - size + 1)]
  return len(runs) - len(set(runs)) <= at_most * len(runs)


KINDS = {
  f.__name__: f
  for f in (
    characters,
    words,
    sentences,
    paragraphs,
    paragraph_starts,
    keywords,
    keyword_count,
    forbidden,
    without,
    letter_count,
    order,
    uppercase,
    lowercase,
    capital_words,
    json_format,
    bullets,
    sections,
    title,
    highlights,
    placeholders,
    postscript,
    responses,
    one_of,
    starts_with,
    ends_with,
    quoted,
    complete,
    script,
    repeats,
    unrepeated,
  )
}
