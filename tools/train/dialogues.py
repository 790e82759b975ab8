"""Writes dialogues: a setting, one to five exchanges, follow-ups that need the previous turn.

Everything is drawn from a seed. A combination of contents belongs either to training or to the
evaluation, by a hash of it (`phrasing.is_held_out`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import sums
import talk
import tasks
import tools
import weather
import words
from exchange import MODEL_NAME, Exchange, Setting, Skill
from phrasing import is_held_out, plain, say

Message = dict[str, object]

LONG_SHARE = 0.015
"""Share of the dialogues with 6 to 19 exchanges instead of 1 to 5: a chat does not end after five."""
TOOLS_SHARE = 0.2
"""Share of the dialogues that offer tools."""


@dataclass
class Dialogue:
    messages: list[Message]
    tools: list[tools.Definition] = field(default_factory=list)
    thinking: bool = False
    """True if reasoning precedes the answers to the last user turn."""

    def asked(self) -> tuple[str, ...]:
        """The prompt in the form that the evaluation compares: system prompt and user turns, made plain."""
        return tuple(
            plain(str(message["content"]))
            for message in self.messages
            if message["role"] in ("system", "user")
        )


_WEIGHTS: list[tuple[Skill, float]] = [
    (talk.greeting, 4), (talk.well_being, 1.5), (talk.farewell, 1), (talk.thanks, 1),
    (talk.who_are_you, 4), (talk.your_name, 2.5), (talk.what_can_you_do, 2.5),
    (talk.server_abilities, 2.5), (talk.documentation, 2.5), (talk.real_model, 1.5),
    (tasks.repeat, 22), (tasks.spell, 18), (tasks.count, 22), (sums.arithmetic, 15),
    (tasks.day, 4), (tasks.month, 5), (tasks.list_things, 6), (tasks.json_object, 25),
    (talk.beyond, 9), (talk.user_name, 2), (weather.weather, 3),
]  # fmt: skip
_SKILLS = [skill for skill, _ in _WEIGHTS]
_PERSONA_SKILLS: list[Skill] = [
    talk.greeting, talk.greeting, talk.who_are_you, talk.your_name,
]  # fmt: skip


def _setting(rng: random.Random) -> tuple[Setting, str]:
    """A setting and the system prompt that states it; empty for none."""
    setting, chance = Setting(), rng.random()
    if chance < 0.5:
        return setting, ""
    if chance < 0.68:
        return setting, say(
            rng,
            "You are [a|an] [helpful|friendly|kind|polite|useful|brief|good] [assistant|model|bot|AI assistant]."
            "[| Be [brief|kind|polite|concise].| Answer [briefly|in short sentences|politely].]|Be [brief|kind|concise|helpful]."
            "|Answer [briefly|the user|truthfully].|Help the user.|You are a helpful assistant.|You can use tools.",
            opening=0, noisy=False,
        )  # fmt: skip
    parts: list[str] = []
    if chance < 0.88 or chance > 0.97:
        setting.name = words.any_name(rng)
        parts.append(
            say(
                rng,
                "[You are [called |named |]{name}[.|, a [helpful|friendly] assistant.|, an assistant.|, a small bot.]|"
                "Your name is {name}.|Call yourself {name}.|Act as {name}.|You are an assistant [named|called] {name}.]",
                opening=0, noisy=False, name=setting.name,
            )  # fmt: skip
        )
    if chance >= 0.88:
        setting.language = rng.choice(list(talk.GREETINGS))
        parts.append(
            say(
                rng,
                "[Always |Please |][greet|say hello|greet the user|greet people|greet everyone|welcome the user|give greetings] in {language}."
                "|Your greeting is in {language}.|[When|If] [greeted|the user greets you|someone says hello], [answer|reply|greet] in {language}."
                "|Use {language} for greetings.|Greetings must be in {language}.",
                opening=0, noisy=False, language=setting.language,
            )  # fmt: skip
        )
    rng.shuffle(parts)
    return setting, " ".join(parts)


def _offer(rng: random.Random, setting: Setting) -> list[tools.Definition]:
    offered: list[tools.Definition] = []
    has_weather, has_add = rng.random() < 0.5, rng.random() < 0.42
    others = rng.choice((0, 0, 0, 1, 1, 1, 2, 3))
    if not (has_weather or has_add or others):
        others = 1
    if has_weather:
        setting.weather_tool = "get_weather" if rng.random() < 0.93 else "get_current_weather"
        setting.weather_parameter = "city" if rng.random() < 0.85 else "location"
        offered.append(tools.weather_tool(rng, setting.weather_tool, setting.weather_parameter))
    if has_add:
        setting.adds = True
        offered.append(tools.add_tool(rng))
    setting.has_tools = True
    offered += tools.other_tools(rng, others)
    rng.shuffle(offered)
    return offered


def _follow_up(rng: random.Random, setting: Setting, previous: Exchange) -> Exchange | None:
    """A question that needs the previous turn to be understood, or None."""
    match previous.topic:
        case ("day" | "month" as noun, int(index)):
            cycle = words.DAYS if noun == "day" else words.MONTHS
            step = rng.choice((1, 1, -1))
            user = say(
                rng,
                "[And|And then|Then] [the [{noun} |next {noun} |one |]after [that|it|this one]|after that|the next[ one| {noun}|]|next]?|"
                "[What|Which {noun}] [is|comes|follows] [after that|next|then|after it]?|[The next one|Next]?|And [the {noun} after|the one after]?"
                if step == 1
                else "[And|And what|Then] [the [{noun} |one |]before [that|it]|before that|the [previous|last] [one|{noun}]]?|"
                "[What|Which {noun}] [is|comes|was] before [that|it]?|And [the {noun} before|the one before]?",
                noun=noun,
            )
            answer = cycle[(index + step) % len(cycle)]
            way = "after" if step == 1 else "before"
            return Exchange(
                "follow-up", user, f"The {noun} {way} {cycle[index]} is {answer}.",
                f"I need the {noun} {way} {cycle[index]}.", key=f"follow {cycle[index]} {plain(user)}",
                check={"ends": f"{answer}."}, topic=(noun, (index + step) % len(cycle)),
            )  # fmt: skip
        case ("count", int(start), int(end)):
            user = say(
                rng,
                "[And |Now |And now |Then |Please |][backwards|the other way|in reverse|the other way round|back again|"
                "reverse it|reversed|back|the same in reverse|the same backwards][ please|, please|][?|.|]|"
                "[Can|Could] you [reverse that|do it backwards|do that the other way]?",
            )
            return Exchange(
                "follow-up", user, ", ".join(previous.answer.split(", ")[::-1]),
                f"I count from {end} to {start}.", key=f"follow count {start} {end}",
                topic=("count", end, start),
            )  # fmt: skip
        case ("number", int(number)) if number <= 20 and not setting.adds:
            sign = rng.choice("+-")
            other = rng.randrange(0, 21 - number if sign == "+" else number + 1)
            user = say(
                rng,
                "[And|Now|Then|And now|] [plus|and add|add] {n}[ to that| more| to it|][?|.]|Add {n}[ to that| more| to it]."
                if sign == "+"
                else "[And|Now|Then|And now|] [minus|less|take away|subtract] {n}[ from that|][?|.]|Subtract {n} from [that|it].",
                n=other,
            )
            result = number + other if sign == "+" else number - other
            return Exchange(
                "follow-up", user, f"{number} {sign} {other} = {result}", f"I compute {number} {sign} {other}.",
                key=f"follow {number} {sign} {other}", check={"number": result}, topic=("number", result),
            )  # fmt: skip
        case ("repeat", str(phrase)):
            user = say(
                rng,
                "[Again|Once more|One more time|And again|Repeat that|Say it again|Say that again|Repeat it]"
                "[, please| please|][.|!|?|]|[Can|Could] you [say that|repeat that|say it] [again|once more]?",
            )
            return Exchange("follow-up", user, phrase, f"I repeat: {phrase}", key=f"follow repeat {phrase}", topic=previous.topic)
        case ("spell", str()):
            word = words.any_word(rng, made_up=0.4)
            user = say(
                rng,
                "[And|Now|And now|Then|Next|How about|What about] [the word |][{word}|{word}|\"{word}\"][?|.|]|"
                "[Do|Try] the same [for|with] {word}.",
                opening=0, word=word,
            )  # fmt: skip
            return Exchange("follow-up", user, "-".join(word), f"The letters of {word}.", key=f"spell {word}", topic=("spell", word))
        case ("list", str(kind), int(amount)) if amount < 8:
            user = say(rng, "[And |Now |Name |Give me |Tell me |Please add |]one more[, please| please|][?|.|]|[Another|Another one|And another]?")
            rest = words.KINDS[kind][amount:]
            return Exchange(
                "follow-up", user, rest[0], f"Another of the {kind}.", key=f"follow {kind} {amount} {plain(user)}",
                check={"items": rest, "amount": 1}, topic=("list", kind, amount + 1),
            )  # fmt: skip
        case ("name", str(name)):
            user = say(
                rng,
                "[What|What's] [is |]my name[ again|]?|[Do|Can] you [remember|know|recall|tell me|say] my name?|Who am I?|"
                "What am I called?|[Tell me|Say] my name.|How am I called?",
            )
            return Exchange("follow-up", user, f"Your name is {name}.", f"The user is called {name}.", key=f"follow name {name}", topic=previous.topic)
        case ("weather", tuple()) if setting.weather_tool:
            city = words.any_city(rng)
            user = say(rng, "[And|And|What about|How about|And how about|Now] [in |][{city}][?|.|]|And the weather in {city}?", opening=0, city=city)
            asked = weather.weather(rng, setting)
            while len(asked.calls) != 1:
                asked = weather.weather(rng, setting)
            result, final = weather.weather_result(rng, city)
            asked.calls[0]["arguments"] = {setting.weather_parameter: city}
            asked.skill, asked.user, asked.key = "tool follow-up", user, f"weather {city.lower()}"
            asked.think, asked.results, asked.final = f"I call {setting.weather_tool} for {city}.", [result], final
            asked.topic = ("weather", (city,))
            return asked
    return None


def _choose_skill(rng: random.Random, setting: Setting) -> Skill:
    chance = rng.random()
    persona = setting.language or setting.name != MODEL_NAME
    if setting.has_tools:
        if chance < 0.4:
            return weather.weather
        if chance < 0.62:
            return sums.add_with_tool if setting.adds else sums.arithmetic
    elif persona and chance < 0.6:
        return rng.choice(_PERSONA_SKILLS)
    return rng.choices(_SKILLS, [weight for _, weight in _WEIGHTS])[0]


def _append(messages: list[Message], exchange: Exchange, call_id: int) -> None:
    messages.append({"role": "user", "content": exchange.user})
    if not exchange.calls:
        messages.append({"role": "assistant", "content": exchange.answer, "reasoning": exchange.think})
        return
    calls = [
        {"id": f"call_{call_id + index}", "type": "function", "function": call}
        for index, call in enumerate(exchange.calls)
    ]
    messages.append({"role": "assistant", "content": "", "tool_calls": calls, "reasoning": exchange.think})
    for call, result in zip(calls, exchange.results):
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    messages.append({"role": "assistant", "content": exchange.final, "reasoning": exchange.final_think})


def _draw(rng: random.Random, make: Callable[[], Exchange | None], held_out: bool) -> Exchange | None:
    """Draws until the exchange belongs to the requested side of the split."""
    for _ in range(200):
        exchange = make()
        if exchange is None or is_held_out(exchange.key) == held_out:
            return exchange
    return None


def training_dialogue(rng: random.Random) -> Dialogue:
    setting, system = _setting(rng)
    offered = _offer(rng, setting) if rng.random() < TOOLS_SHARE else []
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    previous: Exchange | None = None
    is_long = rng.random() < LONG_SHARE
    # Tool definitions are long, so dialogues with tools have more exchanges.
    weights = (15, 25, 25, 20, 15) if offered else (30, 32, 23, 15, 0)
    turns = rng.randrange(6, 20) if is_long else rng.choices((1, 2, 3, 4, 5), weights)[0]
    for turn in range(turns):
        exchange = None
        if previous is not None and previous.topic and rng.random() < 0.5:
            asked_before = previous
            exchange = _draw(rng, lambda: _follow_up(rng, setting, asked_before), False)
        if exchange is None:
            skill = _choose_skill(rng, setting)
            exchange = _draw(rng, lambda: skill(rng, setting), False)
        if exchange is None:
            continue
        _append(messages, exchange, turn * 2)
        previous = exchange
    thinking = rng.random() < 0.2
    if thinking and rng.random() < 0.3:
        for index, message in enumerate(messages):
            if "tool_calls" in message:
                messages = messages[: index + 1]
                break
    return Dialogue(messages, offered, thinking)


# Evaluation

_EVALUATED: dict[str, list[Skill]] = {
    "greeting/self": [talk.greeting, talk.who_are_you, talk.your_name, talk.well_being, talk.what_can_you_do, talk.user_name],
    "server": [talk.server_abilities, talk.documentation, talk.real_model],
    "repeat": [tasks.repeat],
    "count": [tasks.count],
    "days/months": [tasks.day, tasks.month],
    "spell": [tasks.spell],
    "JSON": [tasks.json_object],
    "add/subtract": [sums.arithmetic],
    "list": [tasks.list_things],
    "too small": [talk.beyond],
    "weather, no tools": [weather.weather],
}  # fmt: skip


def _item(name: str, messages: list[Message], exchange: Exchange, offered: list[tools.Definition]) -> dict[str, object]:
    item: dict[str, object] = {"skill": name, "messages": messages}
    if offered:
        item["tools"] = offered
    item["check"] = exchange.check
    return item


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _as_sent(message: Message) -> Message:
    """A message of a history as clients send it: without reasoning, arguments as text."""
    sent = {key: value for key, value in message.items() if key != "reasoning"}
    if "tool_calls" in sent:
        sent["tool_calls"] = [
            call | {"function": call["function"] | {"arguments": json.dumps(call["function"]["arguments"])}}
            for call in sent["tool_calls"]  # type: ignore[attr-defined]
        ]
    return sent


def evaluation(seed: int, per_skill: int) -> list[dict[str, object]]:
    """Held-out questions: prompts with the expectation for a right answer."""
    rng = random.Random(f"evaluation {seed}")
    items: list[dict[str, object]] = []
    for name, choices in _EVALUATED.items():
        for number in range(per_skill):
            exchange = _draw(rng, lambda: choices[number % len(choices)](rng, Setting()), True)
            assert exchange is not None
            items.append(_item(name, [_user(exchange.user)], exchange, []))
    for name, count_of in (("follow-up", 1), ("system prompt", 1), ("tool call", 1), ("no tool needed", 1), ("only unsuitable tools", 1), ("tool result", 1)):
        made = 0
        while made < per_skill * count_of:
            item = _evaluated_setting(rng, name)
            if item is not None:
                items.append(item)
                made += 1
    # The same questions again, with reasoning first.
    for name in ("add/subtract", "days/months"):
        asked = [item for item in items if item["skill"] == name][: per_skill // 2]
        items += [item | {"skill": "thinking", "thinking": True} for item in asked]
    return items


def _evaluated_setting(rng: random.Random, name: str) -> dict[str, object] | None:
    setting, system = _setting(rng)
    if name == "follow-up":
        setting = Setting()
        skill = _choose_skill(rng, setting)
        first = _draw(rng, lambda: skill(rng, setting), True)
        if first is None or not first.topic:
            return None
        exchange = _draw(rng, lambda: _follow_up(rng, setting, first), True)
        if exchange is None:
            return None
        messages = [_user(first.user), {"role": "assistant", "content": first.answer}, _user(exchange.user)]
        return _item(name, messages, exchange, [])
    if name == "system prompt":
        if not (setting.language or setting.name != MODEL_NAME):
            return None
        skill = rng.choice(_PERSONA_SKILLS[1:])
        exchange = _draw(rng, lambda: skill(rng, setting), True)
        if exchange is None or exchange.skill != "system":
            return None
        return _item(name, [{"role": "system", "content": system}, _user(exchange.user)], exchange, [])
    setting = Setting()
    offered = _offer(rng, setting)
    if name == "tool call" or name == "tool result":
        if not (setting.weather_tool or setting.adds):
            return None
        skill = weather.weather if setting.weather_tool and (rng.random() < 0.6 or not setting.adds) else sums.add_with_tool
        exchange = _draw(rng, lambda: skill(rng, setting), True)
        if exchange is None or len(exchange.calls) != 1:
            return None
        if name == "tool call":
            exchange.check = {"call": exchange.calls[0]}
            return _item(name, [_user(exchange.user)], exchange, offered)
        messages: list[Message] = []
        _append(messages, exchange, 0)
        exchange.check = {"exact": exchange.final}
        return _item(name, [_as_sent(each) for each in messages[:-1]], exchange, offered)
    if name == "only unsuitable tools":
        if setting.weather_tool:
            return None
        exchange = _draw(rng, lambda: weather.weather(rng, setting), True)
    else:
        skill = rng.choice((talk.greeting, tasks.repeat, tasks.spell, tasks.day, tasks.count, talk.who_are_you, talk.beyond, sums.arithmetic))
        exchange = _draw(rng, lambda: skill(rng, setting), True)
    if exchange is None or exchange.calls:
        return None
    exchange.check = {"no call": True}
    return _item(name, [_user(exchange.user)], exchange, offered)


def held_out_prompts(items: list[dict[str, object]]) -> set[tuple[str, ...]]:
    """The prompts of the evaluation, in the form that training dialogues are compared with."""
    return {Dialogue(item["messages"]).asked() for item in items}  # type: ignore[arg-type]


def assert_unseen(dialogue: Dialogue, held_out: set[tuple[str, ...]]) -> None:
    """Asserts that no prompt of the evaluation occurs in a training dialogue, neither as its turns so far nor as a single turn."""
    asked = dialogue.asked()
    for end in range(1, len(asked) + 1):
        assert asked[:end] not in held_out, f"the evaluation asks this too: {asked[:end]}"
    if len(asked) > 1:
        first_turn = 1 if dialogue.messages[0]["role"] == "system" else 0
        for turn in asked[first_turn:]:
            assert (turn,) not in held_out, f"the evaluation asks this too: {turn}"


if __name__ == "__main__":
    source = random.Random(1)
    for _ in range(12):
        shown = training_dialogue(source)
        print(json.dumps(shown.messages, ensure_ascii=False), [each["function"]["name"] for each in shown.tools], shown.thinking)  # type: ignore[index]
