import { parseArgs } from 'node:util';
import { nearest } from './nearest.ts';
import { UsageError } from './usage.ts';

export const text = { type: 'string' } as const;
export const flag = { type: 'boolean' } as const;
/** May come several times. */
export const many = { type: 'string', multiple: true } as const;

type Kinds = Readonly<Record<string, typeof text | typeof flag | typeof many>>;
type Values<K extends Kinds> = {
  readonly [N in keyof K]?: K[N] extends typeof many ? string[] : K[N] extends typeof text ? string : boolean;
};

export function parse<K extends Kinds>(args: readonly string[], options: K): Values<K> {
  const { values, tokens } = parsed(args, options);
  const names = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []));
  const twice = names.find((name, i) => names.indexOf(name) < i && options[name] !== many);
  if (twice !== undefined) throw new UsageError(`--${twice} is given twice`);
  return values as Values<K>;
}

function parsed<K extends Kinds>(args: readonly string[], options: K) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false, tokens: true });
  } catch (error) {
    const { message } = error as Error;
    const unknown = /^Unknown option '(--?[^']+)'/.exec(message)?.[1];
    if (unknown !== undefined) throw new UsageError(unknownOption(unknown, Object.keys(options)));
    // of a value such as -1 Node says, on three lines, that it may have been meant as an option
    const option = /'(--[\w-]+)(?: <value>)?' argument (?:is ambiguous|missing)/.exec(message)?.[1];
    throw new UsageError(option ? `${option} needs a value (one that begins with '-' as ${option}=VALUE)` : message);
  }
}

function unknownOption(typed: string, names: readonly string[]): string {
  const meant = nearest(typed.replace(/^-+/, ''), names);
  const all = names.map((name) => `--${name}`).join(', ');
  return `there is no option ${typed}${meant === undefined ? '' : `, perhaps --${meant} is meant`}; there are ${all}`;
}

export function number(
  name: string,
  value: string | undefined,
  min: number,
  max: number = Number.POSITIVE_INFINITY,
): number | undefined {
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isFinite(parsed) || parsed < min || parsed > max)
    throw new UsageError(
      `${name} takes a number${Number.isFinite(max) ? ` from ${min} to ${max}` : Number.isFinite(min) ? ` of at least ${min}` : ''}, got '${value}'`,
    );
  return parsed;
}

export function wholeNumber(name: string, value: string | undefined, min: number): number | undefined {
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isSafeInteger(parsed) || parsed < min)
    throw new UsageError(`${name} takes a whole number of at least ${min}, got '${value}'`);
  return parsed;
}

export function oneOf<T extends string>(name: string, value: string | undefined, among: readonly T[]): T | undefined {
  if (value === undefined) return undefined;
  const found = among.find((candidate) => candidate === value);
  if (!found) throw new UsageError(`${name} takes ${among.join(', ')}, got '${value}'`);
  return found;
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** A number of bytes with its unit, such as 24GiB. */
export function bytes(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(value.trim()) ?? [];
  const scale = Object.hasOwn(units, unit) ? units[unit] : undefined;
  const count = digits === undefined || scale === undefined ? Number.NaN : Math.floor(Number(digits) * scale);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new UsageError(`${name} takes bytes with a unit, such as 24GiB or 80GB, got '${value}'`);
  return count;
}
