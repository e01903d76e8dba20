/**
 * Text that is equal for equal plain data: numbers, strings, booleans, sizes, null, arrays and objects of them. Numbers that
 * JSON has no text for (NaN, infinities, -0) stay apart from each other and from strings.
 */
export function plainKey(value: unknown): string {
  return String(
    JSON.stringify(value, (_, part: unknown) => (typeof part === 'number' ? numberKey(part) : quoted(part))),
  );
}

function numberKey(value: number): number | string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}

/** Strings get a mark that no number has. */
function quoted(value: unknown): unknown {
  return typeof value === 'string' ? `'${value}` : value;
}
