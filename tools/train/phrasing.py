"""Expands phrase patterns into the variants that users type.

A pattern holds alternatives in brackets, nested at will, and slots in braces:
`[Please |]repeat [this|the following]: {text}`. Slots are filled last, so that no noise touches them.
"""

from __future__ import annotations

import hashlib
import random
import re

_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"(\{\w+\})")
_WORD = re.compile(r"[a-z]{4,}")
_NOT_PLAIN = re.compile(r"[^a-z0-9+\-]+")

_ALWAYS_TRAINED = set(
    "hello|hi|hey|hello there|hi there|good morning|how are you|hello how are you|hi how are you|who are you|"
    "what are you|what is your name|what s your name|what can you do|thanks|thank you|bye|goodbye|"
    "what can this server do|where are the docs|where is the documentation|help".split("|")
)
"""Common first messages. Training always has them, so the evaluation never asks them."""

_OPENINGS = (
    "Hi, ", "Hello, ", "Hey, ", "OK, ", "Now ", "So, ", "Well, ", "Hi! ", "Hello! ", "Alright, ",
    "Quick question: ", "Tell me, ", "And now: ", "Next: ", "Great. ", "Thanks. ", "Good. ", "Um, ",
)  # fmt: skip


def expand(rng: random.Random, pattern: str) -> str:
    """Chooses one alternative of each bracket."""
    while True:
        expanded = _ALTERNATIVES.sub(lambda match: rng.choice(match[1].split("|")), pattern)
        if expanded == pattern:
            return expanded
        pattern = expanded


def _typo(rng: random.Random, text: str) -> str:
    words = list(_WORD.finditer(text))
    if not words:
        return text
    start = rng.choice(words).start() + 1 + rng.randrange(2)
    chance = rng.random()
    if chance < 0.4:
        return text[:start] + text[start + 1] + text[start] + text[start + 2 :]
    if chance < 0.75:
        return text[:start] + text[start + 1 :]
    return text[:start] + text[start] + text[start:]


def _noise(rng: random.Random, text: str, first: bool, last: bool, lower: bool, shout: bool) -> str:
    if lower:
        text = text.lower()
    elif shout:
        text = text.upper()
    if first and rng.random() < 0.05:
        text = " " * rng.randrange(1, 3) + text
    if last:
        chance = rng.random()
        if chance < 0.3 and text[-1:] in (".", "?", "!"):
            text = text[:-1]
        elif chance < 0.36 and text[-1:] in ("?", "!"):
            text += text[-1]
        elif chance < 0.40 and text[-1:] == "?":
            text = text[:-1] + rng.choice((".", " ?"))
        elif chance < 0.43:
            text += " "
    return text


def say(
    rng: random.Random, pattern: str, opening: float = 0.12, noisy: bool = True, **slots: object
) -> str:
    """One phrasing of a pattern, with filled slots and typing mistakes."""
    text = expand(rng, f"[{pattern}]")
    if rng.random() < opening:
        text = rng.choice(_OPENINGS) + (text[:1].lower() + text[1:] if rng.random() < 0.6 else text)
    lower, shout = rng.random() < 0.25, rng.random() < 0.008
    parts = _SLOT.split(text)
    if noisy:
        typo_at = rng.randrange(len(parts)) if rng.random() < 0.05 else -1
        for index, part in enumerate(parts):
            if _SLOT.fullmatch(part) or not part:
                continue
            if index == typo_at:
                part = _typo(rng, part)
            is_last = index == len(parts) - 1
            parts[index] = _noise(rng, part, index == 0, is_last, lower, shout)
    return "".join(str(slots[part[1:-1]]) if _SLOT.fullmatch(part) else part for part in parts)


def plain(text: str) -> str:
    """A prompt without casing, spacing and punctuation."""
    return _NOT_PLAIN.sub(" ", text.lower()).strip()


def is_held_out(key: str) -> bool:
    """True if a combination of contents belongs to the evaluation: about one in eight, by hash."""
    return key not in _ALWAYS_TRAINED and hashlib.sha1(key.encode()).digest()[0] < 32
