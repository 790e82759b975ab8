"""Questions about the weather, which only a tool can answer."""

from __future__ import annotations

import json
import random

import words
from exchange import Exchange, Setting, join_words
from phrasing import say


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
        result, sentence = weather_result(rng, each)
        results.append(result)
        said.append(sentence)
    return Exchange(
        "tool call", user, "", f"I call {tool} for {join_words(cities)}.", key=key, calls=calls,
        results=results, final=" ".join(said), final_think="I tell the result.",
        topic=("weather", tuple(cities)),
    )  # fmt: skip


def weather_result(rng: random.Random, city: str) -> tuple[str, str]:
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
