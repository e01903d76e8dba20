import { ArgumentError } from '@heddle/tensor';

/** @throws ArgumentError unless it is an array, a typed array, or another object with a length */
export function checkArrayLike(operation: string, name: string, value: ArrayLike<number>): void {
  if (typeof value === 'object' && typeof value?.length === 'number') return;
  throw new ArgumentError(
    `${operation}: ${name} must be a list of numbers, got ${value === null ? 'null' : typeof value}`,
  );
}

/** Ids are compared as i32: another number would be found as the one that it wraps to. @throws ArgumentError naming the first */
export function checkIds(operation: string, tokens: ArrayLike<number>): void {
  if (tokens instanceof Int32Array) return;
  for (let i = 0; i < tokens.length; i++)
    if ((tokens[i]! | 0) !== tokens[i])
      throw new ArgumentError(`${operation}: ids of tokens must be whole numbers of 32 bits, got ${tokens[i]} at ${i}`);
}
