import { type RotarySpec, rotaryFrequencies } from '@heddle/attention';
import { FileFormatError } from '@heddle/tensor';
import type { ModelConfig } from '../config.ts';
import { describeModel } from '../families.ts';
import { ggufConfig } from '../gguf/gguf-config.ts';
import type { GgufValue } from '../gguf/gguf-cursor.ts';
import type { GgufField } from '../gguf/gguf-field.ts';
import type { GgufTensor } from '../gguf/gguf-header.ts';
import type { GgufOutput } from './gguf-bytes.ts';

/**
 * Checks that what is said of a model is that model: what is read of it again, but for rounding to f32.
 * @throws FileFormatError `ERR_CONFIG` naming what such a file cannot say
 */
export async function checkSaid(
  label: string,
  architecture: string,
  config: ModelConfig,
  said: {
    readonly fields: Readonly<Record<string, GgufField>>;
    readonly tensors: readonly Pick<GgufOutput, 'name' | 'shape' | 'type' | 'pieces'>[];
  },
): Promise<void> {
  const values = Object.entries(said.fields).map(([key, [kind, value]]): [string, GgufValue] => [
    key,
    kind === 'f32' ? Math.fround(value) : value,
  ]);
  const tensors = new Map(said.tensors.map(({ name, shape, type }) => [name, { name, shape, type } as GgufTensor]));
  const file = {
    label,
    metadata: new Map(values),
    tensors,
    async read(name: string) {
      for await (const piece of said.tensors.find((tensor) => tensor.name === name)!.pieces()) return piece.slice();
      return new Uint8Array();
    },
  };
  const read = await ggufConfig(file, architecture);
  const again = describeModel({ label: `${label} as a GGUF file`, text: JSON.stringify(read.config) }).config;
  const other =
    difference(config.layout, again.layout, 'layout') ??
    difference(config.maxPositions, again.maxPositions, 'maxPositions');
  if (other !== undefined)
    throw new FileFormatError(
      `quantize: ${label}: a GGUF file of the architecture ${architecture} cannot say what this model is: ${other}; write a folder`,
      { code: 'ERR_CONFIG' },
    );
}

/** The tensors settle which biases there are; sources are those of folders. */
const settled = new Set(['bias', 'weight', 'transposed', 'dropout']);

/** Where two values are not the same, and what they are; numbers are where f32 cannot tell them apart. */
function difference(a: unknown, b: unknown, path: string): string | undefined {
  if (typeof a === 'number' && typeof b === 'number')
    return a === b || Math.abs(a - b) <= 1e-6 * Math.abs(a) ? undefined : `${path} is ${a}, read as ${b}`;
  if (isRotary(a) && isRotary(b)) return difference(turns(a), turns(b), path);
  if (typeof a === 'object' && a !== null && typeof b === 'object' && b !== null) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (settled.has(key)) continue;
      const inner = difference(
        (a as Record<string, unknown>)[key],
        (b as Record<string, unknown>)[key],
        `${path}.${key}`,
      );
      if (inner !== undefined) return inner;
    }
    return undefined;
  }
  return a === b ? undefined : `${path} is ${JSON.stringify(a)}, read as ${JSON.stringify(b)}`;
}

const isRotary = (value: unknown): value is RotarySpec =>
  typeof value === 'object' && value !== null && 'theta' in value && 'scaling' in value;

/** What a rotary embedding does to short and to long sequences, however that is said. */
const turns = (spec: RotarySpec): object => [rotaryFrequencies(spec), rotaryFrequencies(spec, Number.MAX_SAFE_INTEGER)];
