import { type Dim, multiplyDims } from '../../dim.ts';
import type { KernelNames } from '../../graph/webgpu-lowering.ts';
import type { Shape } from '../../shape.ts';

/** WGSL of which matrix of an operand belongs to matrix `index` of the broadcast batch. */
export type MatrixIndex = (index: string, names: KernelNames) => string;

/**
 * Which matrix of an operand belongs to each of the batch. Adds the sizes that it needs to `parameters`.
 *
 * @param batch axes of the result in front of its matrices
 * @param own those of the operand
 */
export function matrixIndex(batch: Shape, own: Shape, parameters: Record<string, Dim>): MatrixIndex {
  const extra = batch.length - own.length;
  const size = (dim: Dim) => {
    const name = `size_${String(dim).replace(/\W+/g, '_')}`;
    parameters[name] = dim;
    return name;
  };
  const product = (dims: Shape) => dims.reduce<Dim>(multiplyDims, 1);
  if (own.every((dim) => dim === 1)) return () => '0u';
  // where nothing is broadcast the batches are the same, in the same order
  if (batch.every((dim, axis) => dim === 1 || (axis >= extra && own[axis - extra] !== 1))) return (index) => index;
  const terms = own.flatMap((dim, axis) => {
    if (dim === 1) return [];
    const inner = product(batch.slice(axis + extra + 1));
    const stride = product(own.slice(axis + 1));
    const divisor = inner === 1 ? undefined : size(inner);
    const modulus = product(batch.slice(0, axis + extra)) === 1 ? undefined : size(dim);
    return [{ divisor, modulus, factor: stride === 1 ? undefined : size(stride) }];
  });
  return (index, { size }) => {
    const sums = terms.map(({ divisor, modulus, factor }) => {
      const quotient = divisor === undefined ? index : `${index} / ${size[divisor]}`;
      const coordinate = modulus === undefined ? `(${quotient})` : `((${quotient}) % ${size[modulus]})`;
      return factor === undefined ? coordinate : `${coordinate} * ${size[factor]}`;
    });
    return `(${sums.join(' + ')})`;
  };
}
