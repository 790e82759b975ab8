"""Anthropic's client: messages, streams, its runner of tools, structured replies, errors."""

from typing import Literal

import anthropic
import pytest
from anthropic import Anthropic, beta_tool
from conftest import GOOD_KEY, LONG_PROMPT, MODEL, UNKNOWN_KEY, Server, warm
from pydantic import BaseModel

QUESTION = [{"role": "user", "content": "Who are you?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
GREEDY = {"model": MODEL, "max_tokens": 200, "extra_body": {"temperature": 0}}
"""The newest models of Anthropic take no temperature, and neither does its client."""


@pytest.fixture
def client(server: Server) -> Anthropic:
    return Anthropic(base_url=server.url, api_key="none", max_retries=0)


def test_a_message_is_the_same_whole_and_as_a_stream(client: Anthropic) -> None:
    warm(lambda: client.messages.create(messages=QUESTION, **GREEDY))
    whole = client.messages.create(messages=QUESTION, **GREEDY)
    with client.messages.stream(messages=QUESTION, **GREEDY) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text
    assert final.stop_reason == whole.stop_reason
    assert final.usage == whole.usage
    assert whole.usage.cache_read_input_tokens > 0


def test_a_tool_is_called_and_its_result_is_answered(client: Anthropic, server: Server) -> None:
    if not server.is_trained:
        pytest.skip("a model that was not trained on calls does not end")
    seen = []

    @beta_tool
    def get_weather(city: str) -> str:
        """Current weather in a city"""
        seen.append(city)
        return '{"condition": "sunny", "temperature": 21}'

    runner = client.beta.messages.tool_runner(messages=WEATHER, tools=[get_weather], **GREEDY)
    last = runner.until_done()
    assert seen == ["Paris"]
    assert "sunny" in last.content[0].text


class Order(BaseModel):
    kind: Literal["new", "paid"]
    large: bool


def test_a_reply_has_the_types_of_pydantic(client: Anthropic) -> None:
    reply = client.messages.parse(messages=QUESTION, output_format=Order, **GREEDY)
    assert isinstance(reply.parsed_output, Order)


def test_tokens_are_counted(client: Anthropic) -> None:
    assert client.messages.count_tokens(model=MODEL, messages=QUESTION).input_tokens > 0


def test_a_key_that_is_not_known(keyed_server: Server) -> None:
    client = Anthropic(base_url=keyed_server.url, api_key=UNKNOWN_KEY, max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as refused:
        client.messages.create(messages=QUESTION, **GREEDY)
    assert refused.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_beyond_the_context(keyed_server: Server, stream: bool) -> None:
    client = Anthropic(base_url=keyed_server.url, api_key=GOOD_KEY, max_retries=0)
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > \d+ maximum"):
        client.messages.create(
            messages=[{"role": "user", "content": LONG_PROMPT}], stream=stream, **GREEDY
        )
