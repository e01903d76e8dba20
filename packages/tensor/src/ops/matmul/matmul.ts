import { checkArguments, checkFloat } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { DTypeError, ShapeError } from '../../checks/errors.ts';
import { dimsEqual } from '../../dim.ts';
import { isFloat, isStorageDType, promote } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { MatmulOptions } from '../../graph/tensor-operations.ts';
import { broadcastShapes, formatShape, type Shape, sizeOf, stridesOf } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { reshape, transpose } from '../movement/movement.ts';
import { sumTo } from '../reduce/sum-to.ts';
import { type MatmulAttributes, matmulSizes } from './attributes.ts';
import { matmulOnnx } from './matmul.onnx.ts';
import { matmulWebGpu } from './matmul.wgsl.ts';

const matmulOp: Op<MatmulAttributes> = defineOp({
  name: 'matmul',
  takes: (_, input) => input === 1,
  shape([a, b], attributes) {
    if (!isFloat(a!.dtype) || !(isFloat(b!.dtype) || isStorageDType(b!.dtype)))
      throw new DTypeError(`matmul: operands must be f32 or f16, got ${a!.dtype} and ${b!.dtype}`);
    const { m, k, k2, n } = matmulSizes(a!.shape, b!.shape, attributes);
    if (!dimsEqual(k, k2))
      throw new ShapeError(
        `matmul: the inner sizes must agree, got ${k} and ${k2} of ${formatShape(a!.shape)}${attributes.transposeA ? ' transposed' : ''} and ${formatShape(b!.shape)}${attributes.transposeB ? ' transposed' : ''}`,
      );
    const batch = broadcastShapes('matmul', [a!.shape.slice(0, -2), b!.shape.slice(0, -2)]);
    return [{ shape: [...batch, m, n], dtype: attributes.dtype ?? promote(a!.dtype, b!.dtype) }];
  },
  gradient({ inputs: [a, b], outputGradients: [given], needs, attributes: { transposeA, transposeB } }) {
    if (needs[1] && isStorageDType(b!.dtype))
      throw new DTypeError(`matmul: weights of ${b!.dtype} are storage-only and have no gradient`);
    // gradients of a product of f16 are products of f16, also where its sums are given as f32
    const isHalf = a!.dtype === 'f16' && (b!.dtype === 'f16' || isStorageDType(b!.dtype));
    const g = isHalf ? cast(given!, 'f16') : given;
    // the products of a broadcast operand are added up as they are, and stored once
    const wide = (own: Tensor) =>
      isHalf && own.dtype === 'f16' && !isStorageDType(b!.dtype) && !sameBatch(own.shape, g!.shape)
        ? ({ dtype: 'f32' } as const)
        : {};
    // what is storage-only is read on the right alone
    const byA = () =>
      transposeA && !isStorageDType(b!.dtype)
        ? matmul(b!, g!, { transposeA: transposeB, transposeB: true, ...wide(a!) })
        : turned(matmul(g!, b!, { transposeB: !transposeB, ...wide(a!) }), transposeA);
    const byB = () =>
      transposeB
        ? matmul(g!, a!, { transposeA: true, transposeB: transposeA, ...wide(b!) })
        : matmul(a!, g!, { transposeA: !transposeA, ...wide(b!) });
    return [
      needs[0] ? cast(sumTo(byA(), a!.shape), a!.dtype) : undefined,
      needs[1] ? cast(sumTo(byB(), b!.shape), b!.dtype) : undefined,
    ];
  },
  lower: {
    reference: {
      run({ inputs: [a, b], outputs: [out], attributes: { transposeA, transposeB } }) {
        const [m, n] = out!.shape.slice(-2) as [number, number];
        const k = a!.shape[a!.shape.length - (transposeA ? 2 : 1)]!;
        const [ar, ac] = transposeA ? [1, m] : [k, 1];
        const [br, bc] = transposeB ? [1, k] : [n, 1];
        const batch = out!.shape.slice(0, -2);
        const [left, right] = [a!.data, b!.data];
        const result = new Float64Array(sizeOf(out!.shape));
        for (let i = 0; i < sizeOf(batch); i++) {
          const [pa, pb] = [matrixAt(i, batch, a!.shape) * m * k, matrixAt(i, batch, b!.shape) * k * n];
          for (let row = 0; row < m; row++)
            for (let column = 0; column < n; column++) {
              let sum = 0;
              const [ra, cb] = [pa + row * ar, pb + column * bc];
              for (let p = 0; p < k; p++) sum += left[ra + p * ac]! * right[cb + p * br]!;
              result[(i * m + row) * n + column] = sum;
            }
        }
        return [result];
      },
    },
    onnx: matmulOnnx,
    webgpu: matmulWebGpu,
  },
});

const sameBatch = (a: Shape, b: Shape) =>
  a.length === b.length && a.slice(0, -2).every((size, i) => dimsEqual(size, b[i]!));

const turned = (x: Tensor, turn: boolean) => (turn ? transpose(x) : x);

/** Which matrix of an operand belongs to matrix `index` of the broadcast batch. */
function matrixAt(index: number, batch: readonly number[], operand: readonly number[]): number {
  const own = operand.slice(0, -2);
  const [strides, all] = [stridesOf(own), stridesOf(batch)];
  const extra = batch.length - own.length;
  return own.reduce(
    (sum, size, i) => sum + (size === 1 ? 0 : (Math.floor(index / all[i + extra]!) % size) * strides[i]!),
    0,
  );
}

/**
 * Matrix product, accumulated in f32; axes in front broadcast, a vector is a row on the left and a column on the right.
 *
 * `a` is `[..., M, K]` (`[..., K, M]` with `transposeA`), `b` is `[..., K, N]` (`[..., N, K]` with `transposeB`); the result
 * is `[..., M, N]`, f32 unless both are f16; `dtype` f32 gives the sums of a product of f16 as they are, and its gradients are
 * computed from an f16 gradient with respect to the result all the same. `b` may be weights that are storage-only (bf16, block formats): they
 * are read as they lie, the result has the dtype of `a`, and only `a` has a gradient.
 * @throws ShapeError where the inner sizes differ; DTypeError for operands that are no floats
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  checkArguments('matmul', 'tensor', { a, b });
  checkOptions('matmul', options, { transposeA: 'boolean?', transposeB: 'boolean?', dtype: 'anything' });
  checkFloat('matmul', options.dtype);
  const { transposeA = false, transposeB = false, dtype } = options;
  if (a.rank === 0 || b.rank === 0)
    throw new ShapeError(
      `matmul: operands need at least one axis, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
    );
  const left = a.rank === 1 ? reshape(a, transposeA ? [a.shape[0]!, 1] : [1, a.shape[0]!]) : a;
  const right = b.rank === 1 ? reshape(b, transposeB ? [1, b.shape[0]!] : [b.shape[0]!, 1]) : b;
  const product = recordOne(matmulOp, [left, right], { transposeA, transposeB, ...(dtype && { dtype }) });
  if (a.rank > 1 && b.rank > 1) return product;
  const shape = [...product.shape];
  if (b.rank === 1) shape.splice(-1, 1);
  if (a.rank === 1) shape.splice(b.rank === 1 ? -1 : -2, 1);
  return reshape(product, shape);
}
