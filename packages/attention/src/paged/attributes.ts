import type { Dim, DType, Shape, Tensor, TensorType } from '@heddle/tensor';
import type { PackedCall } from './arguments.ts';
import type { PageBits } from './quantized-pages.ts';

/** What a packed attention may read. */
export type PackedInput =
  | 'q'
  | 'k'
  | 'v'
  | 'segments'
  | 'positions'
  | 'keys'
  | 'values'
  | 'table'
  | 'lengths'
  | 'keyScales'
  | 'valueScales'
  | 'starts'
  | 'keyPositions'
  | 'sinks';

/** These in the order of inputs, and where a call has each; those that it has are its attributes' `inputs`. */
export const packedInputs: Readonly<Record<PackedInput, (call: PackedCall) => Tensor | undefined>> = {
  q: ({ q }) => q,
  k: ({ k }) => k,
  v: ({ v }) => v,
  segments: ({ spec }) => spec.segments,
  positions: ({ spec }) => spec.positions,
  keys: ({ kv }) => kv?.keys,
  values: ({ kv }) => kv?.values,
  table: ({ kv }) => kv?.blockTable,
  lengths: ({ kv }) => kv?.lengths,
  keyScales: ({ kv }) => kv?.quantized?.keyScales,
  valueScales: ({ kv }) => kv?.quantized?.valueScales,
  starts: ({ kv }) => kv?.starts,
  keyPositions: ({ kv }) => kv?.keyPositions,
  sinks: ({ spec }) => spec.sinks,
};

/** What happens to the score of a row and a key. */
export interface PackedScores {
  readonly scale: number;
  readonly window?: number;
  /** Positions below it are seen in spite of the window. */
  readonly keepFirst?: number;
  readonly softcap?: number;
}

/** What numbers of a score must be, which a caller may leave out. */
export const scoreNumbers: Readonly<
  Record<Exclude<keyof PackedScores, 'scale'>, 'a positive integer' | 'a positive number'>
> = {
  window: 'a positive integer',
  keepFirst: 'a positive integer',
  softcap: 'a positive number',
};

/**
 * Attention of packed rows over a cache and over each other: what happens to a score, and what the cache holds. Every
 * executor's kernels read it; one that does not know a setting declines, and the attention is decomposed.
 */
export interface PackedAttributes extends PackedScores {
  /** Names of the inputs. */
  readonly inputs: readonly PackedInput[];
  /** V. */
  readonly valueDim: number;
  readonly cache?: { readonly blockSize: number; readonly maxLength: Dim; readonly bits?: PageBits };
  /** Whether the log-sum-exp is an output, too. */
  readonly lse: boolean;
  /**
   * How a GPU's workgroups are laid out: tiles of neighbouring rows, each row with its keys split, or what fits the sizes. 'single':
   * as 'rows', where each row is of another sequence; keys are split at the same places whatever the lengths.
   */
  readonly layout: 'auto' | 'tiles' | 'rows' | 'single';
  /** What a score and a mask function compute, of which the tensors that they captured are behind the inputs with names. */
  readonly functions?: string;
}

export type Named<T> = Readonly<Partial<Record<PackedInput, T>> & Record<'q' | 'k' | 'segments' | 'positions', T>>;

/** The inputs of a packed attention by name. */
export function named<T>(inputs: readonly T[], { inputs: names }: Pick<PackedAttributes, 'inputs'>): Named<T> {
  return Object.fromEntries(names.map((name, i) => [name, inputs[i]!])) as Named<T>;
}

/** The place of an input among the inputs. */
export const placeOf = ({ inputs }: Pick<PackedAttributes, 'inputs'>, name: PackedInput): number =>
  inputs.indexOf(name);

/** T rows, H query heads over K key-value heads of D and V values, G query heads to each. */
export interface PackedSizes {
  readonly T: Dim;
  readonly H: number;
  readonly K: number;
  readonly G: number;
  readonly D: number;
  readonly V: number;
}

export function packedSizes(inputs: readonly TensorType[], attributes: PackedAttributes): PackedSizes {
  const { q, k } = named(inputs, attributes);
  const [T, H, D] = q.shape as [Dim, number, number];
  const K = k.shape[1] as number;
  return { T, H, K, G: H / K, D, V: attributes.valueDim };
}

/** Whether values are read from keys. */
export const valuesInKeys = ({ inputs }: Pick<PackedAttributes, 'inputs'>): boolean => !inputs.includes('v');

/** What tensors of settings must be, by the sizes of an attention. */
export const settingTypes: Readonly<
  Partial<Record<PackedInput, (sizes: { H: number; B: Dim; slots: Dim }) => { dtype: DType; shape: Shape }>>
> = {
  sinks: ({ H }) => ({ dtype: 'f32', shape: [H] }),
  starts: ({ B }) => ({ dtype: 'i32', shape: [B] }),
  keyPositions: ({ slots }) => ({ dtype: 'i32', shape: [slots] }),
};

/** Settings that a kernel may not know: where it does not name one, it declines. */
export type PackedSetting =
  | 'sinks'
  | 'keepFirst'
  | 'valueDim'
  | 'starts'
  | 'keyPositions'
  | 'lse'
  | 'softcap'
  | 'quantized'
  | 'functions';

/** The settings of an attention beyond scale and window, of which a kernel says which it knows. */
export function settingsOf(inputs: readonly TensorType[], attributes: PackedAttributes): readonly PackedSetting[] {
  const { D } = packedSizes(inputs, attributes);
  const has = (name: PackedInput) => attributes.inputs.includes(name);
  const settings: Readonly<Record<PackedSetting, boolean>> = {
    sinks: has('sinks'),
    keepFirst: attributes.keepFirst !== undefined,
    valueDim: valuesInKeys(attributes) || attributes.valueDim !== D,
    starts: has('starts'),
    keyPositions: has('keyPositions'),
    lse: attributes.lse,
    softcap: attributes.softcap !== undefined,
    quantized: attributes.cache?.bits !== undefined,
    functions: attributes.functions !== undefined,
  };
  return (Object.keys(settings) as PackedSetting[]).filter((name) => settings[name]);
}
