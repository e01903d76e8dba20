import { type Dim, multiplyDims } from '../../dim.ts';
import type { KernelContext } from '../../graph/webgpu-lowering.ts';
import type { Shape, TensorType } from '../../shape.ts';
import { type MatmulAttributes, matmulSizes } from './attributes.ts';

/** One operand of a product as kernels see it. */
export interface MatmulOperand {
  readonly type: TensorType;
  /** Whether the common axis is the innermost: its values are neighbours. */
  readonly depthIsInner: boolean;
  /** Whether each line of the innermost axis is a whole number of fours, whatever the run. */
  readonly fours: boolean;
  /** Axes in front of the matrix. */
  readonly batch: Shape;
}

/** A product of matrices as kernels see it: `[m, k]` times `[k, n]`, for each of a batch. */
export interface MatmulSpec {
  readonly m: Dim;
  readonly k: Dim;
  readonly n: Dim;
  readonly batch: Shape;
  readonly a: MatmulOperand;
  readonly b: MatmulOperand;
  /** How many neighbouring values of a row of the result may be set at once, whatever the run. */
  readonly store: 1 | 2 | 4;
}

const whole = (dim: Dim, by: number) => typeof dim === 'number' && dim % by === 0;

/** Reads a product's sizes; where one matrix serves the whole batch, the batch is more rows of one product. */
export function matmulSpec({ inputs, outputs, attributes }: KernelContext<MatmulAttributes>): MatmulSpec {
  const [a, b] = [inputs[0]!, inputs[1]!];
  const { m, k, n } = matmulSizes(a.shape, b.shape, attributes);
  const batch = outputs[0]!.shape.slice(0, -2);
  const [ofA, ofB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const isRows = !attributes.transposeA && ofB.every((dim) => dim === 1) && ofA.length === batch.length;
  const operand = (type: TensorType, depthIsInner: boolean, own: Shape): MatmulOperand => ({
    type,
    depthIsInner,
    fours: whole(type.shape.at(-1)!, 4),
    batch: own,
  });
  return {
    m: isRows ? [...batch, m].reduce<Dim>(multiplyDims, 1) : m,
    k,
    n,
    batch: isRows ? [] : batch,
    a: operand(a, !attributes.transposeA, isRows ? [] : ofA),
    b: operand(b, attributes.transposeB, isRows ? [] : ofB),
    store: whole(n, 4) ? 4 : whole(n, 2) ? 2 : 1,
  };
}

/**
 * `fn store(at, column, v)`: sets four neighbours of a row of the result, the first at position `at` and in column `column`,
 * as far as the row goes.
 */
export function storeFunction({ store }: MatmulSpec): string {
  const lanes = { 4: [], 2: ['xy', 'zw'], 1: ['x', 'y', 'z', 'w'] }[store];
  const lines =
    store === 4
      ? ['if (column < params.n) { y_set4(at / 4u, v); }']
      : lanes.map((lane, j) => {
          const call = store === 2 ? `y_set2(at / 2u + ${j}u, v.${lane})` : `y_set(at + ${j}u, v.${lane})`;
          return `if (column + ${j * store}u < params.n) { ${call}; }`;
        });
  return `fn store(at: u32, column: u32, v: vec4<f32>) {\n  ${lines.join('\n  ')}\n}`;
}
