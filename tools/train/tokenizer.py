"""A byte-level tokenizer of whole words and single bytes, as llama.cpp's `gpt2` model with the `llama-bpe` splitter applies it.

A word of the vocabulary is one token; any other is its bytes, since there are no merges. Words that a user may ask to spell
or to repeat are never in the vocabulary, so copying and spelling them is copying letters; numbers are read digit by digit.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
USER_DEFINED = ("<think>", "</think>", "<tool_call>", "</tool_call>")
SPECIAL = CONTROL + USER_DEFINED

_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
_WORDS = re.compile(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{1,3}"
    r"| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    re.ASCII,
)
_LETTER = re.compile("[A-Za-z]")


def _byte_alphabet() -> list[str]:
    """GPT-2's printable character for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet, shift = [""] * 256, 0
    for byte in range(256):
        if byte in printable:
            alphabet[byte] = chr(byte)
        else:
            alphabet[byte] = chr(256 + shift)
            shift += 1
    return alphabet


BYTES = _byte_alphabet()


def _ascii_like(character: str) -> str:
    """An ASCII character that the splitter treats like this character."""
    if character.isascii():
        return character
    if character.isspace():
        return "\t"
    return {"L": "x", "N": "0"}.get(unicodedata.category(character)[0], "#")


def split(text: str) -> list[str]:
    """Llama 3's words: letters with one preceding character, up to three digits, runs of other characters."""
    if text.isascii():
        return _WORDS.findall(text)
    alike = "".join(map(_ascii_like, text))
    return [text[match.start() : match.end()] for match in _WORDS.finditer(alike)]


def frequent_words(texts: Iterable[str], amount: int, wanted: Iterable[str], never: frozenset[str]) -> list[str]:
    """`wanted` and the words that save most tokens, sorted; ties fall to the alphabet.

    Left out are the words in `never` (lower case, whatever stands before them), numbers, and single letters after a mark.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        for part in _SPECIAL.split(text):
            if part not in SPECIAL:
                counts.update(split(part))
    chosen = {word for word in wanted if _may_be_whole(word, never)}
    by_saving = sorted(counts, key=lambda word: (-counts[word] * (len(word.encode()) - 1), word))
    for word in by_saving:
        if len(chosen) == amount:
            break
        if _may_be_whole(word, never):
            chosen.add(word)
    return sorted(chosen)


def _may_be_whole(word: str, never: frozenset[str]) -> bool:
    letters = "".join(_LETTER.findall(word)).lower()
    is_letter_after_mark = len(letters) == 1 and word[0] != " "
    return len(word) > 1 and not is_letter_after_mark and letters not in never and not any(map(str.isdigit, word))


class Tokenizer:
    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.tokens: list[str] = sorted(BYTES) + ["".join(_symbols(word)) for word in words]
        self.tokens += SPECIAL
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self._byte_of = {character: byte for byte, character in enumerate(BYTES)}

    def encode(self, text: str) -> list[int]:
        """Token ids; special tokens written in the text become themselves."""
        ids: list[int] = []
        for part in _SPECIAL.split(text):
            if part in SPECIAL:
                ids.append(self.ids[part])
            elif part:
                for word in split(part):
                    ids += self._encode_word(word)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        data = bytearray()
        for index in ids:
            token = self.tokens[index]
            data += token.encode() if token in SPECIAL else bytes(self._byte_of[c] for c in token)
        return data.decode("utf-8", errors="replace")

    def _encode_word(self, word: str) -> list[int]:
        symbols = _symbols(word)
        whole = self.ids.get("".join(symbols))
        return [self.ids[symbol] for symbol in symbols] if whole is None else [whole]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.words, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        return cls(json.loads(path.read_text(encoding="utf-8")))


def _symbols(word: str) -> list[str]:
    return [BYTES[byte] for byte in word.encode("utf-8")]
