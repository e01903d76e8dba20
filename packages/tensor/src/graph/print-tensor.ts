import { formatNumbers } from '../host-data.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Tensor } from './tensor.ts';

/** Values that a line shows. */
const shown = 8;

/** A tensor in a line: dtype, shape, device, and its first values where they are on the host. Computes nothing. */
export function printTensor(tensor: Tensor, kind: string, state: 'disposed' | 'stale' | undefined): string {
  const { device, dtype, shape, storage } = tensor;
  const what = `${kind} ${dtype} ${formatShape(shape)} on ${device.name}`;
  if (state) return `${what}, ${state === 'stale' ? 'overwritten by a later run' : 'disposed of'}`;
  if (!storage) return `${what}, not computed yet`;
  const values = device.executor.peek?.(storage, shown);
  if (!values) return `${what}, computed`;
  const rest = (sizeOf(shape) as number) > shown ? ', ...' : '';
  return `${what}: ${shape.length === 0 ? formatNumbers(dtype, values)[0] : `[${formatNumbers(dtype, values).join(', ')}${rest}]`}`;
}

/** Has console.log of Node show what `toString` gives. */
export function showAsText(prototype: object): void {
  Object.defineProperty(prototype, Symbol.for('nodejs.util.inspect.custom'), {
    value(this: object): string {
      return String(this);
    },
  });
}
