"""OpenAI's client with Pydantic's types."""

import threading
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import openai
import pytest
from conftest import GOOD_KEY, LONG_PROMPT, MODEL, UNKNOWN_KEY, Server, warm
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel, Field

QUESTION = [{"role": "user", "content": "Who are you?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
GREEDY = {"model": MODEL, "temperature": 0, "max_tokens": 200}
ENDLESS = {"model": MODEL, "messages": QUESTION, "max_tokens": 4000}
"""Only with `ignore_eos`."""


class GetWeather(BaseModel):
    """Current weather in a city"""

    city: Annotated[str, Field(max_length=30)]


TOOLS = [pydantic_function_tool(GetWeather, name="get_weather")]
ONE_CALL = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}


@pytest.fixture
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key="none", max_retries=0)


def keyed(server: Server, api_key: str, **fields) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key=api_key, **{"max_retries": 0, **fields})


def test_a_chat_is_the_same_whole_and_as_a_stream(client: OpenAI, server: Server) -> None:
    warm(lambda: client.chat.completions.create(messages=QUESTION, **GREEDY))
    plain = client.chat.completions.create(messages=QUESTION, **GREEDY)
    pieces, usage = [], None
    stream = client.chat.completions.create(
        messages=QUESTION, stream=True, stream_options={"include_usage": True}, **GREEDY
    )
    for chunk in stream:
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = chunk.usage or usage
    assert "".join(pieces) == plain.choices[0].message.content
    assert usage.completion_tokens == plain.usage.completion_tokens
    if server.is_trained:
        assert "tiny-chat" in plain.choices[0].message.content


def test_the_stream_helper_ends_with_the_whole_reply(client: OpenAI) -> None:
    # The helper takes no reply that the length ended: the first sentence is enough.
    with client.chat.completions.stream(messages=QUESTION, stop=["."], **GREEDY) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content


def test_a_text_is_completed(client: OpenAI) -> None:
    text = client.completions.create(model=MODEL, prompt="Hello", max_tokens=4)
    assert text.choices[0].finish_reason == "length"


def test_models_are_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("no such model")
    assert refused.value.code == "model_not_found"


class Kind(Enum):
    NEW = "new"
    PAID = "paid"


class Line(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=12)]
    count: Annotated[int, Field(ge=1, le=20)]


class Order(BaseModel):
    id: UUID
    day: date
    at: datetime
    kind: Kind
    share: Annotated[float, Field(ge=0, le=1)]
    rate: Annotated[float, Field(gt=0, lt=10)]
    lines: Annotated[list[Line], Field(min_length=1, max_length=2)]
    city: Literal["Paris", "Rome"]
    note: Annotated[str, Field(max_length=12)] | None
    large: bool


def test_a_reply_has_the_types_of_pydantic(client: OpenAI) -> None:
    reply = client.chat.completions.parse(
        messages=QUESTION, response_format=Order, **{**GREEDY, "max_tokens": 600}
    )
    assert reply.choices[0].finish_reason == "stop"
    assert isinstance(reply.choices[0].message.parsed, Order)


def test_a_strict_function_is_called_and_its_result_is_answered(
    client: OpenAI, server: Server
) -> None:
    first = client.chat.completions.parse(messages=WEATHER, **ONE_CALL, **GREEDY)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    [call] = message.tool_calls
    assert isinstance(call.function.parsed_arguments, GetWeather)
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"condition": "sunny"}'}
    second = client.chat.completions.create(
        messages=[*WEATHER, message, result], tools=TOOLS, tool_choice="none", **GREEDY
    )
    assert second.choices[0].message.content
    if server.is_trained:
        assert call.function.parsed_arguments.city == "Paris"


def test_usage_runs_through_a_stream(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True, "continuous_usage_stats": True},
        **GREEDY,
    )
    chunks = list(stream)
    counts = [chunk.usage.completion_tokens for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[-2] == counts[-1] > 1
    assert len({chunk.usage.prompt_tokens for chunk in chunks}) == 1


@pytest.mark.parametrize(
    "fields",
    [
        *({"reasoning_effort": effort} for effort in ("none", "minimal", "low", "xhigh", "max")),
        *({"verbosity": verbosity} for verbosity in ("low", "medium", "high")),
        *({"service_tier": tier} for tier in ("auto", "flex", "priority")),
        {"prediction": {"type": "content", "content": "hello"}},
        {"store": True, "metadata": {"a": "b"}, "user": "u", "safety_identifier": "u"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h"},
        {"modalities": ["text"], "logit_bias": {"5": -100}, "stop": ["zz"] * 20},
        {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 40}},
        {"extra_body": {"reasoning": {"effort": "none"}}},
        {"extra_body": {"think": False, "options": {"num_ctx": 100}}},
        {"max_completion_tokens": 100_000},
    ],
    ids=str,
)
def test_hints_and_ceilings_are_answered(keyed_server: Server, fields: dict) -> None:
    body = {"model": MODEL, "messages": QUESTION, "max_tokens": 4, "temperature": 0}
    reply = keyed(keyed_server, GOOD_KEY).chat.completions.create(**{**body, **fields})
    assert reply.usage.completion_tokens > 0


def test_what_cannot_be_honoured_is_refused_by_name(keyed_server: Server) -> None:
    client = keyed(keyed_server, GOOD_KEY)
    with pytest.raises(openai.BadRequestError, match="`audio`.*`modalities`"):
        client.chat.completions.create(
            messages=QUESTION,
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "wav"},
            **GREEDY,
        )
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(messages=[{"role": "user", "content": [image]}], **GREEDY)
    assert refused.value.param == "messages[0].content[0]"


def test_vectors_are_the_same_as_numbers_and_as_base64(client: OpenAI) -> None:
    decoded = client.embeddings.create(model=MODEL, input=["a", "b"])
    plain = client.embeddings.create(model=MODEL, input=["a", "b"], encoding_format="float")
    for first, second in zip(decoded.data, plain.data, strict=True):
        assert first.embedding == pytest.approx(second.embedding, abs=1e-2)


def test_a_key_that_is_not_known(keyed_server: Server) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        keyed(keyed_server, UNKNOWN_KEY).chat.completions.create(messages=QUESTION, **GREEDY)
    assert refused.value.code == "invalid_api_key"


def test_a_key_over_its_limit(keyed_server: Server, slow_key: str) -> None:
    client = keyed(keyed_server, slow_key)
    client.chat.completions.create(messages=QUESTION, **GREEDY)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(messages=QUESTION, **GREEDY)
    assert refused.value.code == "rate_limit_exceeded"
    assert 0 < int(refused.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_beyond_the_context(keyed_server: Server, stream: bool) -> None:
    messages = [{"role": "user", "content": LONG_PROMPT}]
    with pytest.raises(openai.BadRequestError, match=r"maximum context length is \d+ tokens") as refused:
        keyed(keyed_server, GOOD_KEY).chat.completions.create(
            messages=messages, stream=stream, **GREEDY
        )
    assert refused.value.code == "context_length_exceeded"


def test_a_value_out_of_range(keyed_server: Server) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        keyed(keyed_server, GOOD_KEY).chat.completions.create(
            messages=QUESTION, **{**GREEDY, "temperature": -1}
        )
    assert refused.value.param == "temperature"


def test_a_time_limit_ends_the_request(keyed_server: Server) -> None:
    client = keyed(keyed_server, GOOD_KEY, timeout=0.2)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**ENDLESS, extra_body={"ignore_eos": True})
    keyed_server.wait_until_idle()


def test_a_full_queue_is_tried_again(keyed_server: Server) -> None:
    client = keyed(keyed_server, GOOD_KEY)
    endless = {"stream": True, "extra_body": {"ignore_eos": True}, **ENDLESS}
    running = client.chat.completions.create(**endless)
    ended = threading.Thread(target=lambda: client.chat.completions.create(messages=QUESTION, **GREEDY))
    ended.start()
    keyed_server.wait_until(waiting=1)
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(messages=QUESTION, **GREEDY)
    assert refused.value.code == "queue_full"
    threading.Timer(0.3, running.close).start()
    patient = keyed(keyed_server, GOOD_KEY, max_retries=8)
    assert patient.chat.completions.create(messages=QUESTION, **GREEDY).choices
    ended.join()
