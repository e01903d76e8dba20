import { type Device, Tensor } from '@heddle/tensor';
import { isPart } from './valid-call.ts';

/** Where in the arguments of a call: `0`, `2.bias`, `1.0`. */
type Place = readonly (string | number)[];

export interface Damage {
  readonly place: string;
  readonly name: string;
  readonly args: readonly unknown[];
  /** Whether what was there is of a kind that this can never stand for. */
  readonly wrong: boolean;
  /** The name that a message has to have. */
  readonly named: string | undefined;
}

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype && !isPart(value);

/** Junk by name; tensors of another device, and one that was disposed of. */
export function junkOf(other: Device, disposed: Tensor): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>([
    ['undefined', undefined],
    ['null', null],
    ['NaN', Number.NaN],
    ['-1', -1],
    ['1.5', 1.5],
    ['text', 'x'],
    ['{}', {}],
    ['[]', []],
    ['function', () => undefined],
    ['foreign', other.tensor([1, 2])],
    ['disposed', disposed],
  ]);
}

const kindOf = (value: unknown): string => {
  if (value instanceof Tensor) return 'tensor';
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return 'list';
  return value === null ? 'null' : typeof value;
};

/** Whether `junk` can stand where `valid` stood for all that kinds say; then what comes of it is up to the function. */
function maybe(valid: unknown, name: string, junk: unknown, isAlone: boolean): boolean {
  if (name === 'undefined') return true;
  // of another device is one only beside others
  if (name === 'foreign') return isAlone && valid instanceof Tensor;
  if (name === 'disposed' || name === 'NaN') return false;
  return kindOf(valid) === kindOf(junk) && (isPlain(valid) || !isPlain(junk));
}

function replaced(value: unknown, place: Place, junk: unknown): unknown {
  const [first, ...rest] = place;
  if (first === undefined) return junk;
  if (Array.isArray(value)) return value.map((item, i) => (i === first ? replaced(item, rest, junk) : item));
  return { ...(value as object), [first]: replaced((value as Record<string, unknown>)[first], rest, junk) };
}

const at = (value: unknown, place: Place): unknown =>
  place.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown>)[key], value);

function* places(value: unknown, place: Place, depth: number): Generator<Place> {
  if (place.length > 0) yield place;
  if (depth === 0) return;
  if (place.length === 0) for (const [i, item] of (value as unknown[]).entries()) yield* places(item, [i], depth - 1);
  else if (isPlain(value)) for (const key of Object.keys(value)) yield* places(value[key], [...place, key], depth - 1);
  else if (Array.isArray(value) && value.length > 0) yield* places(value[0], [...place, 0], depth - 1);
}

/** How many tensors and devices there are among values. */
function ofDevices(value: unknown): number {
  if (value instanceof Tensor || (value as Device | null | undefined)?.zeroVariable) return 1;
  if (!Array.isArray(value) && !isPlain(value)) return 0;
  return Object.values(value).reduce<number>((count, part) => count + ofDevices(part), 0);
}

/** Every damage of one place of the arguments of a call. */
export function* damages(
  args: readonly unknown[],
  junk: ReadonlyMap<string, unknown>,
  isMethod = false,
): Generator<Damage> {
  const isAlone = !isMethod && ofDevices(args) < 2;
  for (const place of places(args, [], 4)) {
    const valid = at(args, place);
    // of lists the operation is named, of options the option
    const option =
      place.length > 1 && place.slice(1).every((key) => typeof key === 'string') ? String(place.at(-1)) : undefined;
    for (const [name, value] of junk) {
      if (Object.is(value, valid)) continue;
      yield {
        place: place.join('.'),
        name,
        args: replaced(args, place, value) as readonly unknown[],
        wrong: !maybe(valid, name, value, isAlone),
        // empty ones may be wrong by what they lack, tensors by where they are
        named: ['foreign', 'disposed', '{}', '[]'].includes(name) ? undefined : option,
      };
    }
    if (!isPlain(valid)) continue;
    const misspelt = `${Object.keys(valid)[0] ?? 'option'}x`;
    const wrong = { ...valid, [misspelt]: 1 };
    yield {
      place: place.join('.'),
      name: 'misspelt',
      args: replaced(args, place, wrong) as readonly unknown[],
      wrong: true,
      named: misspelt,
    };
  }
}
