/**
 * Language models with random weights: real shapes that llama.cpp loads and runs, and text that means
 * nothing but is the same for the same seed. Weights are scaled so that greedy generation wanders.
 */
import {
  float32,
  type GgufSpec,
  int32,
  type MetadataValue,
  type Tensor,
  type TensorType,
  uint32,
  writeGguf,
} from './gguf-writer.ts';
import { type BytePairVocabulary, tinyVocabulary } from './tiny-vocabulary.ts';

export const chatmlTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + " +
  "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export interface ModelShape {
  readonly name: string;
  /**
   * `llama` and `qwen2` attend to everything; every second layer of `olmo2` only to a window of 32
   * tokens; every second layer of `lfm2` is a convolution with a state, and all of `mamba` are.
   */
  readonly architecture: 'llama' | 'qwen2' | 'olmo2' | 'lfm2' | 'mamba';
  readonly layerCount: number;
  readonly width: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly feedForwardWidth: number;
  /** What the model claims to be trained for. */
  readonly contextLength: number;
  /** Storage of the matrices; norms and biases are always F32. */
  readonly weightType: TensorType;
  /** Whether the embedding matrix is used for the output as well. */
  readonly tiedOutput: boolean;
  /** Jinja text; null writes none. */
  readonly chatTemplate: string | null;
  readonly vocabulary: BytePairVocabulary;
  readonly seed: number;
  /**
   * How strongly the model wants to end: 0 never samples a control token greedily, 2 ends after a
   * handful of tokens.
   */
  readonly endTokenGain: number;
  /** Whether greedy text may contain bytes above 0x7f, most of them not valid UTF-8. */
  readonly highBytes: boolean;
  /** Rows of a matrix that differ; the others repeat them. Null makes every row. */
  readonly distinctRowCount: number | null;
  /** What the file says beyond the usual. */
  readonly metadata: readonly (readonly [string, MetadataValue])[];
}

const tinyShape: Omit<ModelShape, 'vocabulary'> = {
  name: 'tiny random',
  architecture: 'llama',
  layerCount: 2,
  width: 64,
  headCount: 4,
  kvHeadCount: 2,
  feedForwardWidth: 128,
  contextLength: 2048,
  weightType: 'F32',
  tiedOutput: false,
  chatTemplate: chatmlTemplate,
  seed: 1,
  endTokenGain: 0,
  highBytes: false,
  distinctRowCount: null,
  metadata: [],
};

/** Tokens a layer with a sliding window sees, itself included. */
const windowLength = 32;
/** Tokens the convolutions of recurrent layers reach over. */
const convolutionLength = 3;
/** Values a mamba channel remembers. */
const stateLength = 8;

/** Standard deviation of the logits: wide enough that near-ties are rare. */
const logitSpread = 4;
/** Standard deviation of embeddings, small beside what the layers add, so that a token does not repeat itself. */
const embeddingSpread = 0.1;

/** Writes a model of `tinyModelSpec`, a few hundred kilobytes unless the overrides say otherwise. */
export function writeTinyModel(path: string, overrides: Partial<ModelShape> = {}): void {
  writeGguf(path, tinyModelSpec(overrides));
}

/** Metadata and tensors of a random model; what is not given is tiny. */
export function tinyModelSpec(overrides: Partial<ModelShape> = {}): GgufSpec {
  const shape: ModelShape = {
    ...tinyShape,
    ...overrides,
    vocabulary: overrides.vocabulary ?? tinyVocabulary(),
  };
  return { metadata: metadataOf(shape), tensors: tensorsOf(shape) };
}

function metadataOf(shape: ModelShape): (readonly [string, MetadataValue])[] {
  const { architecture, vocabulary } = shape;
  const tokenTypes = vocabulary.tokens.map((_, id) => (vocabulary.controlTokenIds.has(id) ? 3 : 1));
  return [
    ['general.architecture', architecture],
    ['general.name', shape.name],
    ['general.file_type', uint32({ F32: 0, F16: 1, Q8_0: 7 }[shape.weightType])],
    [`${architecture}.context_length`, uint32(shape.contextLength)],
    [`${architecture}.embedding_length`, uint32(shape.width)],
    [`${architecture}.block_count`, uint32(shape.layerCount)],
    [`${architecture}.feed_forward_length`, uint32(shape.feedForwardWidth)],
    [`${architecture}.attention.head_count`, uint32(shape.headCount)],
    [`${architecture}.attention.head_count_kv`, kvHeadCounts(shape)],
    [`${architecture}.attention.layer_norm_rms_epsilon`, float32(1e-5)],
    [`${architecture}.rope.dimension_count`, uint32(shape.width / shape.headCount)],
    [`${architecture}.rope.freq_base`, float32(10_000)],
    [`${architecture}.vocab_size`, uint32(vocabulary.tokens.length)],
    ...extraMetadata(shape),
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', vocabulary.preTokenizer],
    ['tokenizer.ggml.tokens', vocabulary.tokens],
    ['tokenizer.ggml.token_type', int32(tokenTypes)],
    ['tokenizer.ggml.merges', vocabulary.merges],
    ['tokenizer.ggml.bos_token_id', uint32(vocabulary.eosTokenId)],
    ['tokenizer.ggml.eos_token_id', uint32(vocabulary.eosTokenId)],
    ['tokenizer.ggml.eot_token_id', uint32(vocabulary.eotTokenId)],
    ['tokenizer.ggml.add_bos_token', false],
    ...(shape.chatTemplate === null
      ? []
      : [['tokenizer.chat_template', shape.chatTemplate] satisfies [string, MetadataValue]]),
    ...shape.metadata,
  ];
}

/** Whether a layer keeps a state instead of attending. */
function isRecurrent({ architecture }: ModelShape, layer: number): boolean {
  return architecture === 'mamba' || (architecture === 'lfm2' && layer % 2 === 0);
}

function kvHeadCounts(shape: ModelShape): MetadataValue {
  if (shape.architecture !== 'lfm2') return uint32(shape.kvHeadCount);
  const layers = Array.from({ length: shape.layerCount }, (_, layer) => layer);
  return int32(layers.map((layer) => (isRecurrent(shape, layer) ? 0 : shape.kvHeadCount)));
}

function extraMetadata({ architecture, width }: ModelShape): [string, MetadataValue][] {
  switch (architecture) {
    case 'llama':
    case 'qwen2':
      return [];
    case 'olmo2':
      return [
        ['olmo2.attention.sliding_window', uint32(windowLength)],
        ['olmo2.attention.sliding_window_pattern', uint32(2)],
      ];
    case 'lfm2':
      return [['lfm2.shortconv.l_cache', uint32(convolutionLength)]];
    case 'mamba':
      return [
        ['mamba.ssm.conv_kernel', uint32(convolutionLength)],
        ['mamba.ssm.inner_size', uint32(2 * width)],
        ['mamba.ssm.state_size', uint32(stateLength)],
        ['mamba.ssm.time_step_rank', uint32(stateLength)],
      ];
    default:
      return architecture satisfies never;
  }
}

function tensorsOf(shape: ModelShape): Tensor[] {
  const { width, feedForwardWidth, vocabulary } = shape;
  const kvWidth = (width / shape.headCount) * shape.kvHeadCount;
  const matrix = (name: string, columns: number, rows: number, spread: number): Tensor => ({
    name: `${name}.weight`,
    type: shape.weightType,
    shape: [columns, rows],
    fillRow: randomRows(shape.seed, name, spread),
    ...(shape.distinctRowCount === null ? {} : { distinctRowCount: shape.distinctRowCount }),
  });
  const vector = (name: string, length: number, fillRow: Tensor['fillRow']): Tensor => ({
    name,
    type: 'F32',
    shape: [length],
    fillRow,
  });
  const norm = (name: string, value: number): Tensor =>
    vector(`${name}.weight`, width, (row) => row.fill(value));
  // Keeps the variance of what goes through it, times the gain.
  const projection = (name: string, columns: number, rows: number, gain = 1): Tensor =>
    matrix(name, columns, rows, gain / Math.sqrt(columns));

  const embedding = withRowGains(
    matrix('token_embd', width, vocabulary.tokens.length, embeddingSpread),
    shape,
  );
  const outputSpread = shape.tiedOutput ? embeddingSpread : 1 / Math.sqrt(width);
  const outputGain = logitSpread / (outputSpread * Math.sqrt(width));
  const output = withRowGains(
    matrix('output', width, vocabulary.tokens.length, outputSpread),
    shape,
  );

  const layers = Array.from({ length: shape.layerCount }, (_, index) => {
    const block = `blk.${index}`;
    const bias = (name: string, length: number): Tensor =>
      vector(`${name}.bias`, length, randomRows(shape.seed, `${name}.bias`, 0.1));
    const normOf = (name: string, length: number): Tensor =>
      vector(`${block}.${name}.weight`, length, (row) => row.fill(1));
    const attention = [
      projection(`${block}.attn_q`, width, width, 2),
      projection(`${block}.attn_k`, width, kvWidth),
      projection(`${block}.attn_v`, width, kvWidth),
      projection(`${block}.attn_output`, width, width, 2),
    ];
    const feedForward = [
      projection(`${block}.ffn_gate`, width, feedForwardWidth, 2),
      projection(`${block}.ffn_up`, width, feedForwardWidth),
      projection(`${block}.ffn_down`, feedForwardWidth, width),
    ];
    const headWidth = width / shape.headCount;
    const norms = [norm(`${block}.attn_norm`, 1), norm(`${block}.ffn_norm`, 1)];
    switch (shape.architecture) {
      case 'llama':
        return [...norms, ...attention, ...feedForward];
      case 'qwen2':
        return [
          ...norms,
          ...attention,
          ...feedForward,
          bias(`${block}.attn_q`, width),
          bias(`${block}.attn_k`, kvWidth),
          bias(`${block}.attn_v`, kvWidth),
        ];
      case 'olmo2':
        return [
          ...attention,
          normOf('attn_q_norm', width),
          normOf('attn_k_norm', kvWidth),
          normOf('post_attention_norm', width),
          ...feedForward,
          normOf('post_ffw_norm', width),
        ];
      case 'lfm2':
        return [
          ...norms,
          ...feedForward,
          ...(isRecurrent(shape, index)
            ? [
                f32(projection(`${block}.shortconv.conv`, convolutionLength, width)),
                projection(`${block}.shortconv.in_proj`, width, 3 * width, 2),
                projection(`${block}.shortconv.out_proj`, width, width, 2),
              ]
            : [...attention, normOf('attn_q_norm', headWidth), normOf('attn_k_norm', headWidth)]),
        ];
      case 'mamba': {
        const inner = 2 * width;
        return [
          norm(`${block}.attn_norm`, 1),
          projection(`${block}.ssm_in`, width, 2 * inner, 2),
          f32(projection(`${block}.ssm_conv1d`, convolutionLength, inner, 2)),
          bias(`${block}.ssm_conv1d`, inner),
          projection(`${block}.ssm_x`, inner, 3 * stateLength, 2),
          f32(projection(`${block}.ssm_dt`, stateLength, inner)),
          bias(`${block}.ssm_dt`, inner),
          {
            name: `${block}.ssm_a`,
            type: 'F32',
            shape: [stateLength, inner],
            // Rates at which what is remembered fades: each channel has fast and slow values.
            fillRow: (row) => {
              for (let i = 0; i < row.length; i++) row[i] = -(i + 1) / row.length;
            },
          } satisfies Tensor,
          vector(`${block}.ssm_d`, inner, (row) => row.fill(1)),
          projection(`${block}.ssm_out`, inner, width, 2),
        ];
      }
      default:
        return shape.architecture satisfies never;
    }
  });
  const outputNorm = shape.architecture === 'lfm2' ? 'token_embd_norm' : 'output_norm';
  return [
    embedding,
    ...layers.flat(),
    norm(outputNorm, outputGain),
    ...(shape.tiedOutput ? [] : [output]),
  ];
}

/** The same tensor as F32, for the few that llama.cpp takes in no other type. */
function f32(tensor: Tensor): Tensor {
  return { ...tensor, type: 'F32' };
}

/** Scales the rows of tokens that are to be sampled never or more often than others. */
function withRowGains(tensor: Tensor, { vocabulary, endTokenGain, highBytes }: ModelShape): Tensor {
  const gainOf = (tokenId: number): number => {
    if (tokenId === vocabulary.eosTokenId || tokenId === vocabulary.eotTokenId) return endTokenGain;
    if (vocabulary.controlTokenIds.has(tokenId)) return 0;
    const isHighByte = tokenId >= 0x80 && tokenId <= 0xff && !highBytes;
    return isHighByte ? 0 : 1;
  };
  return {
    ...tensor,
    fillRow: (row, tokenId) => {
      tensor.fillRow(row, tokenId);
      const gain = gainOf(tokenId);
      if (gain !== 1) for (let i = 0; i < row.length; i++) row[i] = (row[i] ?? 0) * gain;
    },
  };
}

/**
 * Uniform values of the given standard deviation from a 32-bit xorshift generator. The sequence
 * depends on the seed and the name alone, not on what else is written.
 */
export function randomRows(seed: number, name: string, spread: number): Tensor['fillRow'] {
  let state = 0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1);
  for (const character of name) {
    state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  state = state === 0 ? 1 : state;
  const scale = (spread * Math.sqrt(3)) / 2 ** 31;
  return (row) => {
    for (let i = 0; i < row.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      row[i] = state * scale;
    }
  };
}
