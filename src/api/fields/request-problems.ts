import type { FastifyBaseLogger } from 'fastify';
import { GatewayError } from '../../core/errors.ts';
import { maxProblemCount, RequestRefusal, refusalOf } from '../../core/request-refusal.ts';

/** A request on a route with `attachValidation`: its reader checks `validationError` before it trusts the body. */
export interface BodyRequest<Body> {
  readonly body: Body;
  /** What the schema found wrong with the body. */
  readonly validationError?: Error | undefined;
  readonly log: FastifyBaseLogger;
}

/**
 * Collects what is wrong with a request, from its schema and from the rules beyond it, so that one reply names
 * everything. Readers return fallbacks meanwhile; {@link throwIfAny} comes before the first use of a result.
 */
export class RequestProblems {
  readonly #problems: GatewayError[] = [];
  readonly #messages = new Set<string>();
  /** Top-level fields of the body with a problem. */
  readonly #fields = new Set<string>();

  /**
   * @param validationError - of the request; undefined if the body fits its schema
   * @throws {GatewayError} when the body is not an object, so that it has no fields to read, and when its schema was
   *   not checked to the end
   */
  constructor(validationError?: Error) {
    if (validationError === undefined) return;
    if (!(validationError instanceof GatewayError)) throw validationError;
    if (validationError.param === undefined) throw validationError;
    if (validationError instanceof RequestRefusal && !validationError.isComplete) {
      throw validationError;
    }
    this.add(validationError);
  }

  /**
   * Adds a problem, or all problems of a {@link RequestRefusal}; known ones are left out.
   * @throws {RequestRefusal} at the maximum number of problems
   */
  add(error: GatewayError): void {
    for (const problem of error instanceof RequestRefusal ? error.problems : [error]) {
      if (this.#messages.has(problem.message)) continue;
      if (this.#problems.length === maxProblemCount) this.throwIfAny();
      this.#messages.add(problem.message);
      this.#problems.push(problem);
      const [field] = /^[^.[]+/.exec(problem.param ?? '') ?? [];
      if (field !== undefined) this.#fields.add(field);
    }
  }

  /** True if a problem of the top-level field, or of a part of it, is known. */
  concerns(field: string): boolean {
    return this.#fields.has(field);
  }

  /** The body without the fields that are known to be wrong, so that readers find no value of a wrong type. */
  soundFields<Body extends object>(body: Body): Body {
    const entries = Object.entries(body);
    const sound = entries.filter(([field]) => !this.concerns(field));
    return sound.length === entries.length ? body : (Object.fromEntries(sound) as Body);
  }

  /**
   * Calls a reader of some fields and collects the problem that it throws.
   * @param fields - the top-level fields that the reader needs; where one is known to be wrong, it is not called
   * @param fallback - the result where there is none
   * @throws what the reader throws, unless it is a refusal of the request
   */
  read<Result>(fields: readonly string[], fallback: NoInfer<Result>, reader: () => Result): Result {
    if (fields.some((field) => this.concerns(field))) return fallback;
    return this.attempt(fallback, reader);
  }

  /** Calls a reader whatever else is wrong, such as the reader of one item of an array. Throws like {@link read}. */
  attempt<Result>(fallback: NoInfer<Result>, reader: () => Result): Result {
    try {
      return reader();
    } catch (error) {
      if (!(error instanceof GatewayError) || error.status !== 400) throw error;
      this.add(error);
      return fallback;
    }
  }

  /**
   * Calls a reader without whose result no other can go on.
   * @throws the problems that are known, if the reader throws; else what it throws
   */
  essential<Result>(reader: () => Result): Result {
    try {
      return reader();
    } catch (error) {
      this.throwIfAny();
      throw error;
    }
  }

  /** @throws {RequestRefusal} that names all problems; a single problem is thrown as it is */
  throwIfAny(): void {
    const refusal = refusalOf(this.#problems);
    if (refusal !== undefined) throw refusal;
  }
}
