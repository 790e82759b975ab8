"""Renders dialogues exactly as `template.jinja` does, and marks the text that the model learns."""

from __future__ import annotations

import json
from pathlib import Path

from dialogues import Dialogue, Message

TEMPLATE = Path(__file__).with_name("template.jinja").read_text(encoding="utf-8")

Segment = tuple[str, bool]
"""A text, and True if it is the model's own and therefore counts in the loss."""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_llama_cpp(function: dict[str, object]) -> dict[str, object]:
    """A definition as llama.cpp passes it to templates: always these three keys."""
    return {"name": function["name"], "description": function.get("description", ""), "parameters": function["parameters"]}


def _system(content: str, tools: list[dict[str, object]]) -> str:
    if not content and not tools:
        return ""
    text = "<|im_start|>system\n" + content
    if tools:
        lines = "".join(_json(_as_llama_cpp(tool["function"])) + "\n" for tool in tools)
        text += ("\n\n" if content else "") + "# Tools\n<tools>\n" + lines
        text += '</tools>\nTo call one: <tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>'
    return text + "<|im_end|>\n"


def _completion(message: Message) -> str:
    text = str(message["content"] or "")
    for call in message.get("tool_calls", []):  # type: ignore[attr-defined]
        function = call["function"]
        text += "\n" if text else ""
        text += f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {_json(function["arguments"])}}}\n</tool_call>'
    return text + "<|im_end|>"


def segments(dialogue: Dialogue) -> list[Segment]:
    messages = dialogue.messages
    has_system = messages[0]["role"] == "system"
    parts: list[Segment] = [
        (_system(str(messages[0]["content"]) if has_system else "", dialogue.tools), False)
    ]
    rest = messages[1:] if has_system else messages
    last_user = max(index for index, message in enumerate(rest) if message["role"] == "user")
    for index, message in enumerate(rest):
        role = message["role"]
        if role == "tool":
            if rest[index - 1]["role"] != "tool":
                parts.append(("<|im_start|>user", False))
            parts.append((f"\n<tool_response>\n{message['content']}\n</tool_response>", False))
            if index + 1 == len(rest) or rest[index + 1]["role"] != "tool":
                parts.append(("<|im_end|>\n", False))
        elif role == "assistant":
            thinks = dialogue.thinking and index > last_user and "reasoning" in message
            parts.append(("<|im_start|>assistant\n" + ("<think>\n" if thinks else ""), False))
            thought = f"{message['reasoning']}\n</think>\n\n" if thinks else ""
            parts.append((thought + _completion(message), True))
            parts.append(("\n", False))
        else:
            parts.append((f"<|im_start|>{role}\n{message['content']}<|im_end|>\n", False))
    return [part for part in parts if part[0]]


def prompt(dialogue: Dialogue) -> str:
    """The prompt of the next completion."""
    text = "".join(part for part, _ in segments(Dialogue(dialogue.messages, dialogue.tools)))
    return text + "<|im_start|>assistant\n" + ("<think>\n" if dialogue.thinking else "")
