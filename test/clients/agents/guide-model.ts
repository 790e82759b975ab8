/** Requests that leave the model one thing to say, by the means that each API has for it. */
import type { Change, RequestBody } from './agent-proxy.ts';

/** The model answers with this text, in quotes. */
export function answersWith(text: string): Change {
  const schema = { type: 'string', enum: [text] };
  return (body) => {
    switch (apiOf(body)) {
      case 'responses':
        body.tool_choice = 'none';
        body.text = { format: { type: 'json_schema', name: 'answer', schema } };
        return;
      case 'messages':
        if (body.tools !== undefined) body.tool_choice = { type: 'none' };
        body.output_config = { format: { type: 'json_schema', schema } };
        return;
      case 'chat':
        if (body.tools !== undefined) body.tool_choice = 'none';
        body.response_format = { type: 'json_schema', json_schema: { name: 'answer', schema } };
    }
  };
}

/** The model calls the tool with these arguments. */
export function calls(tool: string, callArguments: Readonly<Record<string, unknown>>): Change {
  const schema = {
    type: 'object',
    properties: Object.fromEntries(
      Object.entries(callArguments).map(([name, value]) => [name, { enum: [value] }]),
    ),
    required: Object.keys(callArguments),
    additionalProperties: false,
  };
  return (body) => {
    if ('parallel_tool_calls' in body) body.parallel_tool_calls = false;
    switch (apiOf(body)) {
      case 'responses':
        toolNamed(body, tool).parameters = schema;
        body.tool_choice = { type: 'function', name: tool };
        return;
      case 'messages':
        toolNamed(body, tool).input_schema = schema;
        body.tool_choice = { type: 'tool', name: tool };
        return;
      case 'chat':
        toolNamed(body, tool).parameters = schema;
        body.tool_choice = { type: 'function', function: { name: tool } };
    }
  };
}

function apiOf(body: RequestBody): 'responses' | 'messages' | 'chat' {
  if ('input' in body) return 'responses';
  return 'system' in body ? 'messages' : 'chat';
}

/** The definition of a tool, which chats have in an object of its own. */
function toolNamed({ tools }: RequestBody, name: string): RequestBody {
  const definitions = (tools as RequestBody[]).map(
    (tool) => (tool.function ?? tool) as RequestBody,
  );
  const found = definitions.find((each) => each.name === name);
  if (found !== undefined) return found;
  throw new Error(`no tool ${name} among ${definitions.map((each) => each.name).join(', ')}`);
}
