/**
 * A small vocabulary of the GPT-2 kind: the 256 bytes, merges learned from a list of common English
 * words, and the control tokens of a chat model. Any text can be written with it, byte by byte if need be.
 */

/** What a tokenizer of llama.cpp's `gpt2` kind is made of. */
export interface BytePairVocabulary {
  /** Name of the rules that cut text before merging, as in `tokenizer.ggml.pre`. */
  readonly preTokenizer: string;
  /** Token texts in the byte-to-character alphabet of GPT-2; the index is the token's id. */
  readonly tokens: readonly string[];
  /** Pairs of token texts, joined by a space, in the order they apply. */
  readonly merges: readonly string[];
  /** Special tokens, hidden in text: they take part in templates only. */
  readonly controlTokenIds: ReadonlySet<number>;
  /** Ends a document. */
  readonly eosTokenId: number;
  /** Ends one message of a chat. */
  readonly eotTokenId: number;
}

export const controlTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;

const mergeCount = 400;

const wordList = `the of and to in is you that it he was for on are as with his they at be this have from or
one had by word but not what all were we when your can said there use an each which she do how their if
will up other about out many then them these so some her would make like him into time has look two more
write go see number no way could people my than first water been call who oil its now find long down day
did get come made may part over new sound take only little work know place year live me back give most
very after thing our just name good sentence man think say great where help through much before line
right too mean old any same tell boy follow came want show also around form three small set put end does
another well large must big even such because turn here why ask went men read need land different home
us move try kind hand picture again change off play spell air away animal house point page letter mother
answer found study still learn should america world system user assistant message hello please once upon
dragon castle river forest mountain ocean garden window bridge winter summer morning evening question
quick brown fox jumps lazy dog model token engine server stream request context number count`;

/** The vocabulary of the models tests write: always the same, 256 bytes + merges + control tokens. */
export function tinyVocabulary(): BytePairVocabulary {
  const alphabet = byteAlphabet();
  const merges = learnMerges(mergeCount);
  const texts = [...alphabet, ...merges.map(([left, right]) => left + right)];
  const [eosTokenId, startTokenId, eotTokenId] = [texts.length, texts.length + 1, texts.length + 2];
  return {
    preTokenizer: 'gpt-2',
    tokens: [...texts, ...controlTokens],
    merges: merges.map((pair) => pair.join(' ')),
    controlTokenIds: new Set([eosTokenId, startTokenId, eotTokenId]),
    eosTokenId,
    eotTokenId,
  };
}

/** GPT-2's characters for the bytes 0 to 255: printable ones stand for themselves, the rest from U+0100. */
export function byteAlphabet(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  let nextCode = 0x100;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : nextCode++),
  );
}

/** Byte-pair learning on the word list, each word with and without a space before it. */
function learnMerges(count: number): [string, string][] {
  const space = byteAlphabet()[0x20] ?? '';
  const words = wordList.split(/\s+/).flatMap((word) => [[...word], [space, ...word]]);
  const merges: [string, string][] = [];
  while (merges.length < count) {
    const pair = mostFrequentPair(words);
    if (pair === undefined) throw new Error(`the word list gives only ${merges.length} merges`);
    merges.push(pair);
    for (const word of words) mergeIn(word, pair);
  }
  return merges;
}

function mostFrequentPair(words: readonly string[][]): [string, string] | undefined {
  const counts = new Map<string, number>();
  let best: string | undefined;
  for (const word of words) {
    for (let i = 1; i < word.length; i++) {
      const pair = `${word[i - 1]} ${word[i]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
  }
  for (const [pair, count] of counts) {
    if (best === undefined || count > (counts.get(best) ?? 0)) best = pair;
  }
  const [left, right] = best?.split(' ') ?? [];
  return left === undefined || right === undefined ? undefined : [left, right];
}

function mergeIn(word: string[], [left, right]: readonly [string, string]): void {
  for (let i = 1; i < word.length; i++) {
    if (word[i - 1] === left && word[i] === right) word.splice(i - 1, 2, left + right);
  }
}
