import { ArgumentError } from '@heddle/tensor';

/**
 * Checks the options that a program without types may have passed.
 * @throws ArgumentError for what is no object, and for a name that is none of `known`, which are listed
 */
export function checkOptions(operation: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new ArgumentError(`${operation}: takes options { ${known.join(', ')} }, got ${describe(options)}`);
  const wrong = Object.keys(options).find((name) => !known.includes(name));
  if (wrong !== undefined)
    throw new ArgumentError(`${operation}: has no option ${wrong}; its options are ${known.join(', ')}`);
}

/** What a value is, for messages. */
export function describe(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? (value.constructor?.name ?? 'an object') : `${typeof value} ${String(value)}`;
}

/** @throws ArgumentError for what is no list of token ids */
export function checkStopTokens(operation: string, stopTokens: unknown): void {
  if (!Array.isArray(stopTokens))
    throw new ArgumentError(`${operation}: stopTokens must be a list of token ids, got ${describe(stopTokens)}`);
  for (const id of stopTokens)
    if (!Number.isSafeInteger(id) || id < 0)
      throw new ArgumentError(`${operation}: stopTokens must be non-negative integers, got ${String(id)}`);
}
