import type { ReplyDelta } from '../../engine/generator.ts';
import type { BlockEvent, ReplyBlock } from './message-shapes.ts';
import { signatureOf } from './thinking-signature.ts';

/** Makes the pieces of a reply into the events of its blocks: a block ends where another kind of piece begins. */
export class MessageBlocks {
  readonly #omitsThinking: boolean;
  #nextIndex = 0;
  #open: { readonly index: number; readonly kind: string; thinking: string } | undefined;

  /** @param omitsThinking - thinking blocks have no text: their signature holds it */
  constructor(omitsThinking: boolean) {
    this.#omitsThinking = omitsThinking;
  }

  of(delta: ReplyDelta): BlockEvent[] {
    switch (delta.type) {
      case 'text-delta':
        return [
          ...this.#ensure('text', () => ({ type: 'text', text: '', citations: null })),
          this.#change({ type: 'text_delta', text: delta.text }),
        ];
      case 'reasoning-delta':
        return this.#think(delta.text);
      case 'tool-call': {
        const { name } = delta;
        const block: ReplyBlock = {
          type: 'tool_use',
          id: delta.id.replace(/^(call_)?/, 'toolu_'),
          name,
          input: {},
          caller: { type: 'direct' },
        };
        return [...this.close(), this.#start(`call ${delta.index}`, block)];
      }
      case 'tool-call-delta':
        return [this.#change({ type: 'input_json_delta', partial_json: delta.arguments })];
      default:
        return delta satisfies never;
    }
  }

  /** Ends the block that is open. */
  close(): BlockEvent[] {
    const open = this.#open;
    if (open === undefined) return [];
    const signature = signatureOf(open.thinking, this.#omitsThinking);
    const signed =
      open.kind === 'thinking' ? [this.#change({ type: 'signature_delta', signature })] : [];
    this.#open = undefined;
    return [...signed, { type: 'content_block_stop', index: open.index }];
  }

  #think(text: string): BlockEvent[] {
    const started = this.#ensure('thinking', () => ({
      ...{ type: 'thinking', thinking: '', signature: '' },
    }));
    if (this.#open !== undefined) this.#open.thinking += text;
    if (this.#omitsThinking) return started;
    return [...started, this.#change({ type: 'thinking_delta', thinking: text })];
  }

  #ensure(kind: string, block: () => ReplyBlock): BlockEvent[] {
    if (this.#open?.kind === kind) return [];
    return [...this.close(), this.#start(kind, block())];
  }

  #start(kind: string, block: ReplyBlock): BlockEvent {
    const index = this.#nextIndex;
    this.#nextIndex += 1;
    this.#open = { index, kind, thinking: '' };
    return { type: 'content_block_start', index, content_block: block };
  }

  #change(delta: Extract<BlockEvent, { type: 'content_block_delta' }>['delta']): BlockEvent {
    return { type: 'content_block_delta', index: this.#open?.index ?? 0, delta };
  }
}
