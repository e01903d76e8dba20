import { FileFormatError } from '@heddle/tensor';
import type { GgufValue } from './gguf-cursor.ts';
import type { GgufFile } from './gguf-file.ts';

/** The metadata of a GGUF file, read with its types checked: every getter throws FileFormatError `ERR_CONFIG`. */
export class GgufMetadata {
  readonly #label: string;
  readonly #values: ReadonlyMap<string, GgufValue>;

  constructor({ label, metadata }: Pick<GgufFile, 'label' | 'metadata'>) {
    this.#label = label;
    this.#values = metadata;
  }

  keys(): readonly string[] {
    return [...this.#values.keys()];
  }
  has(key: string): boolean {
    return this.#values.has(key);
  }
  value(key: string): GgufValue | undefined {
    return this.#values.get(key);
  }
  number(key: string): number | undefined {
    const value = this.#values.get(key);
    return value === undefined || typeof value === 'number' ? value : this.fail(key, 'a number');
  }
  /** A number, or the same number for every layer. */
  uniform(key: string): number | undefined {
    const value = this.#values.get(key);
    if (!Array.isArray(value)) return this.number(key);
    const [first] = value as readonly GgufValue[];
    if (typeof first !== 'number' || value.some((other) => other !== first))
      return this.fail(key, 'the same number for all layers');
    return first;
  }
  /** A number for each of so many layers: what a list says of them, or the same for all. */
  perLayer(key: string, layers: number): readonly number[] | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) return new Array<number>(layers).fill(this.number(key)!);
    const numbers = this.numbers(key)!;
    return numbers.length >= layers ? numbers.slice(0, layers) : this.fail(key, `${layers} numbers`);
  }
  /** True or false for each of so many layers; numbers that are not 0 count as true. */
  flags(key: string, layers: number): readonly boolean[] | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    const all = Array.isArray(value) ? (value as readonly GgufValue[]) : new Array<GgufValue>(layers).fill(value);
    const fits = all.length >= layers && all.every((one) => typeof one === 'boolean' || typeof one === 'number');
    return fits ? all.slice(0, layers).map(Boolean) : this.fail(key, `true or false for ${layers} layers`);
  }
  boolean(key: string): boolean | undefined {
    const value = this.#values.get(key);
    return value === undefined || typeof value === 'boolean' ? value : this.fail(key, 'true or false');
  }
  string(key: string): string | undefined {
    const value = this.#values.get(key);
    return value === undefined || typeof value === 'string' ? value : this.fail(key, 'a string');
  }
  strings(key: string): readonly string[] | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    const fits = Array.isArray(value) && value.every((item) => typeof item === 'string');
    return fits ? (value as readonly string[]) : this.fail(key, 'a list of strings');
  }
  numbers(key: string): readonly number[] | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    const fits = Array.isArray(value) && value.every((item) => typeof item === 'number');
    return fits ? (value as readonly number[]) : this.fail(key, 'a list of numbers');
  }

  fail(key: string, expected: string): never {
    const value = this.#values.get(key);
    const got = Array.isArray(value) ? `a list of ${value.length}` : JSON.stringify(value)?.slice(0, 80);
    throw new FileFormatError(`gguf: ${this.#label}: ${key}: expected ${expected}, got ${got ?? 'nothing'}`, {
      code: 'ERR_CONFIG',
    });
  }
}
