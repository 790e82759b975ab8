import type { SettingValues } from './table.ts';

/** Settings that are valid by themselves but not together, one sentence for each problem. */
export function contradictions(values: SettingValues): readonly string[] {
  return [
    ...batchProblems(values),
    ...draftProblems(values),
    ...serverProblems(values),
    ...modelProblems(values),
  ];
}

function* batchProblems(values: SettingValues): Iterable<string> {
  const { BATCH_SIZE, UBATCH_SIZE, CACHE_TYPE_V, FLASH_ATTENTION } = values;
  if (UBATCH_SIZE > BATCH_SIZE) {
    yield `UBATCH_SIZE must be at most BATCH_SIZE (${BATCH_SIZE}), received ${UBATCH_SIZE}`;
  }
  const isQuantised = !['f32', 'f16', 'bf16'].includes(CACHE_TYPE_V);
  if (isQuantised && FLASH_ATTENTION === 'off') {
    yield `CACHE_TYPE_V must be f32, f16 or bf16 with FLASH_ATTENTION=off, received "${CACHE_TYPE_V}"`;
  }
}

function* draftProblems(values: SettingValues): Iterable<string> {
  const { DRAFT_MIN, DRAFT_MAX, DRAFT_MODEL_PATH, SPECULATIVE } = values;
  if (DRAFT_MIN > DRAFT_MAX) {
    yield `DRAFT_MIN must be at most DRAFT_MAX (${DRAFT_MAX}), received ${DRAFT_MIN}`;
  }
  if (SPECULATIVE === 'draft' && DRAFT_MODEL_PATH === undefined) {
    yield 'SPECULATIVE=draft needs DRAFT_MODEL_PATH, the GGUF file of the draft model';
  }
  if (SPECULATIVE !== 'draft' && DRAFT_MODEL_PATH !== undefined) {
    yield `DRAFT_MODEL_PATH is for SPECULATIVE=draft only, which is "${SPECULATIVE}": set or unset both`;
  }
}

function* serverProblems({ TLS_CERT, TLS_KEY, PORT, PORT_HEALTH }: SettingValues) {
  if ((TLS_CERT === undefined) !== (TLS_KEY === undefined)) {
    yield 'TLS_CERT and TLS_KEY must be set together';
  }
  if (PORT !== 0 && PORT === PORT_HEALTH) {
    yield `PORT_HEALTH must differ from PORT, both are ${PORT}`;
  }
}

function* modelProblems(values: SettingValues): Iterable<string> {
  if (values.CHAT_TEMPLATE !== undefined && values.CHAT_TEMPLATE_FILE !== undefined) {
    yield 'CHAT_TEMPLATE and CHAT_TEMPLATE_FILE must not both be set';
  }
  for (const name of ['MODEL_PATH', 'MODEL_NAME'] as const) {
    if (values.MODEL === undefined || values[name] === undefined) continue;
    yield `${name} must not be set beside MODEL, both name the model to serve: unset one of them`;
  }
  for (const name of ['MODEL', 'MODEL_PATH', 'MODEL_NAME'] as const) {
    if (!values.MOCK_BACKEND || values[name] === undefined) continue;
    yield `${name} must not be set beside MOCK_BACKEND, which serves the bundled model: unset one of them`;
  }
}
