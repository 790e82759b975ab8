/**
 * The JavaScript side of a native thread: its start, its failure and its end, the requests in flight, and what keeps
 * the process alive. The generator and the embedder each run one.
 */
import { GatewayError } from '../core/errors.ts';
import type { NativeEvents, NativeLifecycle, NativeThreadHandle } from './addon.ts';

/** A request that the thread has not ended yet. */
export interface PendingRequest {
  /** Ends the request when the thread stops without ending it. */
  fail(error: unknown): void;
}

/** How a native thread is started, and where its events go. */
export interface NativeThreadOptions<Handle, Started, Event> {
  /** For error messages. */
  readonly name: 'engine' | 'embedder';
  /** Starts the native thread. It must not retain the function for anything but the events. */
  readonly create: (onEvents: (events: NativeEvents<Started, Event>) => void) => Handle;
  /** Receives every event of a request. */
  readonly onEvent: (id: number, event: Event) => void;
  /** Receives all events of one crossing before {@link onEvent} receives the first of them. */
  readonly onCrossing?: (events: NativeEvents<Started, Event>) => void;
  /** Called once if the thread fails after it has started. */
  readonly onFailure?: ((reason: string) => void) | undefined;
  /** Called when the thread computes on another number of threads. */
  readonly onThreadsChanged?: ((now: number, before: number) => void) | undefined;
  /** Called once the thread has stopped, before its memory is freed. */
  readonly onStopped?: () => void;
}

/** One native thread and the requests in flight on it. */
export class NativeThread<
  Handle extends NativeThreadHandle,
  Started extends { readonly type: 'started' },
  Event,
  Request extends PendingRequest,
> {
  /** Threads that will emit more events. The set keeps them, and their owners, from being collected. */
  static readonly #busy = new Set<object>();

  readonly native: Handle;
  /** Resolves once the thread has its context; rejects if it cannot create one. */
  readonly started: Promise<Started>;
  readonly #options: NativeThreadOptions<Handle, Started, Event>;
  readonly #requests = new Map<
    number,
    { readonly request: Request; readonly detach: () => void }
  >();
  /** Native calls on worker threads. */
  readonly #workerCalls = new Set<Promise<unknown>>();
  readonly #stopped: Promise<void>;
  #settleStarted:
    | { resolve: (started: Started) => void; reject: (error: Error) => void }
    | undefined;
  #settleStopped: (() => void) | undefined;
  #lastId = 0;
  #isRunning = false;
  #failure: string | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: NativeThreadOptions<Handle, Started, Event>) {
    this.#options = options;
    this.started = new Promise((resolve, reject) => {
      this.#settleStarted = { resolve, reject };
    });
    this.#stopped = new Promise((resolve) => {
      this.#settleStopped = resolve;
    });
    this.native = options.create(NativeThread.#receiverOf(this));
    this.#keepAlive(true);
  }

  /** Resolves once the thread runs. Closes it if it cannot start, and throws the reason. */
  async start(): Promise<Started> {
    try {
      return await this.started;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** True once the thread has failed; it then rejects every request. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Requests in flight. */
  get pendingCount(): number {
    return this.#requests.size;
  }

  /** @throws {GatewayError} `engine_failed` or `shutting_down` */
  requireRunning(): void {
    if (this.#failure !== undefined) {
      throw new GatewayError('engine_failed', { cause: new Error(this.#failure) });
    }
    if (this.#closing !== undefined) throw new GatewayError('shutting_down');
  }

  /**
   * Submits a request.
   * @param send - submits it to the native thread under an id; may throw
   * @param signal - cancels the request when it aborts
   * @returns the id
   */
  submit(request: Request, send: (id: number) => void, signal?: AbortSignal): number {
    this.requireRunning();
    this.#lastId += 1;
    const id = this.#lastId;
    // No event arrives before this turn of the event loop ends.
    send(id);
    const cancel = () => this.native.cancel(id);
    signal?.addEventListener('abort', cancel, { once: true });
    const detach = () => signal?.removeEventListener('abort', cancel);
    this.#requests.set(id, { request, detach });
    this.#keepAlive(true);
    return id;
  }

  /** The request in flight with this id. */
  request(id: number): Request | undefined {
    return this.#requests.get(id)?.request;
  }

  /** Removes a request that ended. */
  end(id: number): Request | undefined {
    const entry = this.#requests.get(id);
    entry?.detach();
    this.#requests.delete(id);
    if (this.#requests.size === 0 && this.#closing === undefined) this.#keepAlive(false);
    return entry?.request;
  }

  /** Runs a native call that works on a worker thread; {@link close} waits for it. */
  async onWorker<T>(call: () => Promise<T>): Promise<T> {
    this.requireRunning();
    const running = call();
    this.#workerCalls.add(running);
    try {
      return await running;
    } finally {
      this.#workerCalls.delete(running);
    }
  }

  /** Ends all requests, joins the thread and frees its context. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#keepAlive(true);
    this.native.requestClose();
    await this.#stopped;
    await Promise.allSettled(this.#workerCalls);
    this.#options.onStopped?.();
    this.native.release();
  }

  /** While it is busy, the thread keeps the process running, and itself from being collected. */
  #keepAlive(isBusy: boolean): void {
    this.native.keepAlive(isBusy);
    if (isBusy) NativeThread.#busy.add(this);
    else NativeThread.#busy.delete(this);
  }

  /**
   * The callback that the native side retains. It holds the thread weakly, or a forgotten one would never be
   * collected; a static function, so that it closes over nothing else.
   */
  static #receiverOf<
    Handle extends NativeThreadHandle,
    Started extends { readonly type: 'started' },
    Event,
    Request extends PendingRequest,
  >(
    thread: NativeThread<Handle, Started, Event, Request>,
  ): (events: NativeEvents<Started, Event>) => void {
    const reference = new WeakRef(thread);
    return (events) => {
      const receiver = reference.deref();
      if (receiver !== undefined) receiver.#receive(events);
    };
  }

  #receive(events: NativeEvents<Started, Event>): void {
    this.#options.onCrossing?.(events);
    for (let index = 0; index < events.length; index += 2) {
      const id = events[index] as number;
      if (id === 0) this.#receiveLifecycle(events[index + 1] as NativeLifecycle<Started>);
      else this.#options.onEvent(id, events[index + 1] as Event);
    }
  }

  #receiveLifecycle(event: NativeLifecycle<Started>): void {
    switch (event.type) {
      case 'started':
        this.#isRunning = true;
        this.#settleStarted?.resolve(event);
        this.#keepAlive(this.#requests.size > 0);
        return;
      case 'failed':
        this.#failure = event.message;
        if (this.#isRunning) this.#options.onFailure?.(event.message);
        else this.#settleStarted?.reject(new Error(event.message));
        return;
      case 'threads-changed':
        this.#options.onThreadsChanged?.(event.threadCount, event.previousThreadCount);
        return;
      case 'stopped':
        for (const id of [...this.#requests.keys()]) {
          const cause = new Error(`the ${this.#options.name} has stopped`);
          this.end(id)?.fail(new GatewayError('engine_failed', { cause }));
        }
        this.#settleStopped?.();
        this.#keepAlive(false);
        return;
      default:
        event satisfies never;
    }
  }
}
