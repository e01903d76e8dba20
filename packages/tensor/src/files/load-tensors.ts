import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError, FileFormatError, ShapeError } from '../checks/errors.ts';
import type { DType } from '../dtype.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Variable } from '../graph/variable.ts';
import { type FileInput, openInput } from './byte-source.ts';
import { openSafetensors } from './safetensors-open.ts';
import type { SafetensorsFile } from './safetensors-reader.ts';
import { readSafetensors } from './safetensors-reader.ts';
import { mapNamed, namedTensors } from './tensor-names.ts';
import { blocksOf, type LoadedType, loadedType, loadedValues } from './tensor-values.ts';

/** What tensors are loaded from: any file input, or a file handle of a browser. */
export type TensorInput = FileInput | { getFile(): Promise<Blob> };

/** What is loaded, and as what. */
export interface LoadTensorsOptions<T> {
  /**
   * Nested arrays and plain objects of tensors and variables: the file must have exactly these, in their shapes and dtypes, and the
   * result is such a tree of new ones, variables where `like` has variables.
   */
  readonly like?: T;
  /** What floats become, by default what they are in the file (f32 for those that devices do not have). */
  readonly dtype?: 'f32' | 'f16' | 'bf16';
}

/**
 * Loads a safetensors file (its shards, too) onto a device, one tensor at a time: by name, or with `like` as a tree. Owned by the
 * caller. F64 and F8 become f32; whole numbers of other widths i32, which must hold them.
 *
 * ```ts
 * const weights = await loadTensors(device, 'weights.safetensors'); // weights['blocks.0.w']
 * const parameters = await loadTensors(device, 'weights.safetensors', { like: model.parameters });
 * ```
 * @throws FileFormatError for a damaged file, and where it has other tensors than `like`; ShapeError, DTypeError where one differs;
 *   then nothing is left on the device
 */
export async function loadTensors<T = Record<string, Tensor>>(
  device: Device,
  input: TensorInput,
  options: LoadTensorsOptions<T> = {},
): Promise<T> {
  if (typeof device?.tensor !== 'function')
    throw new ArgumentError(`loadTensors: takes a device, got ${describe(device)}`);
  checkOptions('loadTensors', options, ['like', 'dtype']);
  const { like, dtype } = options;
  if (dtype !== undefined && !['f32', 'f16', 'bf16'].includes(dtype))
    throw new ArgumentError(`loadTensors: dtype takes f32, f16, bf16, got ${describe(dtype)}`);
  const expected = like === undefined ? undefined : namedTensors('loadTensors: like', like);
  const file = await openTensors(input);
  const made = new Map<string, Tensor>();
  try {
    const types = typesOf(file, dtype);
    if (expected) checkLike(types, expected, dtype);
    for (const name of file.names()) {
      const type = types.get(name)!;
      const values = loadedValues(name, file.info(name).dtype, type, await file.read(name));
      const target = expected?.get(name);
      made.set(
        name,
        target instanceof Variable
          ? device.variable(values, { ...type, name: target.name, frozen: target.frozen })
          : device.tensor(values, type),
      );
    }
  } catch (error) {
    for (const tensor of made.values()) tensor.dispose();
    throw error;
  } finally {
    await file.close();
  }
  if (!expected) return Object.fromEntries(made) as T;
  return mapNamed(like, (_, name) => made.get(name)) as T;
}

async function openTensors(input: TensorInput): Promise<SafetensorsFile> {
  const { getFile } = (typeof input === 'object' && input !== null ? input : {}) as { getFile?(): Promise<Blob> };
  if (typeof getFile === 'function') return openSafetensors(await getFile.call(input));
  if (typeof input === 'string') return openSafetensors(input);
  return readSafetensors(await openInput('loadTensors', input as FileInput));
}

function typesOf(file: SafetensorsFile, float: LoadTensorsOptions<unknown>['dtype']): ReadonlyMap<string, LoadedType> {
  const blocks = blocksOf(file.metadata);
  return new Map(file.names().map((name) => [name, loadedType(name, file.info(name), blocks.get(name), float)]));
}

function checkLike(
  types: ReadonlyMap<string, LoadedType>,
  expected: ReadonlyMap<string, Tensor>,
  dtype: DType | undefined,
): void {
  const differs = (what: string) => new FileFormatError(`loadTensors: the file ${what}`, { code: 'ERR_FILE_TENSORS' });
  for (const [name, like] of expected) {
    const type = types.get(name);
    if (!type) throw differs(`has no ${name}; it has ${[...types.keys()].slice(0, 5).join(', ') || 'no tensors'}`);
    if (String(type.shape) !== String(like.shape))
      throw new ShapeError(`loadTensors: ${name} is [${type.shape}] in the file, expected [${like.shape}]`);
    if (dtype === undefined && type.dtype !== like.dtype)
      throw new DTypeError(`loadTensors: ${name} is ${type.dtype} in the file, expected ${like.dtype}; name a dtype`);
  }
  const extra = [...types.keys()].find((name) => !expected.has(name));
  if (extra !== undefined) throw differs(`has ${extra}, which the tree has not`);
}
