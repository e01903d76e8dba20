import {
  type Dim,
  DTypeError,
  defineOp,
  formatShape,
  isFloat,
  type Op,
  recordOne,
  ShapeError,
  shapesEqual,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';
import type { AttendSpec } from '../kernels/attention-kernel.ts';
import type { KvView } from '../kernels/kv-view.ts';
import { decomposePacked } from './decomposition.ts';
import { packedOnnx } from './onnx/attention.onnx.ts';
import { checkQuantizedPages, type PageBits } from './quantized-pages.ts';
import { packedReference } from './reference.ts';
import { packedWebGpu } from './wgsl/lowering.wgsl.ts';

/**
 * Attention of packed rows over a cache and over each other. Inputs: q `[T, H, D]`, k and v `[T, K, D]`, segments and
 * positions `[T]`, and with a cache its keys and values `[slots, K, D]`, block table `[B, N]` and lengths `[B]`; where these are
 * quantised, scales of keys and values behind them.
 */
export interface PackedAttributes {
  readonly scale: number;
  readonly window?: number;
  readonly softcap?: number;
  readonly cache?: { readonly blockSize: number; readonly maxLength: Dim; readonly bits?: PageBits };
  /** How a GPU's workgroups are laid out: tiles of neighbouring rows, each row with its keys split, or what fits the sizes. */
  readonly layout: 'auto' | 'tiles' | 'rows';
}

const packedAttentionOp: Op<PackedAttributes> = defineOp({
  name: 'packedAttention',
  shape: (inputs, { cache }) => [checkPacked(inputs, cache?.bits)],
  decompose: (inputs, attributes) => [decomposePacked(inputs, attributes)],
  lower: { reference: packedReference, onnx: packedOnnx, webgpu: packedWebGpu },
});

/** The shape and dtype rule. @throws ShapeError, DTypeError */
export function checkPacked(inputs: readonly TensorType[], bits?: PageBits): TensorType {
  const [q, k, v, segments, positions, keys, values, blockTable, lengths, keyScales, valueScales] = inputs;
  const fail = (rule: string, ...got: readonly (TensorType | undefined)[]): never => {
    throw new ShapeError(`attend: ${rule}, got ${got.map((type) => formatShape(type!.shape)).join(' and ')}`);
  };
  if (q!.shape.length !== 3 || k!.shape.length !== 3 || !shapesEqual(k!.shape, v!.shape))
    fail('q must be [T, H, D], k and v both [T, K, D]', q, k, v);
  const [T, H, D] = q!.shape as [Dim, number, number];
  const K = k!.shape[1] as number;
  if (!shapesEqual(k!.shape, [T, K, D]) || typeof K !== 'number' || typeof H !== 'number' || H % K !== 0)
    fail('k must have the rows and head size of q, and q a multiple of its heads', q, k);
  if (!shapesEqual(segments!.shape, [T]) || !shapesEqual(positions!.shape, [T]))
    fail('segments and positions must be [T]', segments, positions);
  if (![q, k, v].every((type) => isFloat(type!.dtype)) || k!.dtype !== v!.dtype)
    throw new DTypeError(
      `attend: q, k and v must be f32 or f16, k and v the same, got ${q!.dtype}, ${k!.dtype} and ${v!.dtype}`,
    );
  if (segments!.dtype !== 'i32' || positions!.dtype !== 'i32')
    throw new DTypeError(`attend: segments and positions must be i32, got ${segments!.dtype} and ${positions!.dtype}`);
  if (!keys) return q!;
  if (bits) checkQuantizedPages([keys, values!, keyScales!, valueScales!], bits, K, D);
  else if (!shapesEqual(keys.shape, values!.shape) || !shapesEqual(keys.shape.slice(1), [K, D]))
    fail(`the cache's keys and values must be [slots, ${K}, ${D}]`, keys, values);
  if (blockTable!.shape.length !== 2 || !shapesEqual(blockTable!.shape.slice(0, 1), lengths!.shape))
    fail('the block table must be [B, N] and the lengths [B]', blockTable, lengths);
  const floats = bits !== undefined || (isFloat(keys.dtype) && keys.dtype === values!.dtype);
  if (!floats || blockTable!.dtype !== 'i32' || lengths!.dtype !== 'i32')
    throw new DTypeError(
      `attend: a cache's keys and values must be f32 or f16, its block table and lengths i32, got ${[keys, values!, blockTable!, lengths!].map((type) => type.dtype).join(', ')}`,
    );
  return q!;
}

/** Inputs and attributes of a packed attention. */
export function packedArguments(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  kv: KvView | undefined,
  { segments, positions, scale, window, softcap }: AttendSpec,
  layout: PackedAttributes['layout'] = 'auto',
): { inputs: readonly Tensor[]; attributes: PackedAttributes } {
  const dim = q.shape.at(-1);
  const attributes: PackedAttributes = {
    scale: scale ?? 1 / Math.sqrt(dim as number),
    ...(window === undefined ? {} : { window }),
    ...(softcap === undefined ? {} : { softcap }),
    ...(kv
      ? {
          cache: {
            blockSize: kv.blockSize,
            maxLength: kv.maxLength,
            ...(kv.quantized ? { bits: kv.quantized.bits } : {}),
          },
        }
      : {}),
    layout,
  };
  const own = [q, k, v, segments, positions];
  if (!kv) return { inputs: own, attributes };
  const scales = kv.quantized ? [kv.quantized.keyScales, kv.quantized.valueScales] : [];
  return { inputs: [...own, kv.keys, kv.values, kv.blockTable, kv.lengths, ...scales], attributes };
}

/** Records a packed attention as one operation. */
export function packedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  kv: KvView | undefined,
  spec: AttendSpec,
  layout: PackedAttributes['layout'],
): Tensor {
  const { inputs, attributes } = packedArguments(q, k, v, kv, spec, layout);
  return recordOne(packedAttentionOp, inputs, attributes);
}
