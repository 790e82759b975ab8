import { GatewayError } from '../core/errors.ts';
import type { Engine } from '../engine/engine.ts';

/** What is known of a served model apart from how to run it. */
export interface ModelCard {
  /** The id clients see and may ask for. */
  readonly id: string;
  /** Unix seconds of the moment the model became ready. */
  readonly created: number;
  /** Path of the GGUF file. */
  readonly path: string;
  /** `general.architecture` of the file. */
  readonly architecture: string;
  /** Context the model was trained for, in tokens; undefined when the file does not say. */
  readonly trainedContextLength: number | undefined;
  readonly parameterCount: number;
  /** How most weights are stored, such as `Q4_K_M`; undefined when the file does not say. */
  readonly quantization: string | undefined;
  readonly sizeBytes: number;
  /** Whether it is the demonstration model that comes with the program. */
  readonly bundled: boolean;
  /** Jinja text that chats are rendered with; undefined is llama.cpp's own, ChatML. */
  readonly chatTemplate: string | undefined;
  /** Text of the token that begins a prompt; undefined when the model has none. */
  readonly bosToken: string | undefined;
  /** Text of the token that ends a completion; undefined when the model has none. */
  readonly eosToken: string | undefined;
}

/** A model that answers requests. */
export interface ServedModel {
  readonly card: ModelCard;
  readonly engine: Engine;
}

type RegistryState =
  | { readonly phase: 'loading'; readonly progressRatio: number }
  | { readonly phase: 'ready'; readonly model: ServedModel }
  | { readonly phase: 'failed' };

/** Which model is served, from the first listener to the last request. Pushed by the loader. */
export class ModelRegistry {
  readonly #startedAt = performance.now();
  #state: RegistryState = { phase: 'loading', progressRatio: 0 };
  #loadMs: number | undefined;

  get phase(): RegistryState['phase'] {
    return this.#state.phase;
  }

  /** Share of the file that is loaded, 0 to 1. */
  get progressRatio(): number {
    return this.#state.phase === 'loading' ? this.#state.progressRatio : 1;
  }

  /** The model when there is one, for those who can do without. */
  get current(): ServedModel | undefined {
    return this.#state.phase === 'ready' ? this.#state.model : undefined;
  }

  /** Time from the start to a model that answers; undefined until then. */
  get loadMs(): number | undefined {
    return this.#loadMs;
  }

  setProgress(progressRatio: number): void {
    if (this.#state.phase === 'loading') this.#state = { phase: 'loading', progressRatio };
  }

  setReady(model: ServedModel): void {
    this.#loadMs = performance.now() - this.#startedAt;
    this.#state = { phase: 'ready', model };
  }

  setFailed(): void {
    this.#state = { phase: 'failed' };
  }

  /**
   * The model to answer with.
   * @throws {GatewayError} `model_loading` or `model_failed`
   */
  require(): ServedModel {
    switch (this.#state.phase) {
      case 'ready':
        return this.#state.model;
      case 'loading':
        throw new GatewayError('model_loading');
      case 'failed':
        throw new GatewayError('model_failed');
      default:
        return this.#state satisfies never;
    }
  }
}
