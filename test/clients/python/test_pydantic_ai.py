"""Pydantic AI on chat completions."""

import asyncio
from datetime import date
from typing import Annotated

import pytest
from conftest import GOOD_KEY, LONG_PROMPT, MODEL, UNKNOWN_KEY, Server
from openai import AsyncOpenAI
from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelHTTPError, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.embeddings import Embedder
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import OutputTokenLimitExceeded
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits

SETTINGS = {"temperature": 0, "max_tokens": 200, "parallel_tool_calls": False}


def provider_of(server: Server, api_key: str = "none", **fields) -> OpenAIProvider:
    client = AsyncOpenAI(base_url=server.base_url, api_key=api_key, max_retries=0, **fields)
    return OpenAIProvider(openai_client=client)


def agent_of(server: Server, api_key: str = "none", **fields) -> Agent:
    model = OpenAIChatModel(MODEL, provider=provider_of(server, api_key))
    return Agent(model, **{"model_settings": SETTINGS, **fields})


class City(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=20)]
    founded: date
    share: Annotated[float, Field(ge=0, le=1)]
    large: bool
    rank: Annotated[int, Field(gt=0, lt=10)] | None


@pytest.mark.parametrize("how", [NativeOutput, ToolOutput])
def test_the_output_has_the_types_of_pydantic(server: Server, how: type) -> None:
    result = agent_of(server, output_type=how(City)).run_sync("Paris")
    assert isinstance(result.output, City)
    assert result.usage.output_tokens > 0


class Other(BaseModel):
    rank: Annotated[int, Field(ge=0, le=9)]


def test_the_output_is_one_of_several_types(server: Server) -> None:
    agent = agent_of(server, output_type=[ToolOutput(City), ToolOutput(Other)])
    assert isinstance(agent.run_sync("Paris").output, City | Other)


def test_a_conversation_goes_on_from_its_history(server: Server) -> None:
    agent = agent_of(server, instructions="Be brief.")
    first = agent.run_sync("Hello!")
    second = agent.run_sync("Again.", message_history=first.all_messages())
    assert second.output
    assert len(second.all_messages()) == 4


@pytest.mark.parametrize("thinking", [True, "low", False])
def test_thinking_is_switched(server: Server, thinking: bool | str) -> None:
    agent = agent_of(server, model_settings={**SETTINGS, "thinking": thinking})
    assert agent.run_sync("Hello!").usage.output_tokens > 0


class Anything(BaseModel, extra="allow"):
    """Any object: a schema that is only words in the prompt is more than a small model follows."""


def test_a_prompted_output_is_json(server: Server) -> None:
    agent = agent_of(server, output_type=PromptedOutput(Anything))
    try:
        assert isinstance(agent.run_sync("Give me a JSON object.").output, Anything)
    except OutputTokenLimitExceeded:
        # Any JSON is allowed, and a model that writes on is cut.
        assert not server.is_trained


def test_a_tool_runs_and_its_result_is_answered(server: Server) -> None:
    cities: list[str] = []
    agent = agent_of(server)

    @agent.tool_plain
    def get_weather(city: Annotated[str, Field(max_length=30)]) -> dict:
        """Current weather in a city"""
        cities.append(city)
        return {"condition": "sunny", "temperature": 21}

    result = agent.run_sync("What is the weather in Paris?", usage_limits=UsageLimits(request_limit=9))
    assert result.output
    if server.is_trained:
        assert cities == ["Paris"]
        assert "sunny" in result.output


async def _streamed(agent: Agent, prompt: str) -> tuple[str, str]:
    async with agent.run_stream(prompt) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        return "".join(pieces), await result.get_output()


def test_a_stream_is_the_whole_text(server: Server) -> None:
    agent = agent_of(server)
    streamed, output = asyncio.run(_streamed(agent, "Who are you?"))
    assert streamed == output
    assert output == agent_of(server).run_sync("Who are you?").output


def test_vectors(server: Server) -> None:
    embedder = Embedder(OpenAIEmbeddingModel(MODEL, provider=provider_of(server)))
    result = embedder.embed_documents_sync(["one", "two"])
    first, second = result.embeddings
    assert len(first) == len(second) > 0


def test_errors_have_their_status(keyed_server: Server, slow_key: str) -> None:
    def status(api_key: str, prompt: str = "Hello!", **settings) -> int:
        with pytest.raises(ModelHTTPError) as refused:
            agent_of(keyed_server, api_key, model_settings={**SETTINGS, **settings}).run_sync(prompt)
        return refused.value.status_code

    assert status(UNKNOWN_KEY) == 401
    agent_of(keyed_server, slow_key).run_sync("Hello!")
    assert status(slow_key) == 429
    assert status(GOOD_KEY, LONG_PROMPT) == 400
    assert status(GOOD_KEY, temperature=-1) == 400
