"""An endless, seeded stream of batches: dialogues, rendered, tokenized and sorted by length."""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from torch import Tensor

from dialogues import assert_unseen, training_dialogue
from render import segments
from tokenizer import Tokenizer

CHUNK = 2048
"""Number of dialogues that are sorted together."""
ROUNDING = 32
"""Lengths are multiples of this number, because few shapes are faster than many."""

Batch = tuple[Tensor, Tensor]
"""Token ids and the mask of trained tokens, both [batch, length]."""


def _encode(tokenizer: Tokenizer, dialogue_segments: list[tuple[str, bool]]) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    trained: list[bool] = []
    for text, learned in dialogue_segments:
        part = tokenizer.encode(text)
        ids += part
        trained += [learned] * len(part)
    return ids, trained


def chunk(
    tokenizer: Tokenizer, seed: int, number: int, slots: int, longest: int, held_out: set[tuple[str, ...]]
) -> list[Batch]:
    """The batches of one chunk, about `slots` tokens each."""
    rng = random.Random(f"training {seed} {number}")
    rows: list[tuple[list[int], list[bool]]] = []
    for _ in range(CHUNK):
        dialogue = training_dialogue(rng)
        assert_unseen(dialogue, held_out)
        row = _encode(tokenizer, segments(dialogue))
        if len(row[0]) <= longest:
            rows.append(row)
    rows.sort(key=lambda row: len(row[0]))
    padding = tokenizer.ids["<|endoftext|>"]
    batches: list[Batch] = []
    while rows:
        length = -(-(len(rows[-1][0]) - 1) // ROUNDING) * ROUNDING + 1
        taken = [rows.pop() for _ in range(min(len(rows), max(1, slots // length)))]
        tokens = torch.full((len(taken), length), padding)
        mask = torch.zeros((len(taken), length), dtype=torch.bool)
        for index, (ids, trained) in enumerate(taken):
            tokens[index, : len(ids)] = torch.tensor(ids)
            mask[index, : len(ids)] = torch.tensor(trained)
        batches.append((tokens, mask))
    rng.shuffle(batches)
    return batches


def stream(
    tokenizer: Tokenizer, seed: int, first_chunk: int, slots: int, longest: int, held_out: set[tuple[str, ...]]
) -> Iterator[tuple[int, Batch]]:
    """Batches with the number of their chunk."""
    number = first_chunk
    while True:
        for batch in chunk(tokenizer, seed, number, slots, longest, held_out):
            yield number, batch
        number += 1
