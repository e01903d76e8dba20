import { BatcherError } from './errors.ts';

/** What an argument must be: in words, and as a test. */
export interface Rule {
  readonly what: string;
  holds(value: unknown): boolean;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && !Number.isNaN(value);

export const anything: Rule = { what: 'anything', holds: () => true };
export const number: Rule = { what: 'a number', holds: isNumber };
export const atLeast0: Rule = { what: 'a number of at least 0', holds: (value) => isNumber(value) && value >= 0 };
export const positive: Rule = { what: 'a number greater than 0', holds: (value) => isNumber(value) && value > 0 };
export const share: Rule = {
  what: 'a number from 0 to 1',
  holds: (value) => isNumber(value) && value >= 0 && value <= 1,
};
export const aFunction: Rule = { what: 'a function', holds: (value) => typeof value === 'function' };
export const aBoolean: Rule = { what: 'true or false', holds: (value) => typeof value === 'boolean' };
export const text: Rule = { what: 'a string', holds: (value) => typeof value === 'string' };
export const list: Rule = { what: 'an array', holds: Array.isArray };
export const object: Rule = {
  what: 'an object',
  holds: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};
export const aClass: Rule = { what: 'a class', holds: (value) => typeof value === 'function' && 'prototype' in value };
export const signal: Rule = {
  what: 'an AbortSignal',
  holds: (value) => typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value,
};

/** An array of which each is what `rule` says. */
export function listOf(rule: Rule): Rule {
  return { what: `an array, each ${rule.what}`, holds: (value) => Array.isArray(value) && value.every(rule.holds) };
}

/** An integer of at least `least`. */
export function count(least: number): Rule {
  return {
    what: `an integer of at least ${least}`,
    holds: (value) => Number.isInteger(value) && (value as number) >= least,
  };
}

/** One of a few strings. */
export function oneOf(...values: readonly string[]): Rule {
  return { what: values.map((value) => `'${value}'`).join(' or '), holds: (value) => values.includes(value as string) };
}

/** An object with these methods, as every component has that can be one's own. */
export function having(...methods: readonly string[]): Rule {
  return {
    what: `an object with ${methods.join(', ')}`,
    holds: (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof (value as { [name: string]: unknown })[method] === 'function'),
  };
}

/** The same, or nothing. */
export function optional({ what, holds }: Rule): Rule {
  return { what, holds: (value) => value === undefined || holds(value) };
}

/** @throws BatcherError ERR_ARGUMENT unless `value` is what `rule` says */
export function checkArgument(operation: string, name: string, value: unknown, rule: Rule): void {
  if (rule.holds(value)) return;
  throw new BatcherError('ERR_ARGUMENT', `${operation}: ${name} must be ${rule.what}, got ${describe(value)}`);
}

/**
 * Checks every option of a call; `rules` has one for each that there is.
 *
 * @throws BatcherError ERR_ARGUMENT for one that is not known or not what its rule says
 */
export function checkOptions<O extends object>(
  operation: string,
  options: O,
  rules: { readonly [K in keyof Required<O>]: Rule },
): void {
  checkArgument(operation, 'options', options, object);
  const known = rules as { readonly [name: string]: Rule };
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(known, name)) continue;
    const there = Object.keys(known).join(', ');
    throw new BatcherError('ERR_ARGUMENT', `${operation}: there is no option '${name}'; there are ${there}`);
  }
  const given = options as { readonly [name: string]: unknown };
  for (const [name, rule] of Object.entries(known)) checkArgument(operation, name, given[name], rule);
}

/** A value in a few words, for messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value !== 'object' || value === null) return String(value);
  const names = Object.keys(value).slice(0, 5).join(', ');
  return names === '' ? 'an object' : `an object with ${names}`;
}
