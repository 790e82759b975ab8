"""Calls that their length has cut: clients send them back with an error as the result, and the chat goes on."""

from typing import Annotated

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from conftest import MODEL, Server
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel, Field

set_tracing_disabled(True)

QUESTION = "What is the weather in Paris?"
FAILURE = "Error: the arguments are no valid JSON"
LENGTHS = [1, 8, 12, 16]
"""Before the name of a call, within it, within its arguments."""
ENDS = ("stop", "tool_calls", "length")

City = Annotated[str, Field(max_length=30)]


class GetWeather(BaseModel):
    """Current weather in a city"""

    city: City


@pytest.mark.parametrize("max_tokens", LENGTHS)
def test_openai_goes_on(server: Server, max_tokens: int) -> None:
    client = OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    tools = [pydantic_function_tool(GetWeather, name="get_weather")]
    ask = {"role": "user", "content": QUESTION}
    chat = {"model": MODEL, "temperature": 0, "tools": tools}
    forced = {"tool_choice": "required", "parallel_tool_calls": False}
    first = client.chat.completions.create(messages=[ask], max_tokens=max_tokens, **forced, **chat)
    assert first.choices[0].finish_reason == "length"
    message = first.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": FAILURE}
        for call in message.tool_calls or []
    ]
    again = {"role": "user", "content": "Try again."}
    second = client.chat.completions.create(
        messages=[ask, message, *results, again], max_tokens=60, **chat
    )
    assert second.choices[0].finish_reason in ENDS


@pytest.mark.parametrize("max_tokens", LENGTHS)
def test_langchain_goes_on(server: Server, max_tokens: int) -> None:
    @tool
    def get_weather(city: City) -> str:
        """Current weather in a city"""
        return ""

    def chat_of(limit: int) -> ChatOpenAI:
        return ChatOpenAI(
            model=MODEL,
            base_url=server.base_url,
            api_key="none",
            temperature=0,
            max_tokens=limit,
            max_retries=0,
        )

    forced = {"tool_choice": "any", "parallel_tool_calls": False}
    cut = chat_of(max_tokens).bind_tools([get_weather], **forced).invoke(QUESTION)
    calls = [*cut.tool_calls, *cut.invalid_tool_calls]
    results = [ToolMessage(FAILURE, tool_call_id=call["id"]) for call in calls]
    history = [HumanMessage(QUESTION), cut, *results]
    answer = chat_of(60).bind_tools([get_weather]).invoke(history)
    assert answer.response_metadata["finish_reason"] in ENDS


@pytest.mark.parametrize(
    "arguments", ['{"city": "Par', "{", "", "Paris", "[1]", "null", "{}{}", "{'city': 'Paris'}"]
)
def test_a_run_of_agents_goes_on(server: Server, arguments: str) -> None:
    @function_tool
    def get_weather(city: City) -> str:
        """Current weather in a city"""
        return "sunny"

    client = AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    agent = Agent(
        name="assistant",
        model=OpenAIChatCompletionsModel(MODEL, client),
        model_settings=ModelSettings(temperature=0, max_tokens=60, parallel_tool_calls=False),
        tools=[get_weather],
        tool_use_behavior="stop_on_first_tool",
    )
    call = {"type": "function_call", "call_id": "call_cut", "name": "get_weather"}
    history = [
        {"role": "user", "content": QUESTION},
        {**call, "arguments": arguments},
        {"type": "function_call_output", "call_id": "call_cut", "output": FAILURE},
        {"role": "user", "content": "Try again."},
    ]
    assert Runner.run_sync(agent, history).final_output
