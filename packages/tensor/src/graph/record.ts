import { checkArguments } from '../checks/check-arguments.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError } from '../checks/errors.ts';
import { type DType, isBlockFormat, isStorageDType } from '../dtype.ts';
import { checkDType, checkSizes } from '../shape.ts';
import type { Device } from './device.ts';
import { isLeafOp, type Node, type Op } from './op.ts';
import { Tensor } from './tensor.ts';

/**
 * Records an application of `op`; nothing is computed.
 *
 * @throws ShapeError, DTypeError by the operation's rule, and for sizes and dtypes that are none; ArgumentError where inputs are of different devices;
 *   DisposedError where an input was disposed of
 */
export function record<A>(op: Op<A>, inputs: readonly Tensor[], attributes: A): readonly Tensor[] {
  if (typeof op?.shape !== 'function') throw new ArgumentError(`record: takes an operation, got ${describe(op)}`);
  checkArguments(op.name, 'list', { inputs });
  const [first] = inputs;
  if (inputs.length === 0)
    throw new ArgumentError(`${op.name}: an operation without inputs is recorded with recordOn(device, ...)`);
  if (!first?.node) throw new ArgumentError(`${op.name}: input 0 must be a tensor, got ${describe(first)}`);
  return recordOn(first.device, op, inputs, attributes);
}

/**
 * Records an application of `op` on `device`: for operations that have no inputs.
 * @throws ShapeError, DTypeError as the operation says; ArgumentError for inputs of another device
 */
export function recordOn<A>(device: Device, op: Op<A>, inputs: readonly Tensor[], attributes: A): readonly Tensor[] {
  checkArguments('recordOn', 'device', { device });
  if (typeof op?.shape !== 'function') throw new ArgumentError(`recordOn: takes an operation, got ${describe(op)}`);
  checkArguments(op.name, 'list', { inputs });
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i]!;
    if (!(input as Tensor | undefined)?.node)
      throw new ArgumentError(`${op.name}: input ${i} must be a tensor, got ${describe(input)}`);
    input.assertUsable(op.name);
    if (input.device !== device) {
      const names =
        device.name === input.device.name ? `two ${device.name}` : `${device.name} and ${input.device.name}`;
      throw new ArgumentError(`${op.name}: inputs must be of one device, got tensors of ${names} devices`);
    }
    if (isStorageDType(input.dtype) && !op.takes?.(input.dtype, i)) refuseStored(op.name, input.dtype, i);
  }
  const outputs: Tensor[] = [];
  const node: Node<A> = { op, inputs, attributes, outputs };
  op.shape(inputs, attributes).forEach((type, index) => {
    checkSizes(op.name, type.shape);
    checkDType(op.name, type.dtype);
    if (isStorageDType(type.dtype) && !op.takes && !isLeafOp(op as Op))
      throw new DTypeError(`${op.name}: gives no ${type.dtype}, which is storage-only; cast the result`);
    outputs.push(new Tensor(device, node as Node, index, type));
  });
  device.remembered.noteUses(inputs);
  return outputs;
}

/** @throws DTypeError for an operand of a storage-only dtype */
export function refuseStored(operation: string, dtype: DType, input: number): void {
  if (!isStorageDType(dtype)) return;
  const remedy = isBlockFormat(dtype) ? 'dequantize' : 'cast';
  throw new DTypeError(`${operation}: input ${input} is ${dtype}, which is storage-only; ${remedy} it to f32 or f16`);
}

/** `record` for operations with one output. @throws as `record` */
export function recordOne<A>(op: Op<A>, inputs: readonly Tensor[], attributes: A): Tensor {
  return record(op, inputs, attributes)[0]!;
}
