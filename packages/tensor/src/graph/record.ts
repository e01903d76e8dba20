import type { Device } from '../device.ts';
import { ArgumentError } from '../errors.ts';
import type { Node, Op } from './op.ts';
import { Tensor } from './tensor.ts';

/**
 * Records an application of `op`; nothing is computed.
 *
 * @throws ShapeError, DTypeError by the operation's rule; ArgumentError where inputs are of different devices;
 *   DisposedError where an input was disposed of
 */
export function record<A>(op: Op<A>, inputs: readonly Tensor[], attributes: A): readonly Tensor[] {
  const device = inputs[0]?.device;
  if (!device)
    throw new ArgumentError(`${op.name}: an operation without inputs is recorded with recordOn(device, ...)`);
  return recordOn(device, op, inputs, attributes);
}

/** Records an application of `op` on `device`: for operations that have no inputs. */
export function recordOn<A>(device: Device, op: Op<A>, inputs: readonly Tensor[], attributes: A): readonly Tensor[] {
  for (const input of inputs) {
    input.assertUsable(op.name);
    if (input.device !== device)
      throw new ArgumentError(`${op.name}: inputs must be of one device, got ${device.name} and ${input.device.name}`);
  }
  const outputs: Tensor[] = [];
  const node: Node<A> = { op, inputs, attributes, outputs };
  op.shape(inputs, attributes).forEach((type, index) => {
    outputs.push(new Tensor(device, node as Node, index, type));
  });
  return outputs;
}

/** `record` for operations with one output. */
export function recordOne<A>(op: Op<A>, inputs: readonly Tensor[], attributes: A): Tensor {
  return record(op, inputs, attributes)[0]!;
}
