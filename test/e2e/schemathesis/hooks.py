"""Checks of this server beside those of schemathesis, loaded by `SCHEMATHESIS_HOOKS`."""

import json
import os
import re

import jsonschema_rs
import schemathesis

# Codes of requests that are valid by the document and refused all the same: the served model or the size of its context
# decides, or a chat template.
DECIDED_BY_THE_MODEL = {
    "context_length_exceeded",
    "model_not_found",
    "unsupported_model",
    "unsupported_parameter",
    "bad_request",
}

# Rules between fields, and limits of this server, which the document states in words.
RULES = [
    re.compile(pattern)
    for pattern in (
        r"^`(tool_choice|function_call)` asks for a call, but there are no `tools`",
        r"cannot be sent together",
        r"^`messages\[\d+\]\.content` is required",
        r"^`messages\[\d+\]\.(content|tool_calls)\[\d+\]\.(text|refusal|function)` is required",
        r"may only be sent in a message of the role",
        r"^`continue_final_message` needs a last message",
        r"^`(tools|functions|tool_choice|function_call)[^`]*` is required",
        r"^`(content|input_prefix|text_[12]|data_[12]|documents|model)` is required",
        r"may ask for at most \d+ choices in all",
        r"must be at most \d+, the maximum of this request",
        r"^`input\[\d+\]` could not be tokenized: it has no tokens",
        r"must be a token id below \d+, the size of the vocabulary",
        r"must be at most \d+, the number of this server's slots",
        r"may only be sent together with",
        r"^`response_format\.json_schema(\.schema)?` is required",
        r"^`prompt\[\d+\]\.multimodal_data` is not supported",
        r"^`logit_bias[^`]*` must (have a token id|name tokens of the model)",
        r"must be between 1 and \d+, this model's number of (values of a vector|tokens of one input)",
        r"^`seed` must be a 64-bit integer",
        r"^`[a-z_]+\[\d+\]` must be a (text|string) or a token id, because other items of `[a-z_]+` are token ids",
        r"^`(tool_choice|function_call)[^`]*` must be (`none`, `auto`, `required` or )?the name of one of the tools",
        r"^`[a-z_0-9]+` and `[a-z_0-9]+` are two names of the same field",
        # Languages that a schema of JSON cannot describe: regular expressions, grammars, schemas.
        r"^`(guided_)?(regex|grammar|choice|json)(\.[^`]*)?` (has|is|must|needs|can|asks|repeats|comes)\b",
        r"^`(ebnf|structured_outputs|json_schema|format|response_format)(\.[^`]*)?` (has|is|must|needs|can|asks|repeats|comes)\b",
        r"^`day` must stand alone|^`from` must not be after the last day",
    )
]


@schemathesis.hook
def before_load_schema(ctx, raw_schema):
    """Removes the border of 64-bit integers: JSON parsers round numbers of that size, also across it."""
    pending = [raw_schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if node.get("format") == "int64":
                del node["format"]
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


@schemathesis.check
def refusal_is_documented(ctx, response, case):
    """Every refusal has a code that the document names, and valid data is refused only for reasons above."""
    status = response.status_code
    if status < 400 or status == 405:
        return
    error = response.json()["error"]
    documented = case.operation.definition.raw["responses"].get(str(status), {})
    examples = documented.get("content", {}).get("application/json", {}).get("examples", {})
    codes = {code_of(example["value"]["error"]) for example in examples.values()}
    code = code_of(error)
    assert code in codes, f"{status} {code} is not documented: {error['message']}"
    # Requests that are made up differ with every change of the document: only who asks for this list keeps it.
    is_listed = os.environ.get("SCHEMATHESIS") == "1"
    if not is_listed or case.meta is None or not case.meta.generation.mode.is_positive or status != 400:
        return
    for problem in re.split(r"(?<=\.) (?=`)", error["message"]):
        assert code in DECIDED_BY_THE_MODEL or any(rule.search(problem) for rule in RULES), (
            f"valid data is refused: {problem}"
        )


def code_of(error):
    """Errors in the form of Anthropic's API have a type alone."""
    return error.get("code", error["type"])


# Types of events with which a stream of named events ends.
LAST_EVENTS = {"message_stop", "error", "response.completed", "response.incomplete", "response.failed"}


def check_named_events(text, schemas):
    frames = [frame for frame in text.split("\n\n") if frame and not frame.startswith(":")]
    names = []
    for frame in frames:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}", f"another name: {frame}"
        assert any(schema.is_valid(event) for schema in schemas), f"no event: {frame}"
        names.append(event["type"])
    assert names[-1] in LAST_EVENTS, f"the last event is {names[-1]}"


@schemathesis.check
def events_follow_their_schema(ctx, response, case):
    """Each event of a stream is a chunk; the last one is `[DONE]`, an error, or a chunk that says `stop` as llama-server's do."""
    if response.status_code != 200 or "text/event-stream" not in str(response.headers.get("content-type")):
        return
    raw = case.operation.schema.raw_schema
    content = case.operation.definition.raw["responses"]["200"]["content"]["text/event-stream"]
    validator_of = lambda schema: jsonschema_rs.Draft202012Validator(
        {"components": raw["components"], **schema["contentSchema"]}
    )
    forms = content["schema"]["properties"]["data"]["anyOf"]
    if "event" in content["schema"]["required"]:
        check_named_events(response.content.decode(), [validator_of(schema) for schema in forms])
        return
    done, *schemas = forms
    chunk, failure = (validator_of(schema) for schema in schemas)
    lines = [line for line in response.content.decode().split("\n") if line and not line.startswith(":")]
    assert all(line.startswith("data: ") for line in lines), f"a line of no event: {lines}"
    *events, last = [line.removeprefix("data: ") for line in lines]
    if last != done["const"]:
        end = json.loads(last)
        assert failure.is_valid(end) or (chunk.is_valid(end) and end.get("stop") is True), f"the last event is {last}"
    for event in events:
        assert chunk.is_valid(json.loads(event)), f"no chunk: {event}"
