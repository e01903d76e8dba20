import { DeviceError, DisposedError } from '../../checks/errors.ts';
import type { HostArray } from '../../dtype.ts';
import type { Storage } from '../../graph/executor.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { hostValues, type RuntimeTensor } from './runtime.ts';
import type { OnnxStorage } from './storage.ts';

/** Where a run finds a value: among the model's outputs, among the inputs of the run, or stored with a leaf. */
export type Source =
  | { readonly kind: 'result'; readonly name: string; readonly tensor: Tensor }
  | { readonly kind: 'input'; readonly index: number; readonly tensor: Tensor }
  | { readonly kind: 'stored'; readonly tensor: Tensor };

/** What one run has in hand. */
export interface RunValues {
  readonly results: Readonly<Record<string, RuntimeTensor>>;
  readonly inputs: readonly (Storage | HostArray)[];
}

/** The array of a value; not a copy. */
export function arrayOf(source: Source, { results, inputs }: RunValues): HostArray {
  switch (source.kind) {
    case 'result': {
      const result = results[source.name];
      if (!result) throw new DeviceError(`onnx: the runtime gave no value of ${source.tensor.node.op.name}`);
      return hostValues(source.tensor.dtype, result);
    }
    case 'input': {
      const input = inputs[source.index]!;
      return ArrayBuffer.isView(input) ? input : (input as OnnxStorage).data;
    }
    case 'stored':
      return storageOf(source.tensor).data;
  }
}

/** The storage of a leaf. @throws DisposedError where it was disposed of since */
export function storageOf(tensor: Tensor): OnnxStorage {
  if (!tensor.storage) throw new DisposedError('onnx: a program reads a variable or constant that was disposed of');
  return tensor.storage as OnnxStorage;
}
