import { GatewayError } from '../../core/errors.ts';
import type { CompletionEvent, Emit } from './choice.ts';
import {
  type CompletionContext,
  type CompletionJob,
  type CompletionTotals,
  runCompletion,
} from './completion.ts';
import { ClientGone } from './disconnect.ts';
import { FrameStream, pingIntervalMs } from './sse.ts';

/** Builds the frames of a streamed reply, in the form of its API. */
export interface ReplyFramer {
  /** Sent where a reader hears nothing for a while. */
  readonly ping: string;
  /** The frames before the first event; may be empty. */
  opening(): string;
  of(choice: number, event: CompletionEvent): string;
  /** The frames after the last event. */
  end(totals: CompletionTotals): string;
  /** The last frame of a stream that fails. */
  failure(error: GatewayError): string;
}

/**
 * Runs a job into a stream. A job that fails before its first event, and before the first ping is due, answers with a
 * plain error and its status; any later failure becomes a frame.
 * @returns the stream, once it has begun; the job goes on behind it
 * @throws failures before that; later failures become the last frame
 */
export async function startStream(
  job: CompletionJob,
  context: CompletionContext,
  framer: ReplyFramer,
): Promise<FrameStream> {
  const { controller, trace } = context;
  const stream = new FrameStream(controller, framer.ping);
  const counted = (frames: string) => {
    trace.sentBytes += Buffer.byteLength(frames);
    return frames;
  };
  let hasBegun = false;
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = () => {
      hasBegun = true;
      resolve();
    };
  });
  let opening = framer.opening();
  const emit: Emit = (choice, event) => {
    begin();
    const frames = opening + framer.of(choice, event);
    opening = '';
    return stream.send(counted(frames));
  };
  const pingTimer = setTimeout(() => {
    begin();
    void stream.send(framer.ping);
  }, pingIntervalMs);
  const ended = runCompletion(job, context, emit)
    .then((totals) => counted(framer.end(totals)))
    .catch((error: unknown) => {
      if (!hasBegun) throw error;
      const failure = streamFailure(error, context);
      return failure === undefined ? '' : framer.failure(failure);
    });
  ended.then(
    (frames) => stream.end(frames),
    () => stream.destroy(),
  );
  try {
    await Promise.race([begun, ended]);
    return stream;
  } finally {
    clearTimeout(pingTimer);
  }
}

/** What ends a stream that fails; undefined when no client is left. */
function streamFailure(
  error: unknown,
  { trace, log }: CompletionContext,
): GatewayError | undefined {
  if (error instanceof ClientGone) {
    log.debug('client left');
    return undefined;
  }
  const failure =
    error instanceof GatewayError ? error : new GatewayError('internal_error', { cause: error });
  trace.failure ??= failure.code;
  log.error({ code: failure.code, err: failure.cause ?? failure }, 'stream failed');
  return failure;
}
