/** The items of a request as they are kept: each with an id, and messages in their long form. */
import { type Static, Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import { itemsOf, type KeptContext } from './kept-context.ts';
import { inputItemId } from './response-ids.ts';
import type { InputItem, ResponseRequest } from './response-shapes.ts';

/** @param responseId - of the response that answers them */
export function keptItems(
  { input }: Pick<ResponseRequest, 'input'>,
  { referenced }: KeptContext,
  responseId: string,
): readonly InputItem[] {
  return itemsOf(input, referenced).map((item, index) => {
    const type = item.type ?? 'message';
    const isText = type === 'message' && typeof item.content === 'string';
    const textType = item.role === 'assistant' ? 'output_text' : 'input_text';
    return {
      ...item,
      type,
      id: item.id ?? inputItemId(prefixes[type] ?? 'item', responseId, index),
      ...(isText && { content: [{ type: textType, text: item.content }] }),
    };
  });
}

const prefixes: Readonly<Record<string, string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  function_call_output: 'fco',
  custom_tool_call: 'ctc',
  custom_tool_call_output: 'cto',
};

/** A page of items. */
export const ItemList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(Type.Object({ id: Type.String(), type: Type.String() })),
  first_id: Type.Union([Type.String(), Type.Null()]),
  last_id: Type.Union([Type.String(), Type.Null()]),
  has_more: Type.Boolean(),
});
export type ItemList = Static<typeof ItemList>;

/** The part of a list that a query asks for. */
export interface PageQuery {
  readonly limit?: unknown;
  readonly order?: unknown;
  readonly after?: unknown;
}

const maxPageSize = 100;

/** @throws {GatewayError} `invalid_value` */
export function pageOf(items: readonly InputItem[], query: PageQuery): ItemList {
  const limit = query.limit === undefined ? 20 : Number(query.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > maxPageSize) {
    throw invalid('limit', `must be an integer between 1 and ${maxPageSize}`);
  }
  const { order = 'desc', after } = query;
  if (order !== 'asc' && order !== 'desc') throw invalid('order', 'must be `asc` or `desc`');
  const ordered = order === 'asc' ? items : items.toReversed();
  const begin = after === undefined ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  const data = ordered.slice(begin, begin + limit) as ItemList['data'];
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: begin + limit < ordered.length,
  };
}

function invalid(param: string, problem: string): GatewayError {
  return new GatewayError('invalid_value', { param, message: `\`${param}\` ${problem}.` });
}
