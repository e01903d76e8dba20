import { describe } from './describe.ts';
import { ArgumentError } from './errors.ts';

/** What tells a device. */
interface Device {
  readonly name: string;
}

interface Kind {
  readonly what: string;
  /** Whether it is a number, and not any: what came is then told without saying that it is one. */
  readonly bounded?: true;
  /** What each of a list must be. */
  readonly each?: KindName;
  holds(value: unknown): boolean;
}

const isObject = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null;
const isTensor = (value: unknown): value is { assertUsable?(operation: string): void } =>
  isObject(value) && isObject(value['node']);

type KindName =
  | 'tensor'
  | 'tensors'
  | 'device'
  | 'number'
  | 'finite'
  | 'positive'
  | 'integer'
  | 'whole'
  | 'size'
  | 'boolean'
  | 'text'
  | 'texts'
  | 'function'
  | 'list'
  | 'iterable'
  | 'numbers'
  | 'bytes'
  | 'object';

/** What `checkArguments` can ask for; with a question mark also nothing. Tensors must not be disposed of. */
export type ArgumentKind = KindName | `${KindName}?`;

const required: Readonly<Record<KindName, Kind>> = {
  tensor: { what: 'a tensor', holds: isTensor },
  tensors: {
    what: 'a list of tensors',
    each: 'tensor',
    holds: (value) => Array.isArray(value) && value.every(isTensor),
  },
  device: {
    what: 'a device, as openDevice() gives one',
    holds: (value) => isObject(value) && typeof value['variable'] === 'function',
  },
  number: { what: 'a number', holds: (value) => typeof value === 'number' && !Number.isNaN(value) },
  finite: { what: 'a finite number', bounded: true, holds: Number.isFinite },
  positive: {
    what: 'a positive number',
    bounded: true,
    holds: (value) => Number.isFinite(value) && (value as number) > 0,
  },
  integer: { what: 'an integer', bounded: true, holds: Number.isSafeInteger },
  whole: {
    what: 'a whole number from 0',
    bounded: true,
    holds: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  },
  size: {
    what: 'a positive integer',
    bounded: true,
    holds: (value) => Number.isSafeInteger(value) && (value as number) > 0,
  },
  boolean: { what: 'true or false', holds: (value) => typeof value === 'boolean' },
  text: { what: 'a text', holds: (value) => typeof value === 'string' },
  texts: {
    what: 'a list of texts',
    each: 'text',
    holds: (value) => Array.isArray(value) && value.every((text) => typeof text === 'string'),
  },
  function: { what: 'a function', holds: (value) => typeof value === 'function' },
  list: { what: 'a list', holds: Array.isArray },
  iterable: {
    what: 'a list or another iterable, which may be asynchronous',
    holds: (value) => isObject(value) && (Symbol.iterator in value || Symbol.asyncIterator in value),
  },
  numbers: {
    what: 'a list of numbers or a typed array',
    holds: (value) => Array.isArray(value) || ArrayBuffer.isView(value),
  },
  bytes: { what: 'a Uint8Array', holds: (value) => value instanceof Uint8Array },
  object: {
    what: 'an object',
    holds: (value) => isObject(value) && !Array.isArray(value) && !ArrayBuffer.isView(value),
  },
};

const kinds: ReadonlyMap<unknown, Kind> = new Map(
  Object.entries(required).flatMap(([name, kind]) => [
    [name, kind],
    [`${name}?`, { ...kind, holds: (value: unknown) => value === undefined || kind.holds(value) }],
  ]),
);

/**
 * Checks arguments that a program without types may have passed: `checkArguments('rotate', 'tensor', { x, positions })`. For
 * functions of one's own that answer what they do not take as those of Heddle do.
 * @throws ArgumentError naming the operation, the first value that is not of the kind, and what came; DisposedError for a tensor
 *   that was disposed of
 */
export function checkArguments(operation: string, kind: ArgumentKind, values: Readonly<Record<string, unknown>>): void {
  const rule = kinds.get(kind);
  if (!rule)
    throw new ArgumentError(`checkArguments: kind must be ${[...kinds.keys()].join(', ')}, got ${describe(kind)}`);
  for (const name in values) {
    const value = values[name];
    if (rule.holds(value)) {
      if (rule.what === required.tensor.what && isTensor(value)) value.assertUsable?.(`${operation}: ${name}`);
      continue;
    }
    if (rule.each && Array.isArray(value))
      checkArguments(operation, rule.each, Object.fromEntries(value.map((item, i) => [`${name}[${i}]`, item])));
    const got = rule.bounded && typeof value === 'number' ? value : describe(value);
    throw new ArgumentError(`${operation}: ${name} must be ${rule.what}, got ${got}`);
  }
}

/** @throws ArgumentError naming `operation` for what is no tensor of a device */
export function checkTensorsOf(operation: string, device: Device, tensors: readonly unknown[]): void {
  for (const tensor of tensors) {
    const own = (tensor as { readonly device?: Device } | null | undefined)?.device;
    if (own !== device)
      throw new ArgumentError(
        `${operation}: takes tensors of this ${device.name} device, got ${own ? `one of another (${own.name})` : describe(tensor)}`,
      );
  }
}

/** @throws ArgumentError for a dtype of a product's result that is neither f32 nor f16 */
export function checkFloat(operation: string, dtype: unknown): void {
  if (dtype !== undefined && dtype !== 'f32' && dtype !== 'f16')
    throw new ArgumentError(`${operation}: dtype must be f32 or f16, got ${describe(dtype)}`);
}
