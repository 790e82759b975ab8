/** Responses that are generated without a connection that waits for them. */
import { GatewayError } from '../../core/errors.ts';
import { Gate } from '../generation/choice.ts';
import {
  type CompletionContext,
  type CompletionJob,
  runCompletion,
} from '../generation/completion.ts';
import { pingFrame, pingIntervalMs } from '../generation/sse.ts';
import type { ResponseObject, ResponseStreamEvent } from './response-object.ts';
import { framesOf, type ResponseDraft, ResponseEvents } from './response-reply.ts';
import type { InputItem } from './response-shapes.ts';
import type { ResponseStore } from './response-store.ts';

/** An engine that has failed may never end a response. */
const finishMs = 5000;

/** The abort reason of a response that its client cancels. */
class Cancelled extends Error {}

/** What a run is made of. */
export interface RunOptions {
  readonly keyId: string;
  readonly draft: ResponseDraft;
  readonly input: readonly InputItem[];
  /** Its events are kept, for clients that come back. */
  readonly keepsEvents: boolean;
  readonly job: CompletionJob;
  readonly context: CompletionContext;
}

/** One response on its way. */
export class BackgroundRun {
  readonly keyId: string;
  /** Resolves when it is kept as `queued`, so that a client that knows its id always finds it; rejects if it cannot be. */
  readonly queued: Promise<void>;
  /** Resolves when all is over. */
  readonly ended: Promise<void>;
  readonly #options: RunOptions;
  readonly #store: ResponseStore;
  readonly #events: ResponseStreamEvent[] = [];
  #response: ResponseObject;
  #hasEnded = false;
  /** Opens when there are more events, or no more will come. */
  #change = new Gate();

  constructor(options: RunOptions, store: ResponseStore) {
    const { keyId, draft, input, keepsEvents } = options;
    this.keyId = keyId;
    this.#options = options;
    this.#store = store;
    this.#response = { ...draft.snapshot(), status: 'queued' };
    const events = keepsEvents ? [] : undefined;
    this.queued = store.put(keyId, { response: this.#response, input }, events);
    this.ended = this.queued.then(
      () => this.#run(),
      () => {},
    );
  }

  get response(): ResponseObject {
    return this.#response;
  }

  /** Whether {@link frames} has any. */
  get keepsEvents(): boolean {
    return this.#options.keepsEvents;
  }

  /** @returns the response, cancelled unless it had ended */
  async cancel(): Promise<ResponseObject> {
    this.#options.context.controller.abort(new Cancelled());
    await this.ended;
    return this.#response;
  }

  /** The frames of the events behind number `after`, then those that come, and pings while none does. */
  async *frames(after: number): AsyncGenerator<string, void, undefined> {
    for (let next = after + 1; ; ) {
      const events = this.#events.slice(next);
      next += events.length;
      if (events.length > 0) yield framesOf(events);
      else if (this.#hasEnded) return;
      else if (!(await settlesWithin(this.#change.opened, pingIntervalMs))) yield pingFrame;
    }
  }

  async #run(): Promise<void> {
    const { draft, job, context } = this.#options;
    const events = new ResponseEvents(draft);
    try {
      this.#add(events.queued());
      const totals = await runCompletion(job, context, (_choice, event) => {
        this.#add(events.of(event));
        this.#response = draft.snapshot();
        return undefined;
      });
      await this.#end(draft.ended(totals.usage), events.end(totals));
    } catch (error) {
      if (error instanceof Cancelled) {
        const last = events.cancellation();
        await this.#end(draft.cancelled(), last);
        return;
      }
      const failure =
        error instanceof GatewayError
          ? error
          : new GatewayError('internal_error', { cause: error });
      context.trace.failure ??= failure.code;
      context.log.error({ code: failure.code, err: failure.cause ?? failure }, 'response failed');
      const last = events.failure(failure);
      await this.#end(draft.failed(failure), last);
    }
  }

  /** Keeps the response before anybody learns that it has ended. Never throws. */
  async #end(response: ResponseObject, last: readonly ResponseStreamEvent[]): Promise<void> {
    const { keyId, input, keepsEvents, context } = this.#options;
    const events = keepsEvents ? [...this.#events, ...last] : undefined;
    try {
      await this.#store.put(keyId, { response, input }, events);
      this.#response = response;
      this.#add(last);
    } catch (error) {
      context.log.error({ err: error }, 'response not kept');
      await this.#store.delete(keyId, response.id).catch(() => {});
      this.#response = { ...response, store: false };
      this.#add(last.map((event) => notStored(event)));
    }
    this.#hasEnded = true;
    this.#change.open();
  }

  #add(events: readonly ResponseStreamEvent[]): void {
    if (events.length === 0 || !this.keepsEvents) return;
    this.#events.push(...events);
    this.#change.open();
    this.#change = new Gate();
  }
}

/** The running responses, by id. */
export class BackgroundRuns {
  readonly #runs = new Map<string, BackgroundRun>();
  readonly #store: ResponseStore;

  constructor(store: ResponseStore) {
    this.#store = store;
  }

  start(options: RunOptions): BackgroundRun {
    const run = new BackgroundRun(options, this.#store);
    const { id } = run.response;
    this.#runs.set(id, run);
    void run.ended.then(() => this.#runs.delete(id));
    return run;
  }

  /** Waits until the responses that the drain has ended are kept. */
  async finish(): Promise<void> {
    const ends = [...this.#runs.values()].map(({ ended }) => ended);
    await settlesWithin(Promise.all(ends), finishMs);
  }

  /** Undefined for a response that does not run, or is another key's. */
  get(keyId: string, id: string): BackgroundRun | undefined {
    const run = this.#runs.get(id);
    return run?.keyId === keyId ? run : undefined;
  }
}

function notStored(event: ResponseStreamEvent): ResponseStreamEvent {
  return 'response' in event ? { ...event, response: { ...event.response, store: false } } : event;
}

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const elapsed = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([promise.then(() => true), elapsed]);
  } finally {
    clearTimeout(timer);
  }
}
