import { ArgumentError } from '@heddle/tensor';

/** @throws ArgumentError unless it is an array, a typed array, or another object with a length */
export function checkArrayLike(operation: string, name: string, value: ArrayLike<number>): void {
  if (typeof value === 'object' && typeof value?.length === 'number') return;
  throw new ArgumentError(
    `${operation}: ${name} must be a list of numbers, got ${value === null ? 'null' : typeof value}`,
  );
}
