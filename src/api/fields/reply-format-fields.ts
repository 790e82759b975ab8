/** Fields that ask for a format of the whole reply: OpenAI's, llama-server's, vLLM's, SGLang's and Ollama's. */
import { type Static, Type } from 'typebox';
import { documented } from '../../core/route-doc.ts';
import { optional } from './optional.ts';

/** The reader checks the type, so that an unknown type gets another error than an invalid one. */
const ResponseFormat = Type.Object({
  type: Type.String(documented({ enum: ['text', 'json_object', 'json_schema'] })),
  json_schema: optional(
    Type.Object({
      name: optional(Type.String()),
      description: optional(Type.String()),
      strict: optional(Type.Boolean()),
      schema: optional(Type.Object({})),
    }),
  ),
  /** With `json_object` or `json_schema`, as in llama-server and others. */
  schema: optional(Type.Object({})),
  strict: optional(Type.Boolean()),
});
export type ResponseFormat = Static<typeof ResponseFormat>;

/** In characters of a GBNF grammar. */
const maxGrammarLength = 65_536;
const Grammar = Type.String({
  maxLength: maxGrammarLength,
  description: 'GBNF whose rule `root` is the reply.',
});

const Pattern = Type.String({ description: 'A regular expression that the whole reply matches.' });

/** A schema, or its JSON text. */
const SchemaOrText = Type.Optional(
  Type.Unsafe<object | string | null>({
    type: ['object', 'string', 'null'],
    description: 'A JSON schema, or its text.',
  }),
);

const Choices = Type.Array(Type.String(), {
  minItems: 1,
  description: 'Texts of which the reply is one.',
});

/** vLLM's object of the same formats. */
const StructuredOutputs = Type.Object({
  json: SchemaOrText,
  regex: optional(Pattern),
  choice: optional(Choices),
  grammar: optional(Grammar),
  /** Any JSON object. */
  json_object: optional(Type.Boolean()),
});
export type StructuredOutputs = Static<typeof StructuredOutputs>;

export const replyFormatFields = {
  response_format: optional(ResponseFormat),
  json_schema: SchemaOrText,
  grammar: optional(Grammar),
  structured_outputs: optional(StructuredOutputs),
  /** Older names of vLLM. */
  guided_json: SchemaOrText,
  guided_regex: optional(Pattern),
  guided_choice: optional(Choices),
  guided_grammar: optional(Grammar),
  /** SGLang's names. */
  regex: optional(Pattern),
  ebnf: optional(Grammar),
  /** Ollama's field: `json`, or a schema. */
  format: Type.Optional(
    Type.Unsafe<object | string | null>({
      type: ['object', 'string', 'null'],
      maxLength: 64,
      ...documented({ anyOf: [{ type: 'string', enum: ['json'] }, { type: ['object', 'null'] }] }),
    }),
  ),
};

const ReplyFormatBody = Type.Object(replyFormatFields);
/** The fields of a body that ask for a format. */
export type ReplyFormatBody = Static<typeof ReplyFormatBody>;
