import { type Dim, largestOf } from '../../dim.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { type Shape, sizeOf } from '../../shape.ts';
import { arange } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { where } from '../elementwise/elementwise.ts';
import { permute, reshape } from '../movement/movement.ts';
import { pad, slice } from '../movement/slice.ts';
import {
  type Axes,
  defineReduction,
  type ReduceAttributes,
  type ReduceOptions,
  reduce,
  restore,
  sum,
} from './reduce.ts';

const prodOp: Op<ReduceAttributes> = defineReduction({
  name: 'prod',
  identity: () => 1,
  combine: (a, b) => a * b,
  wrapped: Math.imul,
  onnx: 'ReduceProd',
  webgpu: { identity: '1', combine: (a, b) => `${a} * ${b}` },
  gradient: ({ inputs: [x], outputGradients: [g], attributes }) => [
    recordOne(othersOp, [x!], { axes: attributes.axes }).mul(restore(g!, x!.shape, attributes)),
  ],
});

/** For each value the product of all others over the axes. */
const othersOp: Op<{ readonly axes: readonly number[] }> = defineOp({
  name: 'productOfOthers',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  // by division where nothing is 0, and of what is not 0 by the one value that is
  decompose([x], { axes }) {
    const isZero = x!.equal(0);
    const filled = where(isZero, 1, x!);
    const zeros = sum(cast(isZero, x!.dtype), axes, { keepDims: true });
    const rest = prod(filled, axes, { keepDims: true });
    return [where(isZero, where(zeros.equal(1), rest, 0), where(zeros.equal(0), rest.div(filled), 0))];
  },
  /**
   * By value j it is the sum over i of `g[i]` times the product of all but i and j: what the product over all but j of the
   * dual numbers `x + g e` has by `e`. Made of products alone, it is right where values are 0, and so are its own gradients.
   */
  gradient({ inputs: [x], outputGradients: [g], attributes: { axes } }) {
    const rows = rowsOf(x!.shape, axes);
    const own = { real: rows.flat(x!), dual: rows.flat(g!) };
    const before = productsBefore(own);
    const behind = flipped(productsBefore(flipped(own)));
    return [rows.back(times(before, behind).dual)];
  },
});

interface Dual {
  readonly real: Tensor;
  readonly dual: Tensor;
}

const times = (a: Dual, b: Dual): Dual => ({
  real: a.real.mul(b.real),
  dual: a.real.mul(b.dual).add(a.dual.mul(b.real)),
});
const flipped = ({ real, dual }: Dual): Dual => ({ real: real.flip(1), dual: dual.flip(1) });

/** Along the second axis, the product of everything in front of each place, by doubling. */
function productsBefore(x: Dual): Dual {
  const size = x.real.shape[1]!;
  let product = shifted(x, 1, size);
  for (let reach = 1; reach < largestOf(size); reach *= 2) product = times(product, shifted(product, reach, size));
  return product;
}

/** Moves everything `by` places on; ones come in. */
function shifted({ real, dual }: Dual, by: number, size: Dim): Dual {
  const move = (t: Tensor) => slice(pad(t, [0, by], [0, 0]), 1, 0, size);
  return { real: where(arange(real.device, size).less(by), 1, move(real)), dual: move(dual) };
}

/** A tensor as rows of what `axes` span, and back. */
function rowsOf(shape: Shape, axes: readonly number[]) {
  const kept = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes];
  const apart = order.map((axis) => shape[axis]!);
  const [rows, length] = [sizeOf(kept.map((axis) => shape[axis]!)), sizeOf(axes.map((axis) => shape[axis]!))];
  return {
    flat: (t: Tensor) => reshape(permute(t, order), [rows, length]),
    back: (t: Tensor) =>
      permute(
        reshape(t, apart),
        shape.map((_, axis) => order.indexOf(axis)),
      ),
  };
}

/**
 * Product over `axes` (all where none are named), 1 over none. Gradients of every order are right where values are 0. Integers
 * wrap around; on ONNX Runtime a product beyond 63 bits is some integer.
 */
export function prod(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return reduce(prodOp, x, axes, options);
}
