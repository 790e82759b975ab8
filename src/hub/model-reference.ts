/** The ways in which a user names a model. */
import { StartError } from '../core/start-error.ts';

/** A model on the Hugging Face hub. */
export interface HubReference {
  readonly kind: 'hub';
  /** `owner/name`. */
  readonly repository: string;
  /** A branch, a tag or a commit; undefined: the main branch. */
  readonly revision?: string;
  /** What follows the colon: a quantization such as `Q4_K_M`, or a file of the repository. Undefined: the best fit. */
  readonly choice?: string;
}

export type ModelReference =
  | HubReference
  | { readonly kind: 'url'; readonly url: URL }
  | { readonly kind: 'file'; readonly path: string }
  /** A file, or a model of another program, to be looked for. */
  | { readonly kind: 'name'; readonly name: string };

const hubPrefix = /^(?:hf|huggingface):(?:\/\/)?/i;
const hubForm = 'hf:OWNER/REPOSITORY, hf:OWNER/REPOSITORY:Q4_K_M or hf:OWNER/REPOSITORY:FILE.gguf';
const hubReference =
  /^(?<repository>[\w.-]+\/[\w.-]+)(?:@(?<revision>[^:\s]+))?(?::(?<choice>[^\s]+))?$/;
/** A file of a repository as its page and its download link name it. */
const hubFilePath =
  /^\/(?<repository>[\w.-]+\/[\w.-]+)\/(?:resolve|blob)\/(?<revision>[^/]+)\/(?<choice>.+\.gguf)$/i;

/**
 * `hf:OWNER/REPO[@REVISION][:QUANTIZATION or FILE]`, a URL, a path (with a slash, or ending in `.gguf`), or a name.
 * @param hubUrl - whose links to files are references to the hub
 * @throws {StartError} exit code 2 for a text of the first two forms that cannot be read
 */
export function readModelReference(text: string, hubUrl: URL): ModelReference {
  if (hubPrefix.test(text)) return readHubReference(text.replace(hubPrefix, ''), text);
  if (/^https?:\/\//i.test(text)) return readUrl(text, hubUrl);
  if (text.includes('/') || text.startsWith('~') || text.toLowerCase().endsWith('.gguf')) {
    return { kind: 'file', path: text };
  }
  return { kind: 'name', name: text };
}

/** @param given - what the user wrote */
export function readHubReference(text: string, given: string = text): HubReference {
  const groups = hubReference.exec(text)?.groups;
  const { repository, revision, choice } = groups ?? {};
  if (repository === undefined || repository.includes('..')) {
    throw new StartError(2, `${JSON.stringify(given)} is no model on the hub: write ${hubForm}`);
  }
  return {
    kind: 'hub',
    repository,
    ...(revision !== undefined && { revision }),
    ...(choice !== undefined && { choice }),
  };
}

function readUrl(text: string, hubUrl: URL): ModelReference {
  const url = URL.parse(text);
  if (url === null) throw new StartError(2, `${JSON.stringify(text)} is not a valid URL`);
  const groups = url.host === hubUrl.host ? hubFilePath.exec(url.pathname)?.groups : undefined;
  const { repository, revision, choice } = groups ?? {};
  if (repository === undefined || revision === undefined || choice === undefined) {
    return { kind: 'url', url };
  }
  return {
    ...{ kind: 'hub', repository, choice: decodeURIComponent(choice) },
    ...(revision !== 'main' && { revision: decodeURIComponent(revision) }),
  };
}
