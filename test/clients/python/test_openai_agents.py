"""OpenAI's Agents SDK on chat completions."""

import asyncio
import json
from datetime import date
from typing import Annotated

import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from agents.exceptions import MaxTurnsExceeded
from conftest import GOOD_KEY, LONG_PROMPT, MODEL, UNKNOWN_KEY, Server
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

set_tracing_disabled(True)


def agent_of(server: Server, api_key: str = "none", settings: dict = {}, **fields) -> Agent:
    client = AsyncOpenAI(base_url=server.base_url, api_key=api_key, max_retries=0)
    return Agent(
        name="assistant",
        model=OpenAIChatCompletionsModel(MODEL, client),
        model_settings=ModelSettings(**{"temperature": 0, "max_tokens": 200, **settings}),
        **fields,
    )


def test_a_run_calls_its_tool_and_answers_from_the_result(server: Server) -> None:
    cities: list[str] = []

    @function_tool
    def get_weather(city: Annotated[str, Field(max_length=30)]) -> str:
        """Current weather in a city"""
        cities.append(city)
        return json.dumps({"condition": "sunny", "temperature": 21})

    settings = {"tool_choice": "required", "parallel_tool_calls": False}
    agent = agent_of(server, settings=settings, tools=[get_weather])
    try:
        result = Runner.run_sync(agent, "What is the weather in Paris?", max_turns=3)
    except MaxTurnsExceeded:
        # After the first turn the model is free, and one that knows no calls may go on calling.
        assert not server.is_trained
    else:
        assert result.final_output
    assert cities
    if server.is_trained:
        assert cities == ["Paris"]
        assert "sunny" in result.final_output


def test_a_strict_tool_has_the_bounds_of_its_types(server: Server) -> None:
    amounts: list[float] = []

    @function_tool
    def pay(
        amount: Annotated[float, Field(ge=0)],
        part: Annotated[float, Field(gt=0, le=1)],
        count: Annotated[int, Field(ge=1, le=12)],
    ) -> str:
        """Pays an amount of money"""
        amounts.append(amount)
        return "paid"

    settings = {"tool_choice": "required", "parallel_tool_calls": False}
    agent = agent_of(server, settings=settings, tools=[pay], tool_use_behavior="stop_on_first_tool")
    result = Runner.run_sync(agent, "Pay 5.", max_turns=1)
    assert result.final_output == "paid"
    assert amounts[0] >= 0


def test_a_run_is_handed_to_another_agent(server: Server) -> None:
    billing = agent_of(server, handoff_description="answers questions about bills")
    billing.name = "billing"
    settings = {"tool_choice": "transfer_to_billing"}
    result = Runner.run_sync(agent_of(server, settings=settings, handoffs=[billing]), "Hello!")
    assert result.last_agent is billing
    assert result.final_output


def test_a_tool_that_is_not_strict_takes_any_names(server: Server) -> None:
    @function_tool(strict_mode=False)
    def save(values: dict[str, bool]) -> str:
        """Saves values"""
        return "saved"

    settings = {"tool_choice": "save", "max_tokens": 400}
    agent = agent_of(server, settings=settings, tools=[save], tool_use_behavior="stop_on_first_tool")
    assert Runner.run_sync(agent, "Save.", max_turns=1).final_output


class Report(BaseModel):
    done: bool
    share: Annotated[float, Field(ge=0, le=1)]
    day: date


def test_the_output_has_the_types_of_pydantic(server: Server) -> None:
    result = Runner.run_sync(agent_of(server, output_type=Report), "Report.")
    assert isinstance(result.final_output, Report)


def test_a_run_is_streamed(server: Server) -> None:
    async def run() -> tuple[str, str]:
        result = Runner.run_streamed(agent_of(server), "Who are you?")
        pieces = []
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                pieces.append(event.data.delta)
        return "".join(pieces), result.final_output

    streamed, output = asyncio.run(run())
    assert streamed == output != ""


@pytest.mark.parametrize("verbosity", ["low", "medium", "high"])
def test_a_hint_of_length_is_a_hint(server: Server, verbosity: str) -> None:
    result = Runner.run_sync(agent_of(server, settings={"verbosity": verbosity}), "Hello!")
    assert result.final_output


def test_errors_have_their_types(keyed_server: Server, slow_key: str) -> None:
    def ask(api_key: str, prompt: str = "Hello!", **settings):
        return Runner.run_sync(agent_of(keyed_server, api_key, settings), prompt)

    with pytest.raises(openai.AuthenticationError):
        ask(UNKNOWN_KEY)
    ask(slow_key)
    with pytest.raises(openai.RateLimitError):
        ask(slow_key)
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        ask(GOOD_KEY, LONG_PROMPT)
    with pytest.raises(openai.BadRequestError, match="temperature"):
        ask(GOOD_KEY, temperature=-1)
