/** What a value is, for messages. */
export function describe(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === 'symbol') return 'a symbol';
  return typeof value === 'object'
    ? (value.constructor?.name ?? 'an object')
    : `the ${typeof value} ${String(value).split('\n')[0]}`;
}
