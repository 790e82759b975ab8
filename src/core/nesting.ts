/** Whether arrays and objects of parsed JSON stand within each other on more than so many levels. */
export function nestsDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  if (Array.isArray(value)) return value.some((each) => nestsDeeper(each, levels - 1));
  for (const name in value) {
    if (nestsDeeper((value as Record<string, unknown>)[name], levels - 1)) return true;
  }
  return false;
}
