import { ArgumentError } from '@heddle/tensor';

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
