"""Adding and subtracting: in the head up to 20, with the tool `add` where it is offered."""

from __future__ import annotations

import json
import random

from exchange import Exchange, Setting, number_shown
from phrasing import say


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
    user = say(rng, pattern, a=number_shown(rng, a), b=number_shown(rng, b))
    number = a + b if sign == "+" else a - b
    return Exchange(
        "arithmetic", user, _sum(a, b, sign), f"I compute {a} {sign} {b}.", key=_sum_key(a, b, sign),
        check={"number": number}, topic=("number", number),
    )  # fmt: skip


def add_with_tool(rng: random.Random, setting: Setting) -> Exchange:
    top = rng.choice((21, 21, 100, 1000, 10000))
    a, b = rng.randrange(0, top), rng.randrange(0, rng.choice((top, top, 1000)))
    user = say(rng, _ADDING, a=a, b=b)
    result = rng.choice((str(a + b), str(a + b), json.dumps({"result": a + b}), json.dumps({"sum": a + b})))
    return Exchange(
        "tool call", user, "", f"I call add with {a} and {b}.", key=_sum_key(a, b, "+"),
        calls=[{"name": "add", "arguments": {"a": a, "b": b}}], results=[result],
        final=f"{a} + {b} = {a + b}", final_think="I tell the result.", topic=("number", a + b),
    )  # fmt: skip
