import { FileFormatError } from '@heddle/tensor';
import { parsePythonJson } from './python-json.ts';

/** What a number must be, beyond a number. */
interface Range {
  readonly min?: number;
  /** Lower bound that itself is not allowed. */
  readonly above?: number;
  /** Against values that no model has, and with which reading would not end. */
  readonly max?: number;
}

/**
 * The fields of one JSON object of a configuration file, read with their types checked.
 *
 * A field that is `null` counts as absent, as Python writes None. Every getter throws FileFormatError `ERR_CONFIG` that
 * names the file, the field, what was expected and what came.
 */
export class JsonFields {
  /** Names the file in messages. */
  readonly file: string;
  readonly #fields: Readonly<Record<string, unknown>>;
  /** Where the object stands in its file: empty, or the outer field's name with a dot. */
  readonly #prefix: string;
  readonly #read: Set<string> = new Set();
  readonly #inner: Map<string, JsonFields> = new Map();

  constructor(file: string, fields: Readonly<Record<string, unknown>>, prefix = '') {
    this.file = file;
    this.#fields = fields;
    this.#prefix = prefix;
  }

  /** Parses a file's text, which Python may have written. */
  static parse(file: string, text: string): JsonFields {
    let value: unknown;
    try {
      value = parsePythonJson(text);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new FileFormatError(`${file}: expected JSON: ${reason}`, { code: 'ERR_CONFIG', cause });
    }
    if (!isObject(value)) {
      throw new FileFormatError(`${file}: expected a JSON object, got ${show(value)}`, { code: 'ERR_CONFIG' });
    }
    return new JsonFields(file, value);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name) && this.#fields[name] !== null;
  }

  /** Whether the file says `null`. */
  isNull(name: string): boolean {
    return Object.hasOwn(this.#fields, name) && this.#fields[name] === null;
  }

  /** Names of the fields, those that are `null` too. */
  names(): readonly string[] {
    return Object.keys(this.#fields);
  }

  /** Fields that hold something and that nobody has asked for, those of inner objects with the outer name and a dot. */
  unread(): readonly string[] {
    return this.names().flatMap((name) => {
      if (this.isNull(name)) return [];
      const inner = this.#inner.get(name);
      if (inner) return inner.unread().map((field) => `${name}.${field}`);
      return this.#read.has(name) ? [] : [name];
    });
  }

  /** A field's value unchecked, undefined where it is absent or `null`. */
  value(name: string): unknown {
    return this.#get(name);
  }

  /** A value as messages show it. */
  show(name: string): string {
    return show(this.#get(name));
  }

  integer(name: string, range: Range = {}): number {
    return this.optionalInteger(name, range) ?? this.fail(name, describeNumber('integer', range), undefined);
  }

  optionalInteger(name: string, range: Range = {}): number | undefined {
    const value = this.#get(name);
    if (value === undefined || (Number.isSafeInteger(value) && isWithin(value as number, range)))
      return value as number;
    return this.fail(name, describeNumber('integer', range), value);
  }

  number(name: string, range: Range = {}): number {
    return this.optionalNumber(name, range) ?? this.fail(name, describeNumber('number', range), undefined);
  }

  optionalNumber(name: string, range: Range = {}): number | undefined {
    const value = this.#get(name);
    if (value === undefined || (Number.isFinite(value) && isWithin(value as number, range))) return value as number;
    return this.fail(name, describeNumber('number', range), value);
  }

  boolean(name: string, otherwise: boolean): boolean {
    const value = this.#get(name) ?? otherwise;
    return typeof value === 'boolean' ? value : this.fail(name, 'true or false', value);
  }

  optionalString(name: string): string | undefined {
    const value = this.#get(name);
    return value === undefined || typeof value === 'string' ? value : this.fail(name, 'a string', value);
  }

  /** A list of positive numbers. */
  positiveNumbers(name: string): readonly number[] {
    const value = this.#get(name);
    const fits = Array.isArray(value) && value.every((item) => Number.isFinite(item) && item > 0);
    return fits ? (value as number[]) : this.fail(name, 'a list of positive numbers', value);
  }

  /** A list of whole numbers from 0, undefined where absent. */
  optionalIntegers(name: string): readonly number[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const fits = Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
    return fits ? (value as number[]) : this.fail(name, 'a list of whole numbers from 0', value);
  }

  /** A list of so many values, each of which is one of those that are named; undefined where absent. */
  optionalChoices<T extends string | number | boolean>(
    name: string,
    choices: readonly T[],
    count: number,
  ): readonly T[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const fits = Array.isArray(value) && value.length >= count && value.every((item) => choices.includes(item as T));
    return fits
      ? (value as T[]).slice(0, count)
      : this.fail(name, `a list of ${count}, each ${choices.join(' or ')}`, value);
  }

  /** Passes where the field is absent or has one of these values, for settings of which nothing else is computed. */
  only(name: string, values: readonly unknown[], why: string): void {
    const value = this.#get(name);
    if (value !== undefined && !values.includes(value)) this.fail(name, `${values.join(' or ')}: ${why}`, value);
  }

  /** A list of strings, undefined where absent. */
  optionalStrings(name: string): readonly string[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const fits = Array.isArray(value) && value.every((item) => typeof item === 'string');
    return fits ? (value as string[]) : this.fail(name, 'a list of strings', value);
  }

  /** The fields of an inner object, undefined where absent. */
  optionalObject(name: string): JsonFields | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!isObject(value)) return this.fail(name, 'an object', value);
    const inner = this.#inner.get(name) ?? new JsonFields(this.file, value, `${this.#prefix}${name}.`);
    this.#inner.set(name, inner);
    return inner;
  }

  /** The fields of an inner object, with those of the outer one that are named where the inner has none of them. */
  within(name: string, inherited: readonly string[]): JsonFields | undefined {
    const value = this.#get(name);
    if (!isObject(value)) return undefined;
    const outer = inherited.filter((field) => Object.hasOwn(this.#fields, field));
    const fields = { ...Object.fromEntries(outer.map((field) => [field, this.#fields[field]])), ...value };
    return new JsonFields(this.file, fields, `${this.#prefix}${name}.`);
  }

  /** Throws the error for a field whose value does not fit; `value` is read from the field unless given. */
  fail(name: string, expected: string, value: unknown = this.#get(name)): never {
    const message = `${this.file}: ${this.#prefix}${name}: expected ${expected}, got ${show(value)}`;
    throw new FileFormatError(message, { code: 'ERR_CONFIG' });
  }

  #get(name: string): unknown {
    this.#read.add(name);
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWithin(value: number, { min, above, max }: Range): boolean {
  return (min === undefined || value >= min) && (above === undefined || value > above) && (max ?? value) >= value;
}

function describeNumber(kind: string, { min, above, max }: Range): string {
  const article = kind === 'integer' ? 'an' : 'a';
  if (min !== undefined && max !== undefined) return `${article} ${kind} from ${min} to ${max}`;
  if (min !== undefined) return `${article} ${kind} of at least ${min}`;
  return above === undefined ? `${article} ${kind}` : `${article} ${kind} above ${above}`;
}

/** A value for a message: scalars as JSON, cut; lists and objects by their size, for they may be deep. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isObject(value)) return 'an object';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
