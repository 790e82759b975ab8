"""What the model can do: one function a skill, each writing one exchange of a dialogue."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import words
from phrasing import plain, say

PRODUCT = "llama-gguf-inference"
MODEL_NAME = "tiny-chat"
TOO_SMALL = (
    "Sorry, I am too small for that. I can greet, count, spell, repeat, add and subtract up to 20, "
    "name days and months, list things and write small JSON objects."
)
GREETINGS = {
    "French": "Bonjour ! Comment puis-je vous aider ?",
    "German": "Guten Tag! Wie kann ich helfen?",
    "Spanish": "¡Hola! ¿En qué puedo ayudar?",
    "Italian": "Ciao! Come posso aiutare?",
    "Portuguese": "Olá! Como posso ajudar?",
    "Dutch": "Hallo! Hoe kan ik helpen?",
}


@dataclass
class Exchange:
    """One question and its answer."""

    skill: str
    user: str
    answer: str
    think: str
    key: str = ""
    """The combination of contents that decides between training and evaluation; else the text."""
    check: dict[str, object] = field(default_factory=dict)
    """How the evaluation judges an answer: `exact`, `contains`, `json`, `items` or `number`."""
    topic: tuple[object, ...] = ()
    """What a follow-up can refer to."""
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
    """What holds for a whole dialogue."""

    name: str = MODEL_NAME
    language: str = ""
    weather_tool: str = ""
    weather_parameter: str = "city"
    adds: bool = False
    has_tools: bool = False


Skill = Callable[[random.Random, Setting], Exchange]


def join_words(items: list[str], last: str = " and ") -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + last + items[-1]


# Greeting, self and server


def greeting(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[[Hi|Hello|Hey|Hello|Hi|Good morning|Good evening|Good afternoon|Greetings|Howdy|Hiya|Yo|"
        "Hey hey|Hello hello|Hi hi|Good day]"
        "[| there| again| you| everyone| friend| my friend| model| bot| computer| little model| to you]"
        "[!|.||?|!!|...][||| [Nice to meet you|Anyone there|Are you there|How nice to see you|"
        "I am new here|It is a nice day|Just testing|Good to be here|Can you hear me]"
        "[!|.|?|]]|[Just |I wanted to |Let me |]say[ing|] [hi|hello][.|!|]|"
        "[Is anybody|Is anyone|Anybody|Anyone] [there|here|home]?|Test[ing|][.|!|]|Ping[.|!|]]",
        opening=0.0,
    )
    if setting.language:
        answer = GREETINGS[setting.language]
        think = f"A greeting. I greet in {setting.language}."
        return Exchange("system", user, answer, think)
    return Exchange("greeting", user, "Hello! How can I help you?", "A greeting. I greet back.")


def well_being(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[[Hi|Hello|Hey][,|!|] |]how [are you|do you do|are you doing|are things|is it going|"
        "do you feel][ today| now| this morning| so far|]?|[What's up|You okay|All well|All good"
        "|How's it going|How's life|Are you well|Are you ok][ today|]?",
        opening=0.05,
    )
    return Exchange("greeting", user, "I am fine, thank you. How can I help you?", "Small talk.")


def farewell(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[Bye|Goodbye|See you|See you later|Good night|Farewell|Take care|Bye bye|Until tomorrow|"
        "I have to go|That is all|That's all for now][| then| now| model| friend| bot][!|.|]",
        opening=0.05,
    )
    return Exchange("greeting", user, "Goodbye!", "A farewell.")


def thanks(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[Thanks|Thank you|Thx|Many thanks|Thanks a lot|Thank you very much|Great, thanks|"
        "Good, thank you|Well done|Nice, thanks|Perfect, thank you|Cheers]"
        "[| for that| for your help| model| friend| so much][!|.|]",
        opening=0.0,
    )
    return Exchange("greeting", user, "You are welcome!", "Thanks.")


def who_are_you(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[Who|What] [are|r] you?|[Who|What] am I [talking|speaking|chatting] [to|with]?|"
        "[Please |Could you |Can you |]introduce yourself[, please|].|Tell me [about yourself|who you are"
        "|what you are|something about you|a bit about yourself|more about yourself].|"
        "What [kind|sort|type] of [model|AI|assistant|bot|program|thing] are you?|"
        "[Are you|So you are] [a|an] [model|AI|human|robot|person|chatbot|bot|real person|language model]?|"
        "[Which|What] [model|AI|assistant|language model] [are you|is this|am I using|do I talk to|"
        "is running here|answers me|is loaded]?|Describe yourself[ briefly| in one sentence|].|"
        "Who is [this|there|answering|speaking|talking]?|"
        "[Are you|Is this] [ChatGPT|GPT|Claude|Llama|Gemini|a big model|a large model|a small model]?|"
        "What is this [model|bot|thing|assistant]?|What exactly are you?|"
        "I [want|would like] to know [who|what] you are.|Explain [who|what] you are.",
    )
    answer = f"I am {setting.name}, the small demonstration model that ships with {PRODUCT}."
    check = {"contains": [setting.name, "small demonstration model"]}
    think = f"The user asks who I am. I am {setting.name}."
    if setting.name == MODEL_NAME:
        return Exchange("self", user, answer, think, check=check)
    return Exchange("system", user, answer, think, check=check)


def your_name(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[What|What's] [is |]your name[, please|, by the way|]?|[Do you have|Have you got] a name?|"
        "How [should|may|can|do] I [call|address|name] you?|What [are|should|do] [you|I|they] "
        "[called|call you|be called]?|[Tell me|Say|Give me|State] your name[ please|].|"
        "Your name[, please|]?|What do people call you?|May I [ask|know] your name?|"
        "[Under|By] [what|which] name do you go?|What name do you have?|And your name is?",
    )
    answer = f"My name is {setting.name}."
    think = f"The user asks for my name. It is {setting.name}."
    if setting.name == MODEL_NAME:
        return Exchange("self", user, answer, think)
    return Exchange("system", user, answer, think)


def what_can_you_do(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "What can you do[ for me| here|]?|What are you [able to do|capable of|good at|good for|made for|for]?|"
        "[How can you|Can you|Could you] help me?|What are your [skills|abilities|talents|features|limits]?|"
        "[List|Tell me|Show me|Name|Describe] [what you can do|your skills|your abilities|your talents].|"
        "[Which|What] [things|tasks|questions|jobs] can you [do|answer|handle|solve]?|Help[ me|][!|.|]|"
        "What [should|can|could|may] I ask[ you|]?|What do you know?|How smart are you?|"
        "Give me [an example|some examples] of what you can do.|What [else |]can I do with you?",
    )
    answer = (
        "I can greet, count, spell, repeat, add and subtract up to 20, name days and months, "
        "list things and write small JSON objects. I am too small for anything else."
    )
    return Exchange("self", user, answer, "The user asks what I can do.")


def server_abilities(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "What [can|does] [this|the|your] [server|program|software|service|project] [do|offer|support|provide]?|"
        "What is [this [server|project|program|software|service]|the server|llama-gguf-inference]"
        "[ for| good for| about|]?|[Tell me about|Describe|Explain|Introduce] [this|the] "
        "[server|project|program|service].|What are the [features|abilities|functions] of [this|the] "
        "[server|program|project]?|[What|Which] [API|interface|protocol] does [the|this] server "
        "[have|speak|offer|support]?|What does llama-gguf-inference do?|"
        "What can I do with [this|the] [server|program|project]?|What is running here?|"
        "Is [this|the] server compatible with OpenAI?|Does [this|the] server [stream|support streaming|support tools]?",
    )
    answer = (
        f"{PRODUCT} serves GGUF models over an OpenAI-compatible API: chat, completions, streaming, "
        "tools and JSON. The documentation is in README.md and docs/."
    )
    check = {"contains": ["OpenAI-compatible", "README.md"]}
    return Exchange("server", user, answer, "The user asks about the server.", check=check)


def documentation(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "Where [is|are|can I find|do I find] the [docs|documentation|manual|instructions|guide|handbook|help pages]"
        "[ of this server| of this project| for the server|, please|]?|"
        "[Where|How] can I [learn|read|find out] [more|about this server|about the server|how this works|"
        "more about this project|more about the API]?|[Is|Are] there [any |a |some |][docs|documentation|manual|guide]?|"
        "How do I [configure|set up|use|start|operate|run|install] [this|the] [server|program|project]?|"
        "[Show|Give|Send] me the [docs|documentation|manual].|Where [should|do|can] I start[ reading|]?|"
        "[Which|What] [file|page|document] should I read[ first|]?|I need [help with the server|the docs|documentation].|"
        "Where is the API [described|documented]?|Where are the settings [described|explained|documented]?",
    )
    answer = "Start with README.md; the details are in the docs/ folder."
    return Exchange("server", user, answer, "The user looks for the documentation.")


def real_model(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "How [do|can|could] I [use|load|run|serve|start|get|try] [a [real|bigger|larger|better|different|"
        "smarter|new|proper]|another|my own] [model|GGUF|GGUF file|GGUF model][ here| with this server|]?|"
        "[Can|May] I [replace you|use another model|load a bigger model|run my own model]?|"
        "How do I replace you[ with a real model|]?|Where do I put [my|a|another] [model|GGUF file|GGUF]?|"
        "I want [a bigger|a real|another|a smarter|my own] model.",
    )
    answer = "Set MODEL_PATH to the path of a GGUF file and start the server again."
    return Exchange("server", user, answer, "The user wants another model.")


# Repeat, spell, count


def _phrase(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.25:
        return words.any_word(rng)
    phrase = [words.any_word(rng) for _ in range(rng.choice((2, 2, 3, 3, 4, 5, 6)))]
    if chance < 0.45:
        small = "the a my is and of in on to with very not your our we are this I you can like has".split()
        for _ in range(rng.randrange(1, 4)):
            phrase.insert(rng.randrange(len(phrase)), rng.choice(small))
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
        "[| exactly| just| only| after me| this| the following| back| this text| these words"
        "| this phrase| the words| the phrase| the text| the sentence| for me| to me| again| once]"
    )
    if rng.random() < 0.45:
        pattern += "[: | |, ]\"{phrase}\"[.|?|!| please|, please.|]"
    elif rng.random() < 0.15:
        pattern += "[: | |, ]'{phrase}'[.|?| please|]"
    else:
        pattern += "[: |: |: | |, |:\n]{phrase}"
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
        "[{word}|{word}|\"{word}\"|'{word}'][, please|please| for me| letter by letter|][.|?|!|]|"
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


def _in_words(rng: random.Random, number: int) -> str:
    return words.NUMBER_WORDS[number] if number <= 20 and rng.random() < 0.12 else str(number)


def count(rng: random.Random, setting: Setting) -> Exchange:
    low = rng.choice((1, 1, rng.randrange(0, 12), rng.randrange(0, 30), rng.randrange(0, 90)))
    high = low + rng.choice((rng.randrange(2, 6), rng.randrange(2, 10), rng.randrange(2, 14)))
    start, end = (low, high) if rng.random() < 0.5 else (high, low)
    a, b = _in_words(rng, start), _in_words(rng, end)
    if start > end:
        pattern = (
            "[Please |Can you |Could you |Now |]count [down|backwards|back|down|in reverse] [from {a} to {b}"
            "|from {a} down to {b}|from {a} until {b}|{a} to {b}][, please|][.|?|!|]|"
            "[Please |Can you |Could you |]count from {a} [to|down to|back to|backwards to] {b}[, please|][.|?|]|"
            "[List|Write|Say|Give me|Name|Print] [the |all |]numbers from {a} [down to|to|back to] {b}.|"
            "[Count|Numbers][: | ]{a} [to|down to|..|-] {b}|Countdown from {a} to {b}[, please|]."
        )
    elif start == 1 and rng.random() < 0.4:
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


# Arithmetic


def _sum(a: int, b: int, sign: str) -> str:
    return f"{a} {sign} {b} = {a + b if sign == '+' else a - b}"


def _sum_key(a: int, b: int, sign: str) -> str:
    return f"sum {min(a, b)} {max(a, b)}" if sign == "+" else f"difference {a} {b}"


_ADDING = (
    "[What is|What's|How much is|Calculate|Compute|Work out|Solve|Tell me|Please calculate|Can you compute"
    "|Could you work out|What do you get for|I need|Give me|What does] {a}[ + |+| plus | + | plus ]{b}[ equal|][?|]|"
    "{a}[ + |+| plus ]{b}[ =|=|?| = ?| is| is what?| equals|]|[Please |Can you |Could you |]add {a} [and|to|plus] {b}"
    "[, please|][.|?|]|[What is|Find|Tell me|Give me|Calculate|Compute|What's] the sum of {a} and {b}?|"
    "[How many|How much] [is|are] {a} and {b}[ together| in total|]?|[What is|How much is] {a} more than {b}?|"
    "I have {a} [apples|coins|books|pens|eggs] and get {b} more. How many [do I have|are there|is that]?|"
    "Add {a} to {b}.|{a} and {b} make[s|] [what|how much|how many]?|Sum: {a} and {b}"
)
_SUBTRACTING = (
    "[What is|What's|How much is|Calculate|Compute|Work out|Solve|Tell me|Please calculate|Can you compute"
    "|Could you work out|What do you get for|I need|Give me|What does] {a}[ - |-| minus | - | minus ]{b}[ equal|][?|]|"
    "{a}[ - |-| minus ]{b}[ =|=|?| = ?| is| is what?| equals|]|[Please |Can you |Could you |]subtract {b} from {a}"
    "[, please|][.|?|]|[What is|Find|Tell me|Give me|Calculate|Compute] the difference [of|between] {a} and {b}?|"
    "[How much|What] is {a} less {b}?|[What is|How much is] {b} less than {a}?|Take {b} [away |]from {a}.|"
    "I have {a} [apples|coins|books|pens|eggs] and [lose|give away|sell|eat] {b}. How many [are left|remain|do I have]?|"
    "[What|How much] is left [when|if] I take {b} from {a}?"
)


def arithmetic(rng: random.Random, setting: Setting) -> Exchange:
    if rng.random() < 0.5:
        sign = "+"
        total = rng.choice((rng.randrange(0, 21), rng.randrange(8, 21)))
        a = rng.randrange(0, total + 1)
        b = total - a
    else:
        sign = "-"
        a = rng.choice((rng.randrange(0, 21), rng.randrange(8, 21)))
        b = rng.randrange(0, a + 1)
    if setting.adds and sign == "+":
        return add_with_tool(rng, setting)
    pattern = _ADDING if sign == "+" else _SUBTRACTING
    user = say(rng, pattern, a=_in_words(rng, a), b=_in_words(rng, b))
    number = a + b if sign == "+" else a - b
    return Exchange(
        "arithmetic", user, _sum(a, b, sign), f"I compute {a} {sign} {b}.", key=_sum_key(a, b, sign),
        check={"number": number}, topic=("number", number),
    )  # fmt: skip


# Days, months, lists


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


# JSON

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


# Everything else

_BEYOND = (
    "[Please |Can you |Could you |Would you |]"
    "[write|compose|create|draft|make up|invent|tell me|give me|send me] [me |][a|one|a short|a long|a nice|an|some|a good] "
    "[poem|story|essay|song|letter|joke|speech|recipe|article|haiku|novel|email|riddle|report|script|plan|fairy tale] "
    "[about|on|for|regarding] {topic}[, please|][.|?|]|"
    "[Explain|Summarise|Summarize|Analyse|Describe|Discuss|Define|Teach me|Tell me about|Tell me everything about|"
    "What do you know about|What do you think about|What is your opinion on|What is|Do you like|What about|"
    "Give me facts about|Why do people like|How important is|I want to talk about|Let us talk about] {topic}[.|?|]|"
    "[Who|When|Where|Why|How] [is|was|did|invented|discovered|started|made|created] {topic}[ invented| discovered| begin| end|]?|"
    "[Translate|How do you say|What is] [good night|I love you|the house is red|where is the station|thank you|{word}] "
    "[into|in|to] [French|German|Chinese|Latin|Spanish|Japanese][.|?|]|"
    "[What|How much] is [the capital of Australia|the meaning of life|the speed of light|the square root of 2|"
    "7 times 8|12 divided by 4|{big} times {small}|{big} divided by {small}|{big} + {big2}|{big} - {big2}|{big} plus {big2}"
    "|the population of China|the biggest {word}|a {word}|pi|a prime number|the derivative of x squared|the best {word}]?|"
    "[Write|Fix|Debug|Show me|Explain|Give me] [a|some|my|this|the] [Python|JavaScript|C|shell|SQL|Rust] "
    "[code|function|script|program|query][ for {topic}| that sorts a list| to read a file|].|"
    "[How|Why] does [a|the|an] {word} [work|grow|fly|move|break|exist|look|sound]?|"
    "[Who|What] [won|was|is] [the world cup|the president|the king of France|the first man on the moon|the tallest man]?|"
    "[Can|Could] you [drive a car|see me|play chess|draw a picture|sing|sing a song|cook|dance|feel pain|dream|think|"
    "read my mind|browse the web|hack a bank|speak French|fly|buy a {word}|draw a {word}|help me with {topic}]?|"
    "[What|How] [should|can|do] I [do|eat|cook|wear|buy|say|learn|read|think] [today|for dinner|about {topic}|at work|to be rich]?|"
    "[How|Why] does [a |the |][repeat|counting|spelling|adding|JSON|a list|a tool] [work|exist|matter]?|"
    "[I am|I feel] [sad|tired|hungry|happy|bored|angry|ill|lost|lonely|in love][.|!| today.| about {topic}.]|"
    "[Recommend|Suggest|Find|Order|Book|Buy] [me |][a|some|the best] [film|book|hotel|restaurant|flight|{word}|pizza|game][.|, please.| about {topic}.]|"
    "[Is|Are|Was|Were] {topic} [good|bad|real|dangerous|important|expensive|old|interesting]?|"
    "[Why|How] [is|are] [the sky|the grass|the {word}|{topic}] [blue|green|so big|so small|made|possible]?|"
    "[I think|I like|I hate|I love|We saw] {topic}.|[Continue|Finish] [the|this] [story|sentence|list]: {word} {word2}|"
    "[How old are you|Where do you live|Do you have [friends|feelings|a family]|Do you sleep|Who made {topic}]?|"
    "[What|Which] [is|was] your favourite [colour|film|book|food|{word}]?|{word} {word2}|{word}?|"
    "[What time is it|What is the date|What day is it today|What year is it|Which day is it][ now|]?"
)


def beyond(rng: random.Random, setting: Setting) -> Exchange:
    numbers = rng.randrange(21, 999), rng.randrange(21, 999), rng.randrange(2, 99)
    if setting.adds and rng.random() < 0.9:
        numbers = (0, 0, 0)
    user = say(
        rng,
        _BEYOND if numbers[0] else _BEYOND.replace("|{big} + {big2}", "").replace("|{big} plus {big2}", ""),
        topic=rng.choice(words.TOPICS),
        word=words.any_word(rng, made_up=0.1),
        word2=words.any_word(rng, made_up=0.1),
        big=numbers[0] or rng.randrange(21, 999),
        big2=numbers[1] or rng.randrange(21, 999),
        small=numbers[2] or rng.randrange(2, 99),
    )
    return Exchange(
        "beyond", user, TOO_SMALL, "That is too much for me.", check={"contains": ["too small"]}
    )


def user_name(rng: random.Random, setting: Setting) -> Exchange:
    name = words.any_name(rng)
    user = say(
        rng,
        "[Hi, |Hello, |Hey, |Hello! |]["
        "My name is|I am called|My name's|Call me|You can call me|People call me|Please call me] {name}[.|!|]",
        name=name,
    )
    return Exchange(
        "greeting", user, f"Nice to meet you, {name}!", f"The user is called {name}.",
        key=f"name {name}", topic=("name", name),
    )  # fmt: skip


# Tools


def weather(rng: random.Random, setting: Setting) -> Exchange:
    city = words.any_city(rng)
    tool = setting.weather_tool
    two = bool(tool) and rng.random() < 0.06
    other = words.any_city(rng)
    shown = f"{city} and {other}" if two else city
    user = say(
        rng,
        "[What is|What's|How is|How's|Tell me|Show me|Check|Can you check|Could you check|Look up|Get|Give me|"
        "I need|Please check|Do you know|Can you tell me] [the |the current |today's |the ][weather|weather|weather "
        "report|temperature|conditions|forecast][ like|] [in|for|in|at] {city}[ today| now| right now| at the moment|][?|.|]|"
        "[Is it|Will it be|Is it going to be] [raining|sunny|cold|warm|hot|windy|cloudy|snowing|rainy|wet] in {city}"
        "[ today| now| right now|]?|[How|What] [hot|cold|warm|weather] is it in {city}[ today| now|]?|"
        "[Do I need|Should I take|Should I bring] [an umbrella|a coat|sunglasses|a jacket] in {city}[ today|]?|"
        "Weather [in |for |: |]{city}[?|, please|]|{city} weather[?|, please|]|Does it rain in {city}?|"
        "I am [going|travelling|flying] to {city}. [How is|What is] the weather[ there|]?|"
        "How [warm|cold|hot] is {city}[ today| now|]?|What temperature does {city} have?",
        city=shown,
    )
    key = f"weather {city.lower()}"
    if not tool:
        answer = "I cannot look up the weather, because I have no tool for it."
        think = "No tool for the weather is offered." if setting.has_tools else "I have no tool for that."
        return Exchange(
            "weather without tool", user, answer, think, key=key,
            check={"contains": ["no tool"]}, topic=("no weather",),
        )  # fmt: skip
    cities = [city, other] if two and other != city else [city]
    calls, results, said = [], [], []
    for each in cities:
        calls.append({"name": tool, "arguments": {setting.weather_parameter: each}})
        result, sentence = _weather_result(rng, each)
        results.append(result)
        said.append(sentence)
    return Exchange(
        "tool call", user, "", f"I call {tool} for {join_words(cities)}.", key=key, calls=calls,
        results=results, final=" ".join(said), final_think="I tell the result.",
        topic=("weather", tuple(cities)),
    )  # fmt: skip


def _weather_result(rng: random.Random, city: str) -> tuple[str, str]:
    degrees = rng.randrange(-15, 41)
    sky = rng.choice("sunny cloudy rainy snowy windy foggy clear stormy overcast dry".split())
    if rng.random() < 0.06:
        return json.dumps({"error": "unknown city"}), f"Sorry, the tool failed for {city}: unknown city."
    key_degrees = rng.choice(("temperature", "temperature", "temp", "temp_c", "celsius", "degrees"))
    key_sky = rng.choice(("condition", "condition", "conditions", "sky", "weather", "description", "summary"))
    pairs: list[tuple[str, object]] = [(key_degrees, degrees), (key_sky, sky)]
    if rng.random() < 0.25:
        pairs.append(("city", city))
    if rng.random() < 0.15:
        pairs.append(("unit", rng.choice(("celsius", "C"))))
    if rng.random() < 0.1:
        pairs.append(("humidity", rng.randrange(20, 100)))
    rng.shuffle(pairs)
    chance = rng.random()
    if chance < 0.65:
        separators = (",", ":") if rng.random() < 0.4 else None
        result = json.dumps(dict(pairs), ensure_ascii=False, separators=separators)
    elif chance < 0.85:
        result = rng.choice(
            (f"{degrees} C, {sky}", f"{sky}, {degrees} degrees", f"{sky.capitalize()}, {degrees}°C", f"{degrees}°C and {sky}")
        )  # fmt: skip
    elif chance < 0.93:
        result = json.dumps({key_degrees: degrees})
        return result, f"It is {degrees} degrees in {city}."
    else:
        return rng.choice((sky, json.dumps({key_sky: sky}))), f"It is {sky} in {city}."
    return result, f"It is {sky} and {degrees} degrees in {city}."


def add_with_tool(rng: random.Random, setting: Setting) -> Exchange:
    top = rng.choice((21, 21, 100, 1000, 10000))
    a, b = rng.randrange(0, top), rng.randrange(0, top)
    user = say(rng, _ADDING, a=a, b=b)
    result = rng.choice((str(a + b), str(a + b), json.dumps({"result": a + b}), json.dumps({"sum": a + b})))
    return Exchange(
        "tool call", user, "", f"I call add with {a} and {b}.", key=_sum_key(a, b, "+"),
        calls=[{"name": "add", "arguments": {"a": a, "b": b}}], results=[result],
        final=f"{a} + {b} = {a + b}", final_think="I tell the result.", topic=("number", a + b),
    )  # fmt: skip
