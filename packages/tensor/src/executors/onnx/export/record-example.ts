import { calledAs } from '../../../checks/called-as.ts';
import { ArgumentError, DTypeError } from '../../../checks/errors.ts';
import { checkSpec, type InputSpec, isInputSpec, typeOfSpec } from '../../../compile/input-spec.ts';
import { type DType, isStorageDType } from '../../../dtype.ts';
import type { Device } from '../../../graph/device.ts';
import { inputOp } from '../../../graph/op.ts';
import { recordOn } from '../../../graph/record.ts';
import { Tensor } from '../../../graph/tensor.ts';
import { Update } from '../../../graph/variable.ts';
import { leavesOf, mapTree } from '../../../tree.ts';

/** A tensor with its place in a tree. */
interface Placed {
  readonly path: string;
  readonly tensor: Tensor;
}
/** What a function does with placeholders for its tensors. */
interface RecordedExample {
  readonly device: Device;
  readonly inputs: readonly Placed[];
  readonly outputs: readonly Placed[];
}

/** Calls a function with a placeholder for each tensor of `example`. @throws ArgumentError, DTypeError for what no file can hold */
export function recordExample(
  fn: (...args: never[]) => unknown,
  example: readonly unknown[],
  bounds: Readonly<Record<string, number>>,
  on: Device | undefined,
): RecordedExample {
  const device = on ?? leavesOf(example).find((leaf) => leaf instanceof Tensor)?.device;
  if (!device)
    throw new ArgumentError('exportOnnx: no argument of the example is a tensor; name the device in options.device');
  const inputs: Placed[] = [];
  const placeholder = (leaf: unknown, path: string): unknown => {
    if (!isTensor(leaf)) return leaf;
    const { shape, dtype } =
      leaf instanceof Tensor
        ? leaf
        : calledAs('exportOnnx', () => {
            checkSpec(leaf as InputSpec);
            return typeOfSpec(leaf as InputSpec, bounds);
          });
    assertComputed(`argument ${path} of the function`, dtype);
    const tensor = recordOn(device, inputOp, [], { name: `exportOnnx: argument ${path}`, shape, dtype })[0]!;
    inputs.push({ path, tensor });
    return tensor;
  };
  const args = mapTree(example, placeholder, isTensor) as never[];
  const outputs: Placed[] = [];
  mapTree(fn(...args), (leaf, path) => {
    outputs.push({ path, tensor: outputAt(leaf, path) });
  });
  if (outputs.length === 0) throw new ArgumentError('exportOnnx: the function returns no tensor');
  return { device, inputs, outputs };
}

const isTensor = (leaf: unknown): boolean => leaf instanceof Tensor || isInputSpec(leaf);

function outputAt(leaf: unknown, path: string): Tensor {
  const place = path === '' ? 'the function' : `result ${path} of the function`;
  if (leaf instanceof Tensor) {
    assertComputed(place, leaf.dtype);
    return leaf;
  }
  if (leaf instanceof Update)
    throw new ArgumentError(
      `exportOnnx: ${place} is an update of the variable '${leaf.variable.name}', and a file has no state; return the new value`,
    );
  throw new ArgumentError(
    `exportOnnx: ${place} must be a tensor or a tree of tensors, got ${leaf === null ? 'null' : typeof leaf}`,
  );
}

/** Formats that weights are stored in are no types of values in a file. */
function assertComputed(place: string, dtype: DType): void {
  if (isStorageDType(dtype))
    throw new DTypeError(`exportOnnx: ${place} is ${dtype}, which is storage-only; use dequantize(tensor)`);
}
