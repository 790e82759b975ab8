/** Validates bodies: fast where they are valid, complete where they are not. */
import AjvCompiler from '@fastify/ajv-compiler';

/** The values of a body up to which all its errors are collected: every value may be one. */
const maxValueCount = 5000;

/**
 * Fastify's `buildValidator`. A body is checked up to its first error. An invalid one is checked again for all errors,
 * unless it is so large that their number would stall the event loop.
 */
export function validatorBuilder(): AjvCompiler.BuildCompilerFromPool {
  const compilers = AjvCompiler();
  return (schemas, options) => {
    const compileFirst = compilers(schemas, options);
    const compileAll = compilers(schemas, {
      ...options,
      customOptions: { ...options?.customOptions, allErrors: true },
    } as typeof options);
    return (definition) => {
      const findFirst = compileFirst(definition);
      let findAll: typeof findFirst | undefined;
      const validate = (body: unknown): boolean => {
        if (findFirst(body)) return true;
        if (isSmall(body)) {
          findAll ??= compileAll(definition);
          findAll(body);
          validate.errors = findAll.errors;
        } else {
          validate.errors = findFirst.errors?.map((error) => ({ ...error, isLast: true }));
        }
        return false;
      };
      validate.errors = findFirst.errors;
      return validate as typeof findFirst;
    };
  };
}

/** Iterative, because a body may nest deeply. */
function isSmall(body: unknown): boolean {
  const open = [body];
  let count = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    const members: readonly unknown[] = Array.isArray(next) ? next : Object.values(next);
    count += members.length;
    if (count > maxValueCount) return false;
    for (const member of members) if (typeof member === 'object') open.push(member);
  }
  return true;
}
