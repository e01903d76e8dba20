import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { type Dim, largestOf } from '../../dim.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { type Shape, sizeOf } from '../../shape.ts';
import { arange } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { where } from '../elementwise/where.ts';
import { permute, reshape } from '../movement/movement.ts';
import { pad, slice } from '../movement/slice.ts';
import {
  type Axes,
  countable,
  defineReduction,
  type ReduceAttributes,
  type ReduceOptions,
  reduce,
  restore,
} from './reduce.ts';

const prodOp: Op<ReduceAttributes> = defineReduction({
  name: 'prod',
  identity: () => 1,
  combine: (a, b) => a * b,
  wrapped: Math.imul,
  onnx: 'ReduceProd',
  webgpu: { identity: '1', combine: (a, b) => `${a} * ${b}` },
  gradient({ inputs: [x], outputGradients: [g], attributes }) {
    const others = recordOne(othersOp, [cast(x!, 'f32')], { axes: attributes.axes });
    return [cast(others.mul(cast(restore(g!, x!.shape, attributes), 'f32')), x!.dtype)];
  },
});

/** For each value the product of all others over the axes. */
const othersOp: Op<{ readonly axes: readonly number[] }> = defineOp({
  name: 'productOfOthers',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  // of what is in front and what is behind, without a division: where values are 0 or infinite, and where their product ends
  decompose([x], { axes }) {
    const rows = rowsOf(x!.shape, axes);
    const own = rows.flat(x!);
    return [rows.back(productsBefore(own).mul(productsBefore(own.flip(1)).flip(1)))];
  },
  /**
   * By value j it is the sum over i of `g[i]` times the product of all but i and j: what the product over all but j of the
   * dual numbers `x + g e` has by `e`. Made of products alone, it is right where values are 0, and so are its own gradients.
   */
  gradient({ inputs: [x], outputGradients: [g], attributes: { axes } }) {
    const rows = rowsOf(x!.shape, axes);
    const own = { real: rows.flat(x!), dual: rows.flat(g!) };
    const before = dualsBefore(own);
    const behind = flipped(dualsBefore(flipped(own)));
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
function productsBefore(x: Tensor): Tensor {
  const size = x.shape[1]!;
  let product = shifted(x, 1, size);
  for (let reach = 1; reach < largestOf(size); reach *= 2) product = product.mul(shifted(product, reach, size));
  return product;
}
function dualsBefore(x: Dual): Dual {
  const size = x.real.shape[1]!;
  const move = ({ real, dual }: Dual, by: number) => ({ real: shifted(real, by, size), dual: moved(dual, by, size) });
  let product = move(x, 1);
  for (let reach = 1; reach < largestOf(size); reach *= 2) product = times(product, move(product, reach));
  return product;
}

/** Moves everything `by` places on; zeros come in. */
const moved = (x: Tensor, by: number, size: Dim): Tensor => slice(pad(x, [0, by], [0, 0]), 1, 0, size);
/** The same with ones. */
const shifted = (x: Tensor, by: number, size: Dim): Tensor =>
  where(arange(x.device, size).less(by), 1, moved(x, by, size));

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
 * Product over `axes` (all where none are named), 1 over none; of bool it is i32. Gradients of every order are right where values are 0. Integers
 * wrap around; on ONNX Runtime a product beyond 63 bits is some integer.
 * @throws ShapeError for an axis that is not there, or is named twice; ArgumentError for an option that it does not have
 */
export function prod(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkArguments('prod', 'tensor', { x });
  checkOptions('prod', options, { keepDims: 'boolean?' });
  return reduce(prodOp, countable(x), axes, options);
}
