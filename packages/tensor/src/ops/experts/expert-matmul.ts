import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError } from '../../checks/errors.ts';
import { multiplyDims } from '../../dim.ts';
import { isStorageDType } from '../../dtype.ts';
import { bounded } from '../../graph/bounded.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { sizeOf } from '../../shape.ts';
import { arange } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { maximum, minimum } from '../elementwise/elementwise.ts';
import { where } from '../elementwise/where.ts';
import { matmul } from '../matmul/matmul.ts';
import { expand, reshape } from '../movement/movement.ts';
import { sum } from '../reduce/reduce.ts';
import { type ExpertMatmulAttributes, expertSizes } from './attributes.ts';
import { expertMatmulOnnx } from './expert-matmul.onnx.ts';
import { expertMatmulWebGpu } from './expert-matmul.wgsl.ts';

const expertMatmulOp: Op<ExpertMatmulAttributes> = defineOp({
  name: 'expertMatmul',
  takes: (_, input) => input === 1,
  shape(inputs, attributes) {
    const { T, S, M } = expertSizes(inputs, attributes);
    return [{ shape: [T, S, M], dtype: 'f32' }];
  },
  gradient({ inputs: [x, w, experts], outputGradients: [g], needs, attributes: { inFirst } }) {
    if (needs[1] && isStorageDType(w!.dtype))
      throw new DTypeError(`expertMatmul: weights of ${w!.dtype} are storage-only and have no gradient`);
    const byX = () => {
      const each = recordOne(expertMatmulOp, [g!, w!, experts!], { inFirst: !inFirst });
      return cast(x!.rank === 2 ? sum(each, 1) : each, x!.dtype);
    };
    const byW = () => cast(productsByExpert(inFirst ? [x!, g!] : [g!, x!], experts!, w!.shape[0] as number), w!.dtype);
    return [needs[0] ? byX() : undefined, needs[1] ? byW() : undefined, undefined];
  },
  // all rows times all matrices, of which each row takes its own; kernels compute those alone
  decompose([x, w, experts], attributes) {
    const { T, S, N, M, shared } = expertSizes([x!, w!, experts!], attributes);
    const rows = shared ? x! : reshape(x!, [multiplyDims(T, S), x!.shape[2]!]);
    const all = matmul(rows, w!, { transposeB: !attributes.inFirst, dtype: 'f32' });
    const apart = reshape(all, [N, T, shared ? 1 : S, M]);
    const place = reshape(arange(x!.device, N), [N, 1, 1, 1]);
    return [sum(where(reshape(clamped(experts!, N), [1, T, S, 1]).equal(place), apart, 0), 0)];
  },
  lower: {
    reference: {
      run({ inputs: [x, w, experts], outputs: [out], attributes }) {
        const [T, S, M] = out!.shape as [number, number, number];
        const { N, K, shared } = expertSizes([x!, w!, experts!], attributes);
        const result = new Float64Array(sizeOf([T, S, M]));
        for (let row = 0; row < T * S; row++) {
          const from = (shared ? Math.floor(row / S) : row) * K;
          const matrix = Math.min(Math.max(experts!.data[row]!, 0), N - 1) * K * M;
          for (let m = 0; m < M; m++) {
            let total = 0;
            for (let k = 0; k < K; k++)
              total += x!.data[from + k]! * w!.data[matrix + (attributes.inFirst ? k * M + m : m * K + k)]!;
            result[row * M + m] = total;
          }
        }
        return [result];
      },
    },
    onnx: expertMatmulOnnx,
    webgpu: expertMatmulWebGpu,
  },
});

const clamped = (experts: Tensor, N: number): Tensor => minimum(maximum(experts, 0), N - 1);

/** For each expert the sum over its rows of a column times a row: `[N, A, B]` of a `[T, (S,) A]` and b `[T, (S,) B]`. */
function productsByExpert([a, b]: readonly [Tensor, Tensor], experts: Tensor, N: number): Tensor {
  const [T, S] = experts.shape as [number, number];
  const rows = multiplyDims(T, S);
  const flat = (x: Tensor) => {
    const width = x.shape.at(-1)!;
    const each = x.rank === 2 ? expand(reshape(x, [T, 1, width]), [T, S, width]) : x;
    return reshape(cast(each, 'f32'), [1, rows, width]);
  };
  const own = reshape(clamped(experts, N), [1, rows, 1]).equal(reshape(arange(a.device, N), [N, 1, 1]));
  return matmul(where(own, flat(a), 0), flat(b), { transposeA: true });
}

/**
 * Products of rows with the matrices that each of them names, as in mixtures of experts. What is computed for a row depends on
 * nothing but the row and its matrices; what other rows name, and matrices that nobody names, do not matter.
 *
 * @param x f32 or f16 `[T, K]`, one row for all experts of a row, or `[T, S, K]`, one for each
 * @param weights `[N, M, K]`: a matrix for each expert, f32, f16 or storage-only (bf16, block formats: then they have no gradient)
 * @param experts i32 `[T, S]`, from 0 to N - 1; what is outside takes the nearest
 * @returns f32 `[T, S, M]`, summed in f32; differentiable with respect to x and weights
 * @throws ShapeError, DTypeError
 */
export function expertMatmul(x: Tensor, weights: Tensor, experts: Tensor): Tensor {
  checkArguments('expertMatmul', 'tensor', { x, weights, experts });
  const limited = experts.dtype === 'i32' ? bounded('expertMatmul', experts, weights.shape[0]!) : experts;
  return recordOne(expertMatmulOp, [x, weights, limited], { inFirst: false });
}
