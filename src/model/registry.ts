import { GatewayError } from '../core/errors.ts';
import type { Engine } from '../engine/engine.ts';

/** The description of a served model. */
export interface ModelCard {
  /** The id that clients see and may request. */
  readonly id: string;
  /** Unix seconds of the moment the model became ready. */
  readonly created: number;
  /** Path of the GGUF file. */
  readonly path: string;
  /** `general.architecture` of the file. */
  readonly architecture: string;
  /** The trained context length in tokens; undefined if the file does not name it. */
  readonly trainedContextLength: number | undefined;
  readonly parameterCount: number;
  /** The type of most weights, such as `Q4_K_M`; undefined if the file does not name it. */
  readonly quantization: string | undefined;
  readonly sizeBytes: number;
  /** True for the demonstration model of this package. */
  readonly bundled: boolean;
  /** Jinja text of the chat template; undefined: llama.cpp's default, ChatML. */
  readonly chatTemplate: string | undefined;
  /** Text of the token that begins a prompt; undefined if the model has none. */
  readonly bosToken: string | undefined;
  /** Text of the token that ends a completion; undefined if the model has none. */
  readonly eosToken: string | undefined;
}

/** A loaded model and its engine. */
export interface ServedModel {
  readonly card: ModelCard;
  readonly engine: Engine;
}

type RegistryState =
  | { readonly phase: 'downloading'; readonly progressRatio: number }
  | { readonly phase: 'loading'; readonly progressRatio: number }
  | { readonly phase: 'ready'; readonly model: ServedModel }
  | { readonly phase: 'failed' };

/** The served model, from the first listener to the last request. The loader updates it. */
export class ModelRegistry {
  readonly #startedAt = performance.now();
  #state: RegistryState = { phase: 'loading', progressRatio: 0 };
  #loadMs: number | undefined;

  get phase(): RegistryState['phase'] {
    return this.#state.phase;
  }

  /** Downloaded or loaded share of the file, 0 to 1. */
  get progressRatio(): number {
    return 'progressRatio' in this.#state ? this.#state.progressRatio : 1;
  }

  /** The model; undefined until it is ready. */
  get current(): ServedModel | undefined {
    return this.#state.phase === 'ready' ? this.#state.model : undefined;
  }

  /** Time from the start to a ready model; undefined until then. */
  get loadMs(): number | undefined {
    return this.#loadMs;
  }

  /** The model comes from elsewhere, before it is loaded. */
  setDownloading(progressRatio: number): void {
    if (this.#isComing) this.#state = { phase: 'downloading', progressRatio };
  }

  setProgress(progressRatio: number): void {
    if (this.#isComing) this.#state = { phase: 'loading', progressRatio };
  }

  setReady(model: ServedModel): void {
    this.#loadMs = performance.now() - this.#startedAt;
    this.#state = { phase: 'ready', model };
  }

  setFailed(): void {
    this.#state = { phase: 'failed' };
  }

  /**
   * The model.
   * @throws {GatewayError} `model_loading` or `model_failed`
   */
  require(): ServedModel {
    switch (this.#state.phase) {
      case 'ready':
        return this.#state.model;
      case 'downloading': {
        const percent = Math.floor(this.#state.progressRatio * 100);
        const message = `The model is still being downloaded (${percent} %).`;
        throw new GatewayError('model_loading', { message });
      }
      case 'loading':
        throw new GatewayError('model_loading');
      case 'failed':
        throw new GatewayError('model_failed');
      default:
        return this.#state satisfies never;
    }
  }

  get #isComing(): boolean {
    return this.#state.phase === 'downloading' || this.#state.phase === 'loading';
  }
}
