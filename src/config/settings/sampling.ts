import { decimal, integer, integer64 } from '../../core/value-kinds.ts';
import { setting } from '../setting.ts';
import { maxTokenCount } from './engine.ts';

/** What llama.cpp takes; a test compares the numbers with the engine's. */
const ofLlama = (value: number) => `${value}, llama.cpp's`;

/** Sampling parameters of requests that do not name them. */
export const samplingSettings = {
  TEMPERATURE: setting({
    at: 'engine.samplingDefaults.temperature',
    kind: decimal({ min: 0, max: 2 }),
    fallbackText: ofLlama(0.8),
    summary: '0 = always the likeliest token',
  }),
  TOP_P: setting({
    at: 'engine.samplingDefaults.topP',
    kind: decimal({ min: 0, max: 1, aboveMin: true }),
    fallbackText: ofLlama(0.95),
    summary: 'nucleus sampling; 1 = off',
  }),
  TOP_K: setting({
    at: 'engine.samplingDefaults.topK',
    kind: integer({ min: 0, max: maxTokenCount }),
    fallbackText: ofLlama(40),
    summary: 'number of candidate tokens; 0 = all',
  }),
  MIN_P: setting({
    at: 'engine.samplingDefaults.minP',
    kind: decimal({ min: 0, max: 1 }),
    fallbackText: ofLlama(0.05),
    summary: 'minimum probability, relative to the likeliest token; 0 = off',
  }),
  TYPICAL_P: setting({
    at: 'engine.samplingDefaults.typicalP',
    kind: decimal({ min: 0, max: 1, aboveMin: true }),
    fallbackText: ofLlama(1),
    summary: 'typical sampling; 1 = off',
  }),
  REPEAT_PENALTY: setting({
    at: 'engine.samplingDefaults.repeatPenalty',
    kind: decimal({ min: 0, max: 10, aboveMin: true }),
    fallbackText: ofLlama(1),
    summary: 'penalty of recent tokens; 1 = off',
  }),
  REPEAT_LAST_N: setting({
    at: 'engine.samplingDefaults.repeatLastN',
    kind: integer({ min: 0, max: maxTokenCount }),
    fallbackText: ofLlama(64),
    summary: 'number of recent tokens that the penalties cover; 0 = off',
  }),
  FREQUENCY_PENALTY: setting({
    at: 'engine.samplingDefaults.frequencyPenalty',
    kind: decimal({ min: -2, max: 2 }),
    fallbackText: ofLlama(0),
    summary: 'penalty per occurrence; 0 = off',
  }),
  PRESENCE_PENALTY: setting({
    at: 'engine.samplingDefaults.presencePenalty',
    kind: decimal({ min: -2, max: 2 }),
    fallbackText: ofLlama(0),
    summary: 'penalty of a token that has occurred; 0 = off',
  }),
  SEED: setting({
    at: 'engine.samplingDefaults.seed',
    kind: integer64(),
    fallbackText: 'random',
    summary: 'seed of the random choices',
  }),
};
