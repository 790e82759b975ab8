"""The parts of a dialogue: a setting and its exchanges."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import words
from phrasing import plain

PRODUCT = "llama-gguf-inference"
MODEL_NAME = "tiny-chat"


@dataclass
class Exchange:
    """One question and its answer."""

    skill: str
    user: str
    answer: str
    think: str
    key: str = ""
    """The combination of contents that decides between training and evaluation; empty: the text decides."""
    check: dict[str, object] = field(default_factory=dict)
    """The evaluation's check of an answer: `exact`, `contains`, `json`, `items` or `number`."""
    topic: tuple[object, ...] = ()
    """Contents that a follow-up can refer to."""
    calls: list[dict[str, object]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    final: str = ""
    """The answer after the results of the calls."""
    final_think: str = ""

    def __post_init__(self) -> None:
        if not self.key:
            self.key = plain(self.user)
        if not self.check and not self.calls:
            self.check = {"exact": self.answer}


@dataclass
class Setting:
    """Properties of a whole dialogue."""

    name: str = MODEL_NAME
    language: str = ""
    weather_tool: str = ""
    weather_parameter: str = "city"
    adds: bool = False
    has_tools: bool = False


Skill = Callable[[random.Random, Setting], Exchange]


def join_words(items: list[str], last: str = " and ") -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + last + items[-1]


def number_shown(rng: random.Random, number: int) -> str:
    return words.NUMBER_WORDS[number] if number <= 20 and rng.random() < 0.18 else str(number)
