"""A byte-level BPE tokenizer, trained and applied as llama.cpp's `gpt2` model with the `gpt-2` splitter does.

No merge contains a digit, so numbers are read digit by digit.
"""

from __future__ import annotations

import heapq
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
USER_DEFINED = ("<think>", "</think>", "<tool_call>", "</tool_call>")
SPECIAL = CONTROL + USER_DEFINED

_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
_ASCII_WORDS = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII
)


def _byte_alphabet() -> list[str]:
    """GPT-2's printable character of each byte."""
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


def _class(character: str) -> str:
    if character.isspace() or character in "\x85\xa0":
        return "space"
    category = unicodedata.category(character)[0]
    return {"L": "letter", "N": "number"}.get(category, "other")


def split(text: str) -> list[str]:
    """GPT-2's words: runs of letters, of digits or of other characters, each with the blank before it."""
    if text.isascii():
        return _ASCII_WORDS.findall(text)
    pieces: list[str] = []
    index = 0
    while index < len(text):
        for suffix in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"):
            if text.startswith(suffix, index):
                pieces.append(suffix)
                index += len(suffix)
                break
        else:
            start = index
            kind = _class(text[index])
            if text[index] == " " and index + 1 < len(text) and _class(text[index + 1]) != "space":
                index += 1
                kind = _class(text[index])
            end = index
            while end < len(text) and _class(text[end]) == kind:
                end += 1
            if kind == "space" and end < len(text) and end - index > 1:
                end -= 1
            pieces.append(text[start:end])
            index = end
    return pieces


def _symbols(word: str) -> list[str]:
    return [BYTES[byte] for byte in word.encode("utf-8")]


def train_merges(texts: Iterable[str], merge_count: int, whole: frozenset[str]) -> list[tuple[str, str]]:
    """The most frequent pairs, one after the other; ties fall to the alphabet.

    No merge makes one of the words `whole` (lower case, with or without the blank before it), and these do not
    count: a word that is one token hides its letters from a model that has to spell it.
    """
    blank = BYTES[ord(" ")]
    counts: Counter[str] = Counter()
    for text in texts:
        for part in _SPECIAL.split(text):
            if part and part not in SPECIAL:
                counts.update(split(part))
    words = [
        (_symbols(word), count)
        for word, count in counts.items()
        if word.strip().lower() not in whole and not any(c.isdigit() for c in word)
    ]
    pair_counts: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for index, (symbols, count) in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            pair_counts[pair] += count
            where[pair].add(index)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    merges: list[tuple[str, str]] = []
    while heap and len(merges) < merge_count:
        negative, pair = heapq.heappop(heap)
        if pair_counts[pair] != -negative:
            if pair_counts[pair] > 0:
                heapq.heappush(heap, (-pair_counts[pair], pair))
            continue
        if (pair[0] + pair[1]).removeprefix(blank).lower() in whole:
            continue
        merges.append(pair)
        touched: set[tuple[str, str]] = set()
        for index in list(where[pair]):
            symbols, count = words[index]
            merged = _merge(symbols, pair)
            if len(merged) == len(symbols):
                continue
            for old in zip(symbols, symbols[1:]):
                pair_counts[old] -= count
            for new in zip(merged, merged[1:]):
                pair_counts[new] += count
                where[new].add(index)
                touched.add(new)
            words[index] = (merged, count)
        for new in touched:
            heapq.heappush(heap, (-pair_counts[new], new))
    return merges


def _merge(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    index = 0
    while index < len(symbols):
        if tuple(symbols[index : index + 2]) == pair:
            merged.append(symbols[index] + symbols[index + 1])
            index += 2
        else:
            merged.append(symbols[index])
            index += 1
    return merged


class Tokenizer:
    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self.tokens: list[str] = sorted(BYTES) + [left + right for left, right in merges]
        self.tokens += SPECIAL
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known: dict[str, list[int]] = {}
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
        known = self._known.get(word)
        if known is None:
            symbols = _symbols(word)
            while len(symbols) > 1:
                pairs = list(zip(symbols, symbols[1:]))
                best = min(pairs, key=lambda pair: self._ranks.get(pair, 1 << 30))
                if best not in self._ranks:
                    break
                symbols = _merge(symbols, best)
            known = self._known[word] = [self.ids[symbol] for symbol in symbols]
        return known

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.merges, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        return cls([(left, right) for left, right in json.loads(path.read_text(encoding="utf-8"))])
