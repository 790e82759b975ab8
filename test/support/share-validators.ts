/**
 * Compiles every JSON schema once for a test process: a gateway is built for nearly every test, and most of the 50 ms
 * that takes are Ajv's. Their schemas are the same objects each time.
 */
import { createRequire } from 'node:module';

type Compile = (this: object, schema: object, ...rest: unknown[]) => unknown;

const requireOf = (name: string, from: string) => {
  const require = createRequire(from);
  return createRequire(require.resolve(name));
};
const fastify = createRequire(import.meta.url).resolve('fastify');
const { default: Ajv } = requireOf('@fastify/ajv-compiler', fastify)('ajv') as {
  readonly default: { readonly prototype: { compile: Compile } };
};

const { compile } = Ajv.prototype;
const compiled = new WeakMap<object, unknown>();
Ajv.prototype.compile = function (schema, ...rest) {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    validate = compile.call(this, schema, ...rest);
    compiled.set(schema, validate);
  }
  return validate;
};
