import { describe } from './describe.ts';
import { ArgumentError } from './errors.ts';

/**
 * Checks the options that a program without types may have passed.
 * @throws ArgumentError for what is no object, and for a name that is none of `known`, which are listed
 */
export function checkOptions(operation: string, options: unknown, known: readonly string[]): void {
  if (!Array.isArray(known))
    throw new ArgumentError(`checkOptions: known must be an array of names, got ${describe(known)}`);
  if (typeof options !== 'object' || options === null || Array.isArray(options) || ArrayBuffer.isView(options))
    throw new ArgumentError(`${operation}: takes options { ${known.join(', ')} }, got ${describe(options)}`);
  const wrong = Object.keys(options).find((name) => !known.includes(name));
  if (wrong !== undefined)
    throw new ArgumentError(`${operation}: has no option ${wrong}; its options are ${known.join(', ')}`);
}
