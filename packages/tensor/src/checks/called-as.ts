import { describe } from './describe.ts';
import { ArgumentError, isHeddleError } from './errors.ts';

/**
 * Runs what a function is made of; errors name the function that was called, not the one inside of it. A promise rejects so, too.
 *
 * ```ts
 * export const notEqual = (a: Tensor, b: Tensor): Tensor => calledAs('notEqual', () => not(equal(a, b)));
 * ```
 * @throws what `run` throws
 */
export function calledAs<R>(name: string, run: () => R): R {
  if (typeof run !== 'function') throw new ArgumentError(`calledAs: run must be a function, got ${describe(run)}`);
  try {
    const result = run();
    return result instanceof Promise ? (result.catch((error: unknown) => renamed(error, name)) as R) : result;
  } catch (error) {
    return renamed(error, name);
  }
}

function renamed(error: unknown, name: string): never {
  if (isHeddleError(error)) rename(error, name);
  throw error;
}

/** The head of a message is what comes before its first colon, if that is a name or a few words. */
function rename(error: Error, name: string): void {
  const message = error.message.replace(/^\w[\w ()-]*(?=: )/, name);
  if (error.stack !== undefined) error.stack = error.stack.replace(error.message, message);
  error.message = message;
}
