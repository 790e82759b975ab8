/**
 * Compiles every JSON schema once for a test process, and once more for all its errors: a gateway is built for nearly every test, and most of the 50 ms
 * that takes are Ajv's. Their schemas are the same objects each time.
 */
import { createRequire } from 'node:module';

interface Compiler {
  readonly opts: { readonly allErrors?: boolean };
}

type Compile = (this: Compiler, schema: object, ...rest: unknown[]) => unknown;

const requireOf = (name: string, from: string) => {
  const require = createRequire(from);
  return createRequire(require.resolve(name));
};
const fastify = createRequire(import.meta.url).resolve('fastify');
const { default: Ajv } = requireOf('@fastify/ajv-compiler', fastify)('ajv') as {
  readonly default: { readonly prototype: { compile: Compile } };
};

const { compile } = Ajv.prototype;
const compiledFor = { first: new WeakMap<object, unknown>(), all: new WeakMap<object, unknown>() };
Ajv.prototype.compile = function (schema, ...rest) {
  const compiled = compiledFor[this.opts.allErrors === true ? 'all' : 'first'];
  let validate = compiled.get(schema);
  if (validate === undefined) {
    validate = compile.call(this, schema, ...rest);
    compiled.set(schema, validate);
  }
  return validate;
};
