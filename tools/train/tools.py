"""Function definitions that dialogues offer: two that the model knows, and others that it must not call."""

from __future__ import annotations

import random

Definition = dict[str, object]


def _definition(
    rng: random.Random, name: str, descriptions: tuple[str, ...], parameters: dict[str, tuple[str, str]]
) -> Definition:
    """A definition as clients write them: with or without descriptions, required and extras."""
    described = rng.random() < 0.25
    properties = {
        key: {"type": kind} | ({"description": text} if described else {})
        for key, (kind, text) in parameters.items()
    }
    schema: dict[str, object] = {"type": "object", "properties": properties}
    if rng.random() < 0.8:
        schema["required"] = list(parameters)
    if rng.random() < 0.15:
        schema["additionalProperties"] = False
    function: Definition = {"name": name}
    if rng.random() < 0.85:
        function["description"] = rng.choice(descriptions)
    function["parameters"] = schema
    if rng.random() < 0.05:
        function["strict"] = True
    return {"type": "function", "function": function}


def weather_tool(rng: random.Random, name: str, parameter: str) -> Definition:
    descriptions = (
        "Get the current weather of a city", "Get the weather in a city", "Returns the weather for a city.",
        "The current weather", "Current weather in a given location", "Get the weather",
        "Look up the weather of a city", "Weather by city",
    )  # fmt: skip
    texts = ("The city", "City name", "Name of the city", "The city, for example Paris")
    definition = _definition(rng, name, descriptions, {parameter: ("string", rng.choice(texts))})
    if rng.random() < 0.08:
        properties = definition["function"]["parameters"]["properties"]  # type: ignore[index]
        properties["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
        definition["function"]["parameters"].pop("required", None)  # type: ignore[index]
    return definition


def add_tool(rng: random.Random) -> Definition:
    descriptions = (
        "Add two numbers", "Adds two numbers and returns the sum", "Returns the sum of a and b",
        "Add two integers", "Sum of two numbers", "Compute a + b",
    )  # fmt: skip
    kind = rng.choice(("integer", "number", "number"))
    return _definition(
        rng, "add", descriptions, {"a": (kind, "First number"), "b": (kind, "Second number")}
    )


_OTHERS: list[tuple[str, tuple[str, ...], dict[str, tuple[str, str]]]] = [
    ("get_time", ("Get the current time", "The time in a zone"), {"timezone": ("string", "Time zone")}),
    ("send_email", ("Send an email", "Sends a message"), {"to": ("string", "Receiver"), "subject": ("string", "Subject"), "body": ("string", "Text")}),
    ("search_web", ("Search the web", "Find pages on the internet"), {"query": ("string", "What to find")}),
    ("set_alarm", ("Set an alarm", "Wake the user up"), {"time": ("string", "Time of day")}),
    ("play_music", ("Play a song", "Start music"), {"title": ("string", "Song"), "artist": ("string", "Artist")}),
    ("book_flight", ("Book a flight", "Buys a ticket"), {"origin": ("string", "From"), "destination": ("string", "To")}),
    ("get_stock_price", ("Get the price of a stock",), {"symbol": ("string", "Ticker symbol")}),
    ("translate", ("Translate text", "Translate into another language"), {"text": ("string", "Text"), "language": ("string", "Target")}),
    ("create_event", ("Create a calendar event",), {"title": ("string", "Title"), "date": ("string", "Date")}),
    ("get_news", ("Get the latest news", "Headlines"), {"topic": ("string", "Topic")}),
    ("roll_dice", ("Roll dice", "Throw a die"), {"sides": ("integer", "Number of sides")}),
    ("convert_currency", ("Convert money", "Exchange rates"), {"amount": ("number", "Amount"), "from": ("string", "From"), "to": ("string", "To")}),
    ("turn_on_light", ("Turn on a light", "Switch a lamp"), {"room": ("string", "Room")}),
    ("read_file", ("Read a file", "Returns the text of a file"), {"path": ("string", "Path")}),
    ("multiply", ("Multiply two numbers",), {"a": ("number", "First number"), "b": ("number", "Second number")}),
    ("get_population", ("Population of a city", "How many people live in a city"), {"city": ("string", "The city")}),
    ("find_restaurant", ("Find a restaurant in a city",), {"city": ("string", "City"), "food": ("string", "Kind of food")}),
    ("delete_file", ("Delete a file",), {"path": ("string", "Path")}),
]  # fmt: skip


def other_tools(rng: random.Random, amount: int) -> list[Definition]:
    return [_definition(rng, *each) for each in rng.sample(_OTHERS, amount)]
