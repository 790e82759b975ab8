/** A model that is found, here or elsewhere. */
export interface LocatedModel {
  /** Without folder, part number and `.gguf`: the id of the model, unless it has an alias. */
  readonly name: string;
  /** Of the first file; undefined until {@link fetch} has brought it. */
  readonly path: string | undefined;
  /** 0 where it is not known. */
  readonly sizeBytes: number;
  /** What the user gave, without secrets. */
  readonly origin: string;
  /** Brings what is missing. @returns the path of the first file */
  readonly fetch: (watch: DownloadWatch) => Promise<string>;
}

/** Sees a download pass by. */
export interface DownloadWatch {
  /** @param totalBytes - 0 while it is not known */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  /** A sentence about what holds it up. */
  readonly onNote: (message: string) => void;
  readonly signal: AbortSignal;
}

/** A model whose file is here. */
export function modelHere(
  path: string,
  known: Pick<LocatedModel, 'name' | 'origin'> & Partial<LocatedModel>,
): LocatedModel {
  return { sizeBytes: 0, fetch: async () => path, ...known, path };
}
