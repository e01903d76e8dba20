import { isHeddleError } from './errors.ts';

/**
 * Runs what an operation is made of; errors name the operation that was called, not the one inside of it.
 *
 * ```ts
 * export const notEqual = (a: Tensor, b: Tensor): Tensor => calledAs('notEqual', () => not(equal(a, b)));
 * ```
 * @throws what `run` throws
 */
export function calledAs<R>(operation: string, run: () => R): R {
  try {
    return run();
  } catch (error) {
    if (isHeddleError(error)) rename(error, operation);
    throw error;
  }
}

/** The head of a message is what comes before its first colon, if that is one name. */
function rename(error: Error, operation: string): void {
  const message = error.message.replace(/^\w+(?=: )/, operation);
  if (error.stack !== undefined) error.stack = error.stack.replace(error.message, message);
  error.message = message;
}
