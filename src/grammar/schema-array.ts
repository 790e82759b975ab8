/** Arrays of a schema, as llama.cpp's converter enforces them exactly. */
import { join } from './schema-keywords.ts';
import type { RawSchema } from './schema-merge.ts';
import { type NodeReader, schemaLimits } from './schema-reading.ts';
import { readCount } from './schema-scalars.ts';

/** An array of equal items, or a tuple. */
export function readArray(
  schema: RawSchema,
  path: string,
  depth: number,
  reader: NodeReader,
): RawSchema {
  if (schema.uniqueItems === true)
    reader.reading.refuse(join(path, 'uniqueItems'), 'cannot be enforced');
  const min = readCount(schema, 'minItems', {
    limit: schemaLimits.items,
    path,
    reading: reader.reading,
  });
  const max = readCount(schema, 'maxItems', {
    limit: schemaLimits.items,
    path,
    reading: reader.reading,
  });
  if (max !== undefined && (min ?? 0) > max) {
    reader.reading.refuse(join(path, 'minItems'), 'is more than `maxItems`');
    return { type: 'array' };
  }
  const keyword = Array.isArray(schema.items) ? 'items' : 'prefixItems';
  const tuple = schema[keyword];
  if (Array.isArray(tuple)) {
    if ((min ?? 0) > tuple.length || (max ?? tuple.length) < tuple.length) {
      reader.reading.refuse(
        join(path, (min ?? 0) > tuple.length ? 'minItems' : 'maxItems'),
        `must allow as many items as \`${keyword}\` has: only those are written`,
      );
    }
    const items = tuple.map((item, index) =>
      reader.node(item, `${join(path, keyword)}[${index}]`, depth + 1),
    );
    return { type: 'array', prefixItems: items };
  }
  if (tuple !== undefined)
    reader.reading.refuse(join(path, keyword), 'must be an array of schemas');
  if (schema.items === false) {
    if ((min ?? 0) > 0)
      reader.reading.refuse(join(path, 'minItems'), 'asks for items that `items` forbids');
    return { type: 'array', items: {}, maxItems: 0 };
  }
  reader.reading.countRepetitions((max ?? min ?? 0) * 2, path);
  return {
    type: 'array',
    ...(schema.items !== undefined && {
      items: reader.node(schema.items, join(path, 'items'), depth + 1),
    }),
    ...(min !== undefined && { minItems: min }),
    ...(max !== undefined && { maxItems: max }),
  };
}
