import type { DType, HostArray, Tensor, Variable } from '@heddle/tensor';
import type { SafetensorsDType, SafetensorsFile, SafetensorsSource } from '@heddle/tensor/safetensors';
import { TrainingError } from '../errors.ts';
import { writeVariable } from '../step/variables.ts';

const names: Partial<Record<DType, SafetensorsDType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i32: 'I32',
  u32: 'U32',
};

/** Values of a device as a file takes them, read when their turn comes. @throws TrainingError for dtypes that files do not have */
export function sourceOf(name: string, tensor: Tensor): SafetensorsSource {
  const dtype = names[tensor.dtype];
  if (!dtype) throw new TrainingError('ERR_CHECKPOINT', `checkpoint: '${name}' is ${tensor.dtype}, which is not saved`);
  return { dtype, shape: tensor.shape as readonly number[], read: () => tensor.data() };
}

/**
 * Checks that a file has exactly these variables, in their shapes and dtypes.
 * @throws TrainingError `ERR_CHECKPOINT` naming what differs
 */
export function checkVariables(label: string, file: SafetensorsFile, variables: ReadonlyMap<string, Variable>): void {
  const wrong = (what: string) => new TrainingError('ERR_CHECKPOINT', `checkpoint: ${label} ${what}`);
  for (const [name, variable] of variables) {
    if (!file.has(name)) throw wrong(`has no '${name}': it is of another model or optimizer`);
    const { dtype, shape } = file.info(name);
    const expected = sourceOf(name, variable);
    if (dtype !== expected.dtype || String(shape) !== String(expected.shape))
      throw wrong(`has '${name}' as ${dtype} [${shape}], here it is ${expected.dtype} [${expected.shape}]`);
  }
  const unknown = file.names().find((name) => !variables.has(name));
  if (unknown !== undefined) throw wrong(`has '${unknown}', which is not here: it is of another model or optimizer`);
}

/** Gives variables the values of a file that was checked. */
export async function readVariables(file: SafetensorsFile, variables: ReadonlyMap<string, Variable>): Promise<void> {
  for (const name of file.names()) {
    const variable = variables.get(name)!;
    await writeVariable(variable, hostArrayOf(variable.dtype, await file.read(name)));
  }
}

function hostArrayOf(dtype: DType, { buffer }: Uint8Array<ArrayBuffer>): HostArray {
  if (dtype === 'i32') return new Int32Array(buffer);
  if (dtype === 'u32') return new Uint32Array(buffer);
  return dtype === 'f32' ? new Float32Array(buffer) : new Uint16Array(buffer);
}
