import { type ArgumentKind, checkArguments } from './check-arguments.ts';
import { describe } from './describe.ts';
import { ArgumentError } from './errors.ts';

/**
 * Names of options with what each must be, as `checkArguments` asks for it, or the list of what it may be; with `anything`, only the
 * name is checked.
 */
export type OptionKinds = Readonly<Record<string, ArgumentKind | 'anything' | readonly unknown[]>>;

/**
 * Checks the options that a program without types may have passed: that their names are among those `known`, and, where these come
 * with kinds, what they are: `checkOptions('rotate', options, { interleaved: 'boolean?', positions: 'tensor' })`.
 * @throws ArgumentError for what is no object, for a name that is none of `known`, which are listed, and for an option that is not of
 *   its kind
 */
export function checkOptions(operation: string, options: unknown, known: readonly string[] | OptionKinds): void {
  const names = Array.isArray(known) ? (known as readonly string[]) : Object.keys(known ?? {});
  if (
    typeof known !== 'object' ||
    known === null ||
    !Object.values(known).every((each) => typeof each === 'string' || Array.isArray(each))
  )
    throw new ArgumentError(
      `checkOptions: known must be an array of names, or names with kinds, got ${describe(known)}`,
    );
  if (!isOptions(options))
    throw new ArgumentError(`${operation}: takes options { ${names.join(', ')} }, got ${describe(options)}`);
  const wrong = Object.keys(options).find((name) => !names.includes(name));
  if (wrong !== undefined)
    throw new ArgumentError(`${operation}: has no option ${wrong}; its options are ${names.join(', ')}`);
  if (Array.isArray(known)) return;
  for (const [name, kind] of Object.entries(known as OptionKinds)) {
    const value = options[name];
    if (typeof kind === 'object') checkChoice(operation, name, value, kind);
    else if (kind !== 'anything' && (value !== undefined || !kind.endsWith('?')))
      checkArguments(operation, kind, { [name]: value });
  }
}

/** @throws ArgumentError for what is none of `choices`, which are listed; undefined among them is what may be left out */
function checkChoice(operation: string, name: string, value: unknown, choices: readonly unknown[]): void {
  if (choices.includes(value)) return;
  const given = choices.filter((choice) => choice !== undefined).map(String);
  throw new ArgumentError(`${operation}: ${name} takes ${given.join(', ')}, got ${describe(value)}`);
}

function isOptions(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) return false;
  return !('node' in value); // a tensor
}
