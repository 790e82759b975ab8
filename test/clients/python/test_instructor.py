"""Instructor, in an environment of its own: see requirements-instructor.in."""

from datetime import date
from typing import Annotated, Literal

import instructor
import openai
import pytest
from conftest import GOOD_KEY, LONG_PROMPT, MODEL, UNKNOWN_KEY, Server
from openai import OpenAI
from pydantic import BaseModel, Field


class City(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=20)]
    kind: Literal["town", "village"]
    founded: date
    share: Annotated[float, Field(ge=0, le=1)]
    rank: Annotated[int, Field(ge=1, le=9)] | None = None


ASKED = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Paris"}],
    "temperature": 0,
    "max_tokens": 300,
    "max_retries": 0,
}


def client_of(server: Server, mode: instructor.Mode, api_key: str = "none"):
    client = OpenAI(base_url=server.base_url, api_key=api_key, max_retries=0)
    return instructor.from_openai(client, mode=mode)


@pytest.mark.parametrize(
    "mode", [instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON_SCHEMA]
)
def test_an_object_has_the_types_of_pydantic(server: Server, mode: instructor.Mode) -> None:
    client = client_of(server, mode)
    assert isinstance(client.chat.completions.create(response_model=City, **ASKED), City)


def test_an_object_grows_in_a_stream(server: Server) -> None:
    # Without a date: the client takes none out of a stream, whose types it checks as Python's.
    class Person(BaseModel):
        name: Annotated[str, Field(min_length=1, max_length=20)]
        age: Annotated[int, Field(ge=0, le=150)]

    client = client_of(server, instructor.Mode.JSON_SCHEMA)
    partials = list(client.chat.completions.create_partial(response_model=Person, **ASKED))
    assert len(partials) > 1
    Person.model_validate(partials[-1].model_dump())


def test_a_list_is_streamed_by_element(server: Server) -> None:
    class Pair(BaseModel):
        a: bool
        b: Annotated[int, Field(ge=0, le=9)]

    client = client_of(server, instructor.Mode.TOOLS)
    pairs = client.chat.completions.create_iterable(response_model=Pair, **ASKED)
    for pair in pairs:
        assert isinstance(pair, Pair)
        break


def test_errors_have_their_types(keyed_server: Server, slow_key: str) -> None:
    def ask(api_key: str, **fields):
        client = client_of(keyed_server, instructor.Mode.JSON_SCHEMA, api_key)
        return client.chat.completions.create(response_model=City, **{**ASKED, **fields})

    def cause(error: BaseException) -> BaseException:
        """The client's own error, which Instructor may have wrapped."""
        while error is not None and not isinstance(error, openai.APIStatusError):
            error = error.__cause__ or error.__context__
        return error

    def refusal(api_key: str, **fields) -> BaseException:
        with pytest.raises(Exception) as refused:
            ask(api_key, **fields)
        return cause(refused.value)

    assert isinstance(refusal(UNKNOWN_KEY), openai.AuthenticationError)
    ask(slow_key)
    assert isinstance(refusal(slow_key), openai.RateLimitError)
    long = [{"role": "user", "content": LONG_PROMPT}]
    assert "maximum context length" in str(refusal(GOOD_KEY, messages=long))
    assert isinstance(refusal(GOOD_KEY, temperature=-1), openai.BadRequestError)
