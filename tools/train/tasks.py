"""Repeating, spelling, counting, days and months, lists and JSON objects."""

from __future__ import annotations

import json
import random

import words
from exchange import Exchange, Setting, join_words, number_shown
from phrasing import say


def _phrase(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.25:
        return words.any_word(rng)
    phrase = [words.any_word(rng) for _ in range(rng.choice((2, 2, 3, 3, 4, 5, 6)))]
    if chance < 0.45:
        small = "the a my is and of in on to with very not your our we are this I you can like has".split()
        for _ in range(rng.randrange(1, 4)):
            phrase.insert(rng.randrange(1, len(phrase) + 1), rng.choice(small))
    if rng.random() < 0.12:
        phrase[rng.randrange(len(phrase))] = str(rng.randrange(1000))
    text = " ".join(phrase)
    if rng.random() < 0.4:
        text = text[0].upper() + text[1:]
    elif rng.random() < 0.08:
        text = text.upper()
    if rng.random() < 0.2:
        text += rng.choice(".!?")
    return text


def repeat(rng: random.Random, setting: Setting) -> Exchange:
    phrase = _phrase(rng)
    pattern = (
        "[Please |Can you |Could you |Would you |Now |I want you to |]"
        "[repeat|say|echo|write|repeat back|print|type|output|reply with|answer with|say back]"
    )
    if rng.random() < 0.2:
        pattern += " {phrase}"
        return _repeated(rng, pattern, phrase)
    # With a filler, only a punctuation mark shows the start of the phrase.
    pattern += (
        "[| exactly| just| only| after me| this| the following| back| this text| these words"
        "| this phrase| the words| the phrase| the text| the sentence| for me| to me| again| once]"
    )
    if rng.random() < 0.5:
        pattern += "[: | |, ]\"{phrase}\"[.|?|!| please|, please.|]"
    elif rng.random() < 0.15:
        pattern += "[: | |, ]'{phrase}'[.|?| please|]"
    else:
        pattern += "[: |: |: |, |:\n]{phrase}"
    return _repeated(rng, pattern, phrase)


def _repeated(rng: random.Random, pattern: str, phrase: str) -> Exchange:
    user = say(rng, pattern, phrase=phrase)
    return Exchange(
        "repeat", user, phrase, f"I repeat: {phrase}", key=f"repeat {phrase}", topic=("repeat", phrase)
    )


def _spelled(word: str) -> str:
    return "-".join(word)


def spell(rng: random.Random, setting: Setting) -> Exchange:
    word = words.any_word(rng, made_up=0.5)
    if rng.random() < 0.12:
        word = rng.choice((words.any_name(rng), word.capitalize()))
    user = say(
        rng,
        "[Please |Can you |Could you |Would you |Now |]spell [the word |the name |me |out |]"
        "[{word}|{word}|\"{word}\"|'{word}'][, please| please| for me| letter by letter|][.|?|!|]|"
        "How [do you|do I|does one|would you|can I|is] [spell|write] [the word |][{word}|\"{word}\"]?|"
        "How is [the word |][{word}|\"{word}\"] spelled?|"
        "What [are the letters of|is the spelling of] [the word |][{word}|\"{word}\"]?|"
        "[Spelling of|Spell:|Spell this:|Spell this word:|Letters of|The letters of] {word}|"
        "[Give me|Tell me|Write|Name|List] the [letters|spelling] of [the word |][{word}|\"{word}\"].",
        word=word,
    )
    return Exchange(
        "spell", user, _spelled(word), f"The letters of {word}.", key=f"spell {word.lower()}",
        topic=("spell", word),
    )  # fmt: skip


def _counted(start: int, end: int) -> str:
    step = 1 if end >= start else -1
    return ", ".join(str(number) for number in range(start, end + step, step))


def count(rng: random.Random, setting: Setting) -> Exchange:
    # The direction is drawn before the ends, so the first number alone does not reveal it.
    span = rng.choice((rng.randrange(1, 6), rng.randrange(2, 10), rng.randrange(2, 14)))
    start = rng.choice((1, rng.randrange(0, 12), rng.randrange(0, 12), rng.randrange(0, 30), rng.randrange(0, 100)))
    # A count down from a small number has few possible ends; the nearest are as likely as zero.
    end = start + span if rng.random() < 0.5 or start == 0 else start - min(span, rng.randrange(1, start + 1))
    a, b = number_shown(rng, start), number_shown(rng, end)
    if start > end:
        pattern = (
            "[Please |Can you |Could you |Now |]count [down|backwards|back|down|in reverse] [from {a} to {b}"
            "|from {a} down to {b}|from {a} until {b}|{a} to {b}][, please|][.|?|!|]|"
            "[Please |Can you |Could you |]count from {a} [to|down to|back to|backwards to] {b}[, please|][.|?|]|"
            "[List|Write|Say|Give me|Name|Print] [the |all |]numbers from {a} [down to|to|back to] {b}.|"
            "[Count|Numbers][: | ]{a} [to|down to|..|-] {b}|Countdown from {a} to {b}[, please|]."
        )
    elif start == 1 and end > 2 and rng.random() < 0.4:
        pattern = (
            "[Please |Can you |Could you |Now |]count [up |]to {b}[, please| for me|][.|?|!|]|"
            "Count up to {b}.|How do you count to {b}?|[I want you to|Let us] count to {b}."
        )
    else:
        pattern = (
            "[Please |Can you |Could you |Would you |Now |]count [up |upwards |]from {a} [to|up to|until|till] {b}"
            "[, please| for me|][.|?|!|]|[List|Write|Say|Give me|Name|Print|Show] [the |all |all the |]numbers "
            "[from|between] {a} [to|up to|and] {b}.|[Count|Numbers][: | ]{a} [to|up to|..|-] {b}|"
            "Start at {a} and count [up |]to {b}.|Which numbers come from {a} to {b}?"
        )
    user = say(rng, pattern, a=a, b=b)
    way = "up" if start < end else "down"
    return Exchange(
        "count", user, _counted(start, end), f"I count {way} from {start} to {end}.",
        key=f"count {start} {end}", topic=("count", start, end),
    )  # fmt: skip


def _calendar(rng: random.Random, cycle: list[str], noun: str) -> Exchange:
    index = rng.randrange(len(cycle))
    name, step = cycle[index], rng.choice((1, -1))
    answer = cycle[(index + step) % len(cycle)]
    shown = name.lower() if rng.random() < 0.2 else name
    if step == 1:
        pattern = (
            "[What|Which] [{noun} |]comes [[right |directly |just |]after|next after] {name}?|"
            "[What|Which] is the [next {noun} after|{noun} after|{noun} following] {name}?|"
            "[What|Which] {noun} [follows|is after|is next after|succeeds|will be after|do we have after] {name}?|"
            "[Tell me|Name|Give me|Say] the [{noun} after|next {noun} after|{noun} that follows|{noun} following] {name}.|"
            "After {name} comes [what|which {noun}]?|The {noun} after {name}[ is|, please|?|]|"
            "[It is|Today is|If it is|Suppose it is|Now it is] {name}. [What|Which] {noun} [is|comes] next?|"
            "What follows {name}?|{name} is followed by [what|which {noun}]?|Next {noun} after {name}?"
        )
    else:
        pattern = (
            "[What|Which] [{noun} |]comes [right |directly |just |]before {name}?|"
            "[What|Which] is the [previous {noun} before|{noun} before|{noun} preceding|last {noun} before] {name}?|"
            "[What|Which] {noun} [precedes|is before|was before|is right before|do we have before] {name}?|"
            "[Tell me|Name|Give me|Say] the [{noun} before|previous {noun} before|{noun} that precedes] {name}.|"
            "Before {name} comes [what|which {noun}]?|The {noun} before {name}[ is|, please|?|]|"
            "[It is|Today is|If it is|Suppose it is|Now it is] {name}. [What|Which] {noun} [was|came] before?|"
            "What precedes {name}?|{name} is preceded by [what|which {noun}]?|Previous {noun} before {name}?"
        )
    if noun == "day" and rng.random() < 0.12:
        pattern = (
            "[[If|When|Suppose] today is {name}, what [day |]is tomorrow?|Today is {name}. What is tomorrow?]"
            if step == 1
            else "[[If|When|Suppose] today is {name}, what [day |]was yesterday?|Today is {name}. What was yesterday?]"
        )
    user = say(rng, pattern, name=shown, noun=noun)
    way = "after" if step == 1 else "before"
    return Exchange(
        "calendar", user, f"The {noun} {way} {name} is {answer}.", f"I need the {noun} {way} {name}.",
        check={"ends": f"{answer}."}, topic=(noun, (index + step) % len(cycle)),
    )  # fmt: skip


def day(rng: random.Random, setting: Setting) -> Exchange:
    return _calendar(rng, words.DAYS, "day")


def month(rng: random.Random, setting: Setting) -> Exchange:
    return _calendar(rng, words.MONTHS, "month")


def list_things(rng: random.Random, setting: Setting) -> Exchange:
    kind = rng.choice(list(words.KINDS))
    amount = rng.randrange(2, 7)
    items = words.KINDS[kind][:amount]
    user = say(
        rng,
        "[Please |Can you |Could you |Would you |]"
        "[list|name|give me|tell me|write down|say|write|show me|think of] {amount} {kind}[, please| for me|][.|?|!|]|"
        "[I need|I want|I would like] {amount} {kind}[, please|].|"
        "What are {amount} {kind}?|{amount} {kind}[, please|][.|]|Make a list of {amount} {kind}.",
        kind=rng.choice(words.KIND_NAMES[kind]),
        amount=words.NUMBER_WORDS[amount] if rng.random() < 0.6 else amount,
    )
    return Exchange(
        "list", user, join_words(items), f"I list {amount} {kind}.",
        check={"items": words.KINDS[kind], "amount": amount}, topic=("list", kind, amount),
    )  # fmt: skip


_TEXT_KEYS = "name city colour animal title country language fruit pet job street team model brand status type owner".split()
_NUMBER_KEYS = "age size count year price pages height weight score level id amount speed floor".split()
_FLAG_KEYS = "active open ready happy done enabled new free".split()


def _json_value(rng: random.Random, key: str) -> object:
    if key in _NUMBER_KEYS:
        return rng.randrange(0, rng.choice((10, 100, 1000, 3000)))
    if key in _FLAG_KEYS:
        return rng.random() < 0.5
    if key == "city":
        return words.any_city(rng)
    if key in ("name", "owner"):
        return words.any_name(rng)
    word = words.any_word(rng)
    return word.capitalize() if rng.random() < 0.3 else word


def json_object(rng: random.Random, setting: Setting) -> Exchange:
    if rng.random() < 0.2:
        name, age, city = words.any_name(rng), rng.randrange(1, 100), words.any_city(rng)
        pattern, value = rng.choice(
            (
                ("a [person|user|man|woman] [called|named] {name}[ who is| aged|,] {age}[ years old|]", {"name": name, "age": age}),
                ("{name}, {age} years old, from {city}", {"name": name, "age": age, "city": city}),
                ("a [person|user] named {name} [who lives in|from] {city}", {"name": name, "city": city}),
            )
        )  # fmt: skip
        user = say(
            rng,
            "[Give me|Write|Create|Make|Return|Please write|Can you make|I need] [a |a small |]JSON[ object|] "
            f"[for|that describes|describing|about] {pattern}.",
            name=name, age=age, city=city,
        )  # fmt: skip
    else:
        keys = rng.sample(_TEXT_KEYS * 2 + _NUMBER_KEYS * 2 + _FLAG_KEYS, rng.choice((1, 2, 2, 2, 3, 3, 4)))
        value = {key: _json_value(rng, key) for key in dict.fromkeys(keys)}
        link = rng.choice((" ", " ", " = ", ": ", " is ", " set to ", "="))
        quote = '"' if rng.random() < 0.15 else ""
        pairs = [
            f"{key}{link}{quote if isinstance(each, str) else ''}{json.dumps(each).strip(chr(34))}"
            f"{quote if isinstance(each, str) else ''}"
            for key, each in value.items()
        ]
        user = say(
            rng,
            "[Please |Can you |Could you |]"
            "[give me|write|create|make|return|produce|build|generate|show me|output] [a |a small |the |an |]"
            "[JSON object|JSON|JSON object|object in JSON|JSON document] "
            "[with|with the fields|with these fields:|with keys|containing|where|having|that has|for] {pairs}"
            "[.||, please.| please]|[As JSON|In JSON|JSON|JSON object|To JSON|Answer in JSON|Turn into JSON|"
            "Make this JSON|Write as JSON|Reply only in JSON][: |: | - ]{pairs}|"
            "[I need|I want] [a |]JSON[ object|] [with|where|for] {pairs}.|{pairs} as [JSON|a JSON object][, please|]",
            pairs=rng.choice((", ".join(pairs), join_words(pairs), join_words(pairs), "; ".join(pairs))),
        )
    answer = json.dumps(value, ensure_ascii=False)
    key = "json " + " ".join(f"{each} {value[each]}" for each in sorted(value))
    return Exchange(
        "json", user, answer, f"The fields are {join_words(list(value))}.", key=key,
        check={"json": value}, topic=("json", json.dumps(value)),
    )  # fmt: skip
