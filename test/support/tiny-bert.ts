/**
 * Embedding models of BERT's shape with random weights, and its kind of vocabulary. What they are of: a
 * token sees those after it, positions have vectors, nothing can be generated.
 */
import {
  float32,
  type GgufSpec,
  int32,
  type MetadataValue,
  type Tensor,
  uint32,
} from './gguf-writer.ts';
import { randomRows } from './tiny-model.ts';

export interface BertShape {
  readonly layerCount: number;
  readonly width: number;
  readonly headCount: number;
  readonly feedForwardWidth: number;
  /** Positions there are. */
  readonly contextLength: number;
  /** llama.cpp's number: 1 mean, 2 the first token, 3 the last, 4 a head; undefined says nothing. */
  readonly poolingType: number | undefined;
  /** Whether there is a classification head. */
  readonly head: boolean;
  /** Whether the vocabulary names the token between texts. */
  readonly separator: boolean;
  /** What the file says beyond the usual. */
  readonly metadata: readonly (readonly [string, MetadataValue])[];
  readonly seed: number;
}

const tinyBert: BertShape = {
  layerCount: 2,
  width: 64,
  headCount: 4,
  feedForwardWidth: 128,
  contextLength: 128,
  poolingType: 1,
  head: false,
  separator: true,
  metadata: [],
  seed: 1,
};

const controlTokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
/** What llama.cpp puts before the first piece of a word. */
const wordStart = '\u2581';
const letters = [...'abcdefghijklmnopqrstuvwxyz'];
const words = [
  'the',
  'river',
  'castle',
  'quick',
  'brown',
  'fox',
  'garden',
  'once',
  'more',
  'query',
];

/** Lower-case words; those that are not listed are spelt letter by letter. */
const vocabulary = [
  ...controlTokens,
  ...letters.map((letter) => wordStart + letter),
  ...letters,
  ...words.map((word) => wordStart + word),
];

/** Metadata and tensors; what is not given is tiny. */
export function tinyBertSpec(overrides: Partial<BertShape> = {}): GgufSpec {
  const shape = { ...tinyBert, ...overrides };
  return { metadata: metadataOf(shape), tensors: tensorsOf(shape) };
}

function metadataOf(shape: BertShape): (readonly [string, MetadataValue])[] {
  const { poolingType, separator } = shape;
  return [
    ['general.architecture', 'bert'],
    ['general.name', 'tiny random bert'],
    ['general.file_type', uint32(0)],
    ['bert.context_length', uint32(shape.contextLength)],
    ['bert.embedding_length', uint32(shape.width)],
    ['bert.block_count', uint32(shape.layerCount)],
    ['bert.feed_forward_length', uint32(shape.feedForwardWidth)],
    ['bert.attention.head_count', uint32(shape.headCount)],
    ['bert.attention.layer_norm_epsilon', float32(1e-6)],
    ['bert.attention.causal', false],
    ...(poolingType === undefined
      ? []
      : [['bert.pooling_type', uint32(poolingType)] satisfies [string, MetadataValue]]),
    ['tokenizer.ggml.model', 'bert'],
    ['tokenizer.ggml.tokens', vocabulary],
    ['tokenizer.ggml.token_type', int32(vocabulary.map((_, id) => (id < 5 ? 3 : 1)))],
    ['tokenizer.ggml.token_type_count', uint32(2)],
    ['tokenizer.ggml.padding_token_id', uint32(0)],
    ['tokenizer.ggml.unknown_token_id', uint32(1)],
    ['tokenizer.ggml.bos_token_id', uint32(2)],
    // The key is spelt like this in the format.
    ...(separator
      ? [['tokenizer.ggml.seperator_token_id', uint32(3)] satisfies [string, MetadataValue]]
      : []),
    ['tokenizer.ggml.mask_token_id', uint32(4)],
    ...shape.metadata,
  ];
}

function tensorsOf(shape: BertShape): Tensor[] {
  const { width, feedForwardWidth, seed } = shape;
  const tensor = (name: string, lengths: number[], spread: number): Tensor => ({
    name,
    type: 'F32',
    shape: lengths,
    fillRow: randomRows(seed, name, spread),
  });
  const linear = (name: string, columns: number, rows: number): Tensor[] => [
    tensor(`${name}.weight`, [columns, rows], 2 / Math.sqrt(columns)),
    tensor(`${name}.bias`, [rows], 0.1),
  ];
  const norm = (name: string): Tensor[] => [
    { name: `${name}.weight`, type: 'F32', shape: [width], fillRow: (row) => row.fill(1) },
    tensor(`${name}.bias`, [width], 0.1),
  ];
  const layers = Array.from({ length: shape.layerCount }, (_, index) => {
    const block = `blk.${index}`;
    return [
      ...linear(`${block}.attn_q`, width, width),
      ...linear(`${block}.attn_k`, width, width),
      ...linear(`${block}.attn_v`, width, width),
      ...linear(`${block}.attn_output`, width, width),
      ...norm(`${block}.attn_output_norm`),
      ...linear(`${block}.ffn_up`, width, feedForwardWidth),
      ...linear(`${block}.ffn_down`, feedForwardWidth, width),
      ...norm(`${block}.layer_output_norm`),
    ];
  });
  return [
    tensor('token_embd.weight', [width, vocabulary.length], 1),
    tensor('position_embd.weight', [width, shape.contextLength], 0.3),
    tensor('token_types.weight', [width, 2], 0.1),
    ...norm('token_embd_norm'),
    ...layers.flat(),
    ...(shape.head ? [...linear('cls', width, width), ...linear('cls.output', width, 1)] : []),
  ];
}
