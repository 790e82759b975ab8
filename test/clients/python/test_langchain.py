"""LangChain for Python."""

from datetime import date
from typing import Annotated

import openai
import pytest
from conftest import GOOD_KEY, LONG_PROMPT, MODEL, UNKNOWN_KEY, Server, warm
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

QUESTION = HumanMessage("What is the weather in Paris?")


def chat_of(server: Server, api_key: str = "none", **fields) -> ChatOpenAI:
    settings = {"temperature": 0, "max_tokens": 200, "max_retries": 0, **fields}
    return ChatOpenAI(model=MODEL, base_url=server.base_url, api_key=api_key, **settings)


@tool
def get_weather(city: Annotated[str, Field(max_length=30)]) -> str:
    """Current weather in a city"""
    return '{"condition": "sunny", "temperature": 21}'


def test_a_chat_is_the_same_whole_and_as_a_stream(server: Server) -> None:
    chat = chat_of(server, stream_usage=True)
    warm(lambda: chat.invoke("Who are you?"))
    whole = chat.invoke("Who are you?")
    chunks = list(chat.stream("Who are you?"))
    assert "".join(chunk.text for chunk in chunks) == whole.text
    [usage] = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert usage["output_tokens"] == whole.usage_metadata["output_tokens"]


def test_a_bound_tool_is_called_and_its_result_is_answered(server: Server) -> None:
    calling = chat_of(server).bind_tools(
        [get_weather], tool_choice="any", strict=True, parallel_tool_calls=False
    )
    call = calling.invoke([QUESTION])
    assert call.invalid_tool_calls == []
    [first] = call.tool_calls
    result = get_weather.invoke(first)
    answering = chat_of(server).bind_tools([get_weather], tool_choice="none")
    answer = answering.invoke([QUESTION, call, result])
    assert answer.text
    if server.is_trained:
        assert "sunny" in answer.text


def test_a_streamed_call_is_put_together(server: Server) -> None:
    calling = chat_of(server).bind_tools(
        [get_weather], tool_choice="get_weather", parallel_tool_calls=False
    )
    whole = None
    for chunk in calling.stream([QUESTION]):
        whole = chunk if whole is None else whole + chunk
    [call] = whole.tool_calls
    assert call["name"] == "get_weather"
    assert whole.response_metadata["finish_reason"] == "tool_calls"


class Person(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=20)]
    age: Annotated[int, Field(ge=0, le=150)]
    since: date | None
    share: Annotated[float, Field(ge=0, le=1)]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_an_object_has_the_types_of_pydantic(server: Server, method: str) -> None:
    person = chat_of(server).with_structured_output(Person, method=method).invoke("Ada")
    assert isinstance(person, Person)


def test_any_json_object_is_parsed(server: Server) -> None:
    chat = chat_of(server).with_structured_output(None, method="json_mode")
    reply = chat.invoke("Give me a JSON object with name Ada and age 36")
    assert isinstance(reply, dict)


def test_vectors_are_those_of_each_text(server: Server) -> None:
    # Otherwise the client sends token ids of OpenAI's own vocabulary.
    embeddings = OpenAIEmbeddings(
        model=MODEL, base_url=server.base_url, api_key="none", check_embedding_ctx_length=False
    )
    first, second = embeddings.embed_documents(["one", "two"])
    assert embeddings.embed_query("two") == pytest.approx(second, abs=1e-2)
    assert len(first) == len(second)


def test_errors_have_their_types(keyed_server: Server, slow_key: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        chat_of(keyed_server, UNKNOWN_KEY).invoke("Hello!")
    slow = chat_of(keyed_server, slow_key)
    slow.invoke("Hello!")
    with pytest.raises(openai.RateLimitError):
        slow.invoke("Hello!")
    with pytest.raises(openai.BadRequestError, match="temperature"):
        chat_of(keyed_server, GOOD_KEY, temperature=-1).invoke("Hello!")


def test_a_prompt_beyond_the_context_is_recognised(keyed_server: Server) -> None:
    with pytest.raises(ContextOverflowError):
        chat_of(keyed_server, GOOD_KEY).invoke(LONG_PROMPT)


def test_a_time_limit_ends_the_request(keyed_server: Server) -> None:
    endless = {"max_tokens": 4000, "extra_body": {"ignore_eos": True}}
    with pytest.raises(openai.APITimeoutError):
        chat_of(keyed_server, GOOD_KEY, timeout=0.2, **endless).invoke("Hello!")
    keyed_server.wait_until_idle()
