"""LiteLLM as a library."""

from typing import Annotated

import litellm
import pytest
from conftest import GOOD_KEY, LONG_PROMPT, MODEL, UNKNOWN_KEY, Server, warm
from pydantic import BaseModel, Field

QUESTION = [{"role": "user", "content": "Who are you?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Current weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 30}},
                "required": ["city"],
            },
        },
    }
]
GREEDY = {"temperature": 0, "max_tokens": 200, "num_retries": 0, "max_retries": 0}


def route(server: Server, provider: str, api_key: str = "none") -> dict:
    return {"model": f"{provider}/{MODEL}", "api_base": server.base_url, "api_key": api_key}


@pytest.fixture(params=["openai", "hosted_vllm", "llamafile"])
def target(server: Server, request: pytest.FixtureRequest) -> dict:
    """The ways in which LiteLLM speaks to servers of this kind; one of them on a slow model."""
    if not server.is_trained and request.param != "hosted_vllm":
        pytest.skip("tried on the bundled model")
    return {**route(server, request.param), **GREEDY}


def test_a_chat_is_the_same_whole_and_as_a_stream(target: dict) -> None:
    warm(lambda: litellm.completion(messages=QUESTION, **target))
    whole = litellm.completion(messages=QUESTION, **target)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(messages=QUESTION, **options, **target))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_a_tool_is_called_and_its_result_is_answered(target: dict, server: Server) -> None:
    options = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}
    first = litellm.completion(messages=WEATHER, **options, **target)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    [call] = message.tool_calls
    assert call.function.name == "get_weather"
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"condition": "sunny"}'}
    second = litellm.completion(
        messages=[*WEATHER, message, result], tools=TOOLS, tool_choice="none", **target
    )
    assert second.choices[0].message.content
    if server.is_trained:
        assert "Paris" in call.function.arguments


class City(BaseModel):
    name: Annotated[str, Field(max_length=20)]
    large: bool
    share: Annotated[float, Field(ge=0, le=1)]


def test_a_reply_has_the_types_of_pydantic(target: dict) -> None:
    reply = litellm.completion(messages=QUESTION, response_format=City, **target)
    City.model_validate_json(reply.choices[0].message.content)


def test_vectors(server: Server) -> None:
    for provider in ("openai", "hosted_vllm"):
        reply = litellm.embedding(input=["one", "two"], **route(server, provider))
        assert [len(each["embedding"]) > 0 for each in reply.data] == [True, True]


def test_errors_have_their_types(keyed_server: Server, slow_key: str) -> None:
    def ask(api_key: str, messages: list = QUESTION, **fields):
        settings = {**GREEDY, **fields}
        return litellm.completion(messages=messages, **route(keyed_server, "openai", api_key), **settings)

    with pytest.raises(litellm.AuthenticationError):
        ask(UNKNOWN_KEY)
    ask(slow_key)
    with pytest.raises(litellm.RateLimitError):
        ask(slow_key)
    with pytest.raises(litellm.ContextWindowExceededError):
        ask(GOOD_KEY, [{"role": "user", "content": LONG_PROMPT}])
    with pytest.raises(litellm.BadRequestError, match="temperature"):
        ask(GOOD_KEY, temperature=-1)


def test_a_time_limit_ends_the_request(keyed_server: Server) -> None:
    endless = {**GREEDY, "max_tokens": 4000, "extra_body": {"ignore_eos": True}}
    with pytest.raises(litellm.Timeout):
        litellm.completion(
            messages=QUESTION, timeout=0.2, **route(keyed_server, "openai", GOOD_KEY), **endless
        )
    keyed_server.wait_until_idle()
