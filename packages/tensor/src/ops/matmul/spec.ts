import { type Dim, multiplyDims } from '../../dim.ts';
import type { KernelBufferSource, KernelContext, KernelNames } from '../../graph/webgpu-lowering.ts';
import { type Shape, sizeOf, type TensorType } from '../../shape.ts';
import { type MatmulAttributes, matmulSizes } from './attributes.ts';

/** One operand of a product as kernels see it. */
export interface MatmulOperand {
  /** Where kernels read it: an input of the product, or memory that another kernel has written. */
  readonly source: KernelBufferSource;
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
  const operand = (input: number, depthIsInner: boolean, own: Shape): MatmulOperand => {
    const type = inputs[input]!;
    return {
      source: { input },
      type,
      depthIsInner,
      fours: whole(type.shape.at(-1)!, 4),
      batch: own,
    };
  };
  return {
    m: isRows ? [...batch, m].reduce<Dim>(multiplyDims, 1) : m,
    k,
    n,
    batch: isRows ? [] : batch,
    a: operand(0, !attributes.transposeA, isRows ? [] : ofA),
    b: operand(1, attributes.transposeB, isRows ? [] : ofB),
    store: whole(n, 4) ? 4 : whole(n, 2) ? 2 : 1,
  };
}

/** Multiplications and additions of a product. */
export function productFlops({ batch, m, k, n }: MatmulSpec): Dim {
  return [2, sizeOf(batch), m, k, n].reduce<Dim>(multiplyDims, 1);
}

/**
 * `fn store(at, column, v)`: sets four neighbours of a row of the result, the first at position `at` and in column `column`,
 * as far as the row goes. With `also` it takes a fourth argument, what the epilogue takes beside `v`.
 */
export function storeFunction(
  { store }: MatmulSpec,
  { set, set2, set4, size, own }: KernelNames,
  also = false,
): string {
  const lanes = { 4: [], 2: ['xy', 'zw'], 1: ['x', 'y', 'z', 'w'] }[store];
  const lines =
    store === 4
      ? [`if (column < ${size.n}) { ${set4.y}(at / 4u, v${also ? ', also' : ''}); }`]
      : lanes.map((lane, j) => {
          const call = store === 2 ? `${set2.y}(at / 2u + ${j}u, v.${lane})` : `${set.y}(at + ${j}u, v.${lane})`;
          return `if (column + ${j * store}u < ${size.n}) { ${call}; }`;
        });
  const parameters = `at: u32, column: u32, v: vec4<f32>${also ? ', also: vec4<f32>' : ''}`;
  return `fn ${own.store}(${parameters}) {\n  ${lines.join('\n  ')}\n}`;
}
