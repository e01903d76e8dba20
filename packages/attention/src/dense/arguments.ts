import {
  ArgumentError,
  broadcastShapes,
  checkArguments,
  checkOptions,
  type Dim,
  DTypeError,
  formatShape,
  isFloat,
  type OptionKinds,
  type Shape,
  ShapeError,
  shapesEqual,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';
import { alibiSlopes } from './alibi.ts';
import type { AttentionDropout, AttentionSpec } from './attention-spec.ts';
import { dropoutKeys, dropoutThreshold } from './dropout.ts';

/** Tensors that a spec may add to q, k and v, in the order in which they are inputs. */
const optionalInputs = ['bias', 'mask', 'keyLengths', 'sinks', 'slopes', 'segments', 'dropoutKeys'] as const;
/** Behind them what a mask function sees, see `maskBlocks`. */
export type OptionalInput = (typeof optionalInputs)[number] | 'blocks';

export const specKinds: Readonly<Record<keyof AttentionSpec, OptionKinds[string]>> = {
  causal: 'boolean?',
  window: 'size?',
  keepFirst: 'size?',
  sinks: 'tensor?',
  softcap: 'positive?',
  alibi: 'anything',
  scale: 'finite?',
  bias: 'tensor?',
  mask: 'tensor?',
  keyLengths: 'tensor?',
  segments: 'tensor?',
  dropout: 'object?',
  scoreMod: 'function?',
  maskMod: 'function?',
};

/** A spec as plain data, with the names of the tensors behind q, k and v. */
export interface DenseAttributes {
  readonly scale: number;
  readonly causal: boolean;
  readonly window?: number;
  readonly keepFirst?: number;
  readonly softcap?: number;
  /** Draws of 16 bits below it are left out; see `dropout.ts`. */
  readonly dropout?: number;
  readonly extras: readonly OptionalInput[];
}

/** Sizes of an attention: H is a multiple of K. */
export interface DenseSizes {
  readonly B: Dim;
  readonly L: Dim;
  readonly S: Dim;
  readonly H: number;
  readonly K: number;
  readonly D: number;
}

export function sizesOf([q, k]: readonly TensorType[]): DenseSizes {
  const [B, L, H, D] = q!.shape as [Dim, Dim, number, number];
  return { B, L, H, D, S: k!.shape[1]!, K: k!.shape[2] as number };
}

/** The inputs of an attention by name. */
export function extrasOf<T>(inputs: readonly T[], { extras }: DenseAttributes): Partial<Record<OptionalInput, T>> {
  return Object.fromEntries(extras.map((name, i) => [name, inputs[3 + i]!]));
}

/** The shape and dtype rule, except for mistakes in the spec's numbers. @throws ShapeError, DTypeError */
export function checkDense(inputs: readonly TensorType[], attributes: DenseAttributes): DenseSizes {
  const [q, k, v] = inputs as [TensorType, TensorType, TensorType];
  if (![q, k, v].every(({ shape }) => shape.length === 4) || !shapesEqual(k.shape, v.shape))
    fail('q must be [B, L, H, D], k and v both [B, S, K, D]', q, k, v);
  const sizes = sizesOf(inputs);
  const { B, L, S, H, K, D } = sizes;
  if (![H, K, D].every((size) => typeof size === 'number') || H % K !== 0 || !shapesEqual(k.shape, [B, S, K, D]))
    fail('k must have the batch and head size of q, and q a multiple of its heads', q, k);
  if (![q, k, v].every(({ dtype }) => isFloat(dtype)) || k.dtype !== v.dtype)
    throw new DTypeError(
      `attention: q, k and v must be f32 or f16, k and v the same, got ${q.dtype}, ${k.dtype} and ${v.dtype}`,
    );
  const { bias, mask, keyLengths, sinks, slopes, segments, dropoutKeys } = extrasOf(inputs, attributes);
  for (const [name, type] of Object.entries({ bias, mask })) if (type) checkBroadcast(name, type.shape, [B, H, L, S]);
  const expect = (name: string, type: TensorType | undefined, dtype: string, shape: Shape | undefined) => {
    if (type && type.dtype !== dtype) throw new DTypeError(`attention: ${name} must be ${dtype}, got ${type.dtype}`);
    if (type && shape && !shapesEqual(type.shape, shape)) fail(`${name} must be ${formatShape(shape)}`, type);
  };
  if (bias && !isFloat(bias.dtype)) throw new DTypeError(`attention: bias must be f32 or f16, got ${bias.dtype}`);
  expect('mask', mask, 'bool', undefined);
  expect('keyLengths', keyLengths, 'i32', [B]);
  expect('sinks', sinks, 'f32', [H]);
  expect('alibi', slopes, 'f32', [H]);
  expect('segments', segments, 'i32', [B, S]);
  expect('dropout keys', dropoutKeys, 'u32', [B, H, 2]);
  return sizes;
}

function fail(rule: string, ...got: readonly TensorType[]): never {
  throw new ShapeError(`attention: ${rule}, got ${got.map(({ shape }) => formatShape(shape)).join(' and ')}`);
}

function checkBroadcast(name: string, shape: Shape, to: Shape): void {
  if (shape.length > 4 || !shapesEqual(broadcastShapes(`attention: ${name}`, [shape, to]), to))
    throw new ShapeError(`attention: ${name} must broadcast to ${formatShape(to)}, got ${formatShape(shape)}`);
}

function checkDropout(dropout: AttentionDropout): void {
  checkOptions('attention: dropout', dropout, { p: 'number', seed: 'anything' });
  if (typeof dropout.seed !== 'number') checkArguments('attention: dropout', 'tensor', { seed: dropout.seed });
}

/** Inputs and attributes of an attention. @throws ArgumentError for numbers out of range */
export function denseArguments(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  spec: AttentionSpec,
): { inputs: readonly Tensor[]; attributes: DenseAttributes } {
  checkOptions('attention', spec, specKinds);
  const { causal = false, window, keepFirst, softcap, alibi, scale = 1 / Math.sqrt(Number(q.shape.at(-1))) } = spec;
  if (keepFirst !== undefined && window === undefined)
    throw new ArgumentError(
      `attention: keepFirst needs a window, in spite of which first keys are seen, got ${keepFirst} without one`,
    );
  if (alibi !== undefined && typeof alibi !== 'boolean') checkArguments('attention', 'tensor', { alibi });
  if (spec.dropout !== undefined) checkDropout(spec.dropout);
  const slopes = alibi === true ? alibiSlopes(q.device, Number(q.shape[2])) : alibi || undefined;
  const dropout = spec.dropout && dropoutThreshold(spec.dropout.p);
  const given: Partial<Record<OptionalInput, Tensor | undefined>> = {
    ...spec,
    slopes,
    dropoutKeys: dropout ? dropoutKeys(q.device, q.shape, spec.dropout!.seed) : undefined,
  };
  const extras = optionalInputs.filter((name) => given[name] !== undefined);
  const attributes: DenseAttributes = {
    scale,
    causal,
    ...(window === undefined ? {} : { window }),
    ...(keepFirst === undefined ? {} : { keepFirst }),
    ...(softcap === undefined ? {} : { softcap }),
    ...(dropout ? { dropout } : {}),
    extras,
  };
  return { inputs: [q, k, v, ...extras.map((name) => given[name]!)], attributes };
}
