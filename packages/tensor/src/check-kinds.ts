import { describe } from './describe.ts';
import { ArgumentError } from './errors.ts';

interface Kind {
  readonly what: string;
  holds(value: unknown): boolean;
}

const isObject = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null;
const isTensor = (value: unknown): boolean => isObject(value) && isObject(value['node']);

type KindName = 'tensor' | 'tensors' | 'device' | 'number' | 'text' | 'function' | 'list' | 'numbers' | 'object';

const kinds: Readonly<Record<KindName, Kind>> = {
  tensor: { what: 'a tensor', holds: isTensor },
  tensors: { what: 'a list of tensors', holds: (value) => Array.isArray(value) && value.every(isTensor) },
  device: {
    what: 'a device, as openDevice() gives one',
    holds: (value) => isObject(value) && typeof value['variable'] === 'function',
  },
  number: { what: 'a number', holds: (value) => typeof value === 'number' && !Number.isNaN(value) },
  text: { what: 'a text', holds: (value) => typeof value === 'string' },
  function: { what: 'a function', holds: (value) => typeof value === 'function' },
  list: { what: 'a list', holds: Array.isArray },
  numbers: {
    what: 'a list of numbers or a typed array',
    holds: (value) => Array.isArray(value) || ArrayBuffer.isView(value),
  },
  object: {
    what: 'an object',
    holds: (value) => isObject(value) && !Array.isArray(value) && !ArrayBuffer.isView(value),
  },
};

/** What `checkArguments` can ask for; with a question mark also nothing. */
export type ArgumentKind = KindName | `${KindName}?`;

/**
 * Checks arguments that a program without types may have passed: `checkArguments('rotate', 'tensor', { x, positions })`. For
 * functions of one's own that answer what they do not take as those of Heddle do.
 * @throws ArgumentError naming the operation, the first value that is not of the kind, and what came
 */
export function checkArguments(operation: string, kind: ArgumentKind, values: Readonly<Record<string, unknown>>): void {
  const isOptional = kind.endsWith('?');
  const { what, holds }: Kind = kinds[(isOptional ? kind.slice(0, -1) : kind) as KindName];
  for (const [name, value] of Object.entries(values))
    if (!(isOptional && value === undefined) && !holds(value))
      throw new ArgumentError(`${operation}: ${name} must be ${what}, got ${describe(value)}`);
}
