import { type Dim, multiplyDims } from '../../dim.ts';
import type { Shape } from '../../shape.ts';

/**
 * WGSL of which matrix of an operand belongs to matrix `index` of the broadcast batch. Adds the sizes that it needs to
 * `parameters`.
 *
 * @param batch axes of the result in front of its matrices
 * @param own those of the operand
 */
export function matrixIndex(index: string, batch: Shape, own: Shape, parameters: Record<string, Dim>): string {
  const extra = batch.length - own.length;
  const size = (dim: Dim) => {
    const name = `size_${String(dim).replace(/\W+/g, '_')}`;
    parameters[name] = dim;
    return `params.${name}`;
  };
  const product = (dims: Shape) => dims.reduce<Dim>(multiplyDims, 1);
  if (own.every((dim) => dim === 1)) return '0u';
  // where nothing is broadcast the batches are the same, in the same order
  if (batch.every((dim, axis) => dim === 1 || (axis >= extra && own[axis - extra] !== 1))) return index;
  const terms = own.flatMap((dim, axis) => {
    if (dim === 1) return [];
    const inner = product(batch.slice(axis + extra + 1));
    const stride = product(own.slice(axis + 1));
    const quotient = inner === 1 ? index : `${index} / ${size(inner)}`;
    const outermost = product(batch.slice(0, axis + extra)) === 1;
    const coordinate = outermost ? `(${quotient})` : `((${quotient}) % ${size(dim)})`;
    return [stride === 1 ? coordinate : `${coordinate} * ${size(stride)}`];
  });
  return `(${terms.join(' + ')})`;
}
