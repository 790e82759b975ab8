/** Ids of responses and of their items. The id of an item has its response's in it, so that a reference to it is found. */
import { randomUUID } from 'node:crypto';

export function newResponseId(): string {
  return `resp_${randomUUID().replaceAll('-', '')}`;
}

/** @param index - of the item in the output of the response */
export function outputItemId(prefix: string, responseId: string, index: number): string {
  return `${prefix}_${responseId.slice('resp_'.length)}o${index}`;
}

/** @param index - of the item in what the response answers */
export function inputItemId(prefix: string, responseId: string, index: number): string {
  return `${prefix}_${responseId.slice('resp_'.length)}i${index}`;
}

/** The response that an item belongs to; undefined for an id that no server like this one has made. */
export function responseIdOf(itemId: string): string | undefined {
  const response = /^[a-z]+_([0-9a-f]{32})[io]\d+$/.exec(itemId)?.[1];
  return response === undefined ? undefined : `resp_${response}`;
}
