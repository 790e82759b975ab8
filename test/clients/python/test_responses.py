"""The Responses API as OpenAI's client and its helpers use it."""

from typing import Annotated

import pytest
from conftest import MODEL, Server, warm
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel, Field

GREEDY = {"model": MODEL, "temperature": 0, "max_output_tokens": 200}
WEATHER = {"role": "user", "content": "What is the weather in Paris?"}


class GetWeather(BaseModel):
    """Current weather in a city"""

    city: Annotated[str, Field(max_length=30)]


class Order(BaseModel):
    kind: str = Field(max_length=10)
    count: Annotated[int, Field(ge=1, le=20)]


FUNCTION = pydantic_function_tool(GetWeather, name="get_weather")["function"]
TOOLS = [{"type": "function", **FUNCTION}]


@pytest.fixture
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key="none", max_retries=0)


def test_a_response_is_the_same_whole_and_as_a_stream(client: OpenAI) -> None:
    warm(lambda: client.responses.create(input="Who are you?", **GREEDY))
    whole = client.responses.create(input="Who are you?", **GREEDY)
    with client.responses.stream(input="Who are you?", **GREEDY) as stream:
        events = list(stream)
    # The helper takes no response that the length ended.
    final = events[-1].response
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage


def test_a_reply_has_the_types_of_pydantic(client: OpenAI) -> None:
    reply = client.responses.parse(input="Write an order.", text_format=Order, **GREEDY)
    assert reply.status == "completed"
    assert isinstance(reply.output_parsed, Order)


def test_a_function_is_called_and_its_result_is_answered(client: OpenAI, server: Server) -> None:
    first = client.responses.create(
        input=[WEATHER],
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
        **GREEDY,
    )
    [call] = [item for item in first.output if item.type == "function_call"]
    assert GetWeather.model_validate_json(call.arguments)
    result = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": '{"condition": "sunny", "temperature": 21}',
    }
    second = client.responses.create(
        input=[WEATHER, *first.output, result], tools=TOOLS, tool_choice="none", **GREEDY
    )
    assert second.output_text
    if server.is_trained:
        assert "sunny" in second.output_text
