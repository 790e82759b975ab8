/** The configuration of a server, frozen. Most of it is derived from the table of settings. */
import { join } from 'node:path';
import type { LedgerPlace } from '../access/usage/ledger.ts';
import type { LogSettings } from '../log/log-settings.ts';
import { responsesFolderName, usageFolderName } from './data-directory.ts';
import { instanceName, serverLogName } from './instance-names.ts';
import { type ModelPlaces, modelPlaces } from './model-places.ts';
import { type PlacedValues, placeValues } from './placed-values.ts';
import type { Environment } from './sources.ts';
import type { SettingValues } from './table.ts';

/**
 * Every setting at the place that its row names, and what follows from settings together. Undefined means: not set, the
 * model and the machine decide.
 */
export interface Config {
  readonly server: Omit<PlacedValues['server'], 'tls'> & {
    /** The address that both ports bind. */
    readonly host: string;
    /** Undefined: the API port speaks HTTP. */
    readonly tls: TlsFiles | undefined;
  };
  readonly model: ModelConfig;
  readonly engine: EngineConfig;
  readonly auth: AuthConfig;
  /** Start nothing and stay for a while. */
  readonly debugShell: PlacedValues['debugShell'];
  readonly supervision: PlacedValues['supervision'];
  /** Undefined: no traces. */
  readonly tracesEndpoint: PlacedValues['tracesEndpoint'];
  /** Where it is recorded what keys use; undefined: nowhere. */
  readonly ledger: LedgerPlace | undefined;
  /** Where responses are kept for later requests; undefined: nowhere. */
  readonly responses: ResponsesPlace | undefined;
  readonly log: Omit<PlacedValues['log'], 'files'> & Pick<LogSettings, 'files'>;
}

/** Where responses are kept, and how many. */
export interface ResponsesPlace {
  readonly folder: string;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

/** What a client may send, and for how long. Sizes are in bytes, line ends included. */
export type HttpLimits = PlacedValues['server']['limits'];

/** Where a certificate and its private key are. */
export interface TlsFiles {
  /** PEM, the certificate of the server first, then the certificates that signed it. */
  readonly certPath: string;
  /** PEM, without a password. */
  readonly keyPath: string;
}

/** Who may use the server. */
export type AuthConfig = PlacedValues['auth'] & { readonly keysFile: string };

/** Which model, and where its weights go. Without a reference, a path and a name it is the bundled model. */
export type ModelConfig = PlacedValues['model'] & {
  readonly modelsDir: string;
  /** Where a model that `reference` names comes from, and is kept. */
  readonly places: ModelPlaces;
  /**
   * Folder in which NVIDIA's driver keeps compiled kernels: what the environment says, or in the data folder. Undefined
   * without one: then it is the user's home, which a container loses or lacks.
   */
  readonly kernelCache: string | undefined;
};

/** How the engine runs. */
export type EngineConfig = Omit<PlacedValues['engine'], 'speculative'> & {
  /** Undefined: every token is computed in a step of its own. */
  readonly speculative: SpeculativeConfig | undefined;
  /** Jinja text; undefined: the model's own. */
  readonly chatTemplate: string | undefined;
};

/** How tokens are drafted. */
export type SpeculativeConfig = PlacedValues['engine']['speculative'] & {
  readonly kind: 'ngram' | 'draft';
};

/** llama.cpp's name of a KV cache type. */
export type CacheType = SettingValues['CACHE_TYPE_K'];

/** What the configuration needs beside the values of settings. */
export interface ConfigContext {
  readonly env: Environment;
  readonly dataDir: string;
  /** Whether the data folder exists. */
  readonly hasData: boolean;
  readonly inContainer: boolean;
  readonly keysFile: string;
  /** The address to listen on where no setting names one. */
  readonly host: string;
  /** Jinja text of CHAT_TEMPLATE or CHAT_TEMPLATE_FILE. */
  readonly chatTemplate: string | undefined;
}

/** The configuration of checked values. */
export function configOf(values: SettingValues, context: ConfigContext): Config {
  const { env, dataDir, hasData, inContainer, keysFile, host, chatTemplate } = context;
  const { server, model, engine, auth, log, ...rest } = placeValues(values);
  const inData = (name: string) => (hasData ? join(dataDir, name) : undefined);
  const ledgerFolder = values.USAGE_LEDGER ? inData(usageFolderName) : undefined;
  const responsesFolder = values.RESPONSES_STORE ? inData(responsesFolderName) : undefined;
  const logFolder = values.LOG_DIR ?? inData('logs');
  const instance = instanceName(values, env);
  const places = modelPlaces(values, { env, dataDir, inContainer });
  return deepFreeze({
    ...rest,
    server: { ...server, host: values.HOST ?? host, tls: tlsFiles(server.tls) },
    model: {
      ...model,
      ...{ modelsDir: places.modelsDir, places },
      kernelCache: env.CUDA_CACHE_PATH ?? inData('cuda-cache'),
    },
    engine: { ...engine, chatTemplate, speculative: speculative(engine.speculative) },
    auth: { ...auth, keysFile },
    responses:
      responsesFolder === undefined
        ? undefined
        : {
            folder: responsesFolder,
            maxBytes: values.RESPONSES_STORE_SIZE * 2 ** 20,
            maxAgeMs: values.RESPONSES_STORE_DAYS * 86_400_000,
          },
    ledger: ledgerFolder === undefined ? undefined : { folder: ledgerFolder, instance },
    log: {
      ...log,
      files:
        logFolder === undefined
          ? undefined
          : { ...log.files, folder: logFolder, name: serverLogName(values), instance },
    },
  });
}

function tlsFiles({ certPath, keyPath }: PlacedValues['server']['tls']): TlsFiles | undefined {
  return certPath === undefined || keyPath === undefined ? undefined : { certPath, keyPath };
}

function speculative({
  kind,
  ...rest
}: PlacedValues['engine']['speculative']): SpeculativeConfig | undefined {
  return kind === undefined ? undefined : { kind, ...rest };
}

function deepFreeze<T extends object>(value: T): T {
  for (const entry of Object.values(value)) {
    if (typeof entry === 'object' && entry !== null) deepFreeze(entry);
  }
  return Object.freeze(value);
}
