import {
  blockSizes,
  type Device,
  FileFormatError,
  f32ToF16,
  formatShape,
  type HostArray,
  type Variable,
} from '@heddle/tensor';
import { quantize } from '@heddle/tensor/quantized';
import { type SafetensorsDType, type SafetensorsFile, safetensorsToF32 } from '@heddle/tensor/safetensors';

/** How matrices of a model may be stored. */
export const weightDTypes = ['f32', 'f16', 'q8_0', 'q4_0', 'q4_k', 'q6_k'] as const;
export type WeightDType = (typeof weightDTypes)[number];

export interface WeightOptions {
  /** How matrices are stored; vectors (norms, biases) stay f32. Matrices whose rows are no whole blocks are stored in f16. */
  readonly dtype: WeightDType;
  readonly frozen: boolean;
  /** Called after each tensor with the bytes read so far. */
  readonly onProgress?: (progress: { readonly loadedBytes: number; readonly totalBytes: number }) => void;
}

/** The weights of a model on a device, by the names of its file. */
export class Weights {
  readonly #byName: ReadonlyMap<string, Variable>;

  private constructor(byName: ReadonlyMap<string, Variable>) {
    this.#byName = byName;
  }

  /**
   * Reads the named tensors, one at a time, in the order of the file.
   * @throws FileFormatError naming a tensor that is missing or of another shape; then nothing is left on the device
   */
  static async load(
    device: Device,
    file: SafetensorsFile,
    shapes: ReadonlyMap<string, readonly number[]>,
    options: WeightOptions,
  ): Promise<Weights> {
    for (const [name, shape] of shapes) checkShape(file, name, shape);
    const names = file.names().filter((name) => shapes.has(name));
    const totalBytes = names.reduce((sum, name) => sum + file.info(name).byteLength, 0);
    const loaded = new Map<string, Variable>();
    let loadedBytes = 0;
    try {
      for (const name of names) {
        const { dtype, shape, byteLength } = file.info(name);
        const to = storedAs(shape, options.dtype);
        const data = convert(dtype, await file.read(name), to);
        loaded.set(name, device.variable(data, { name, shape, dtype: to, frozen: options.frozen, owner: 'weights' }));
        loadedBytes += byteLength;
        options.onProgress?.({ loadedBytes, totalBytes });
      }
      return new Weights(loaded);
    } catch (error) {
      for (const variable of loaded.values()) variable.dispose();
      throw error;
    }
  }

  /** Frees them all. Idempotent. */
  dispose(): void {
    for (const variable of this.#byName.values()) variable.dispose();
  }

  get(name: string): Variable {
    return this.#byName.get(name)!;
  }
  optional(name: string): Variable | undefined {
    return this.#byName.get(name);
  }
  all(): readonly Variable[] {
    return [...this.#byName.values()];
  }
}

function checkShape(file: SafetensorsFile, name: string, expected: readonly number[]): void {
  if (!file.has(name))
    throw new FileFormatError(`weights: ${name} ${formatShape(expected)} is missing`, { code: 'ERR_WEIGHTS' });
  const { shape } = file.info(name);
  if (formatShape(shape) !== formatShape(expected))
    throw new FileFormatError(
      `weights: ${name} must be ${formatShape(expected)} by the configuration, got ${formatShape(shape)}`,
      { code: 'ERR_WEIGHTS' },
    );
}

function storedAs(shape: readonly number[], dtype: WeightDType): WeightDType {
  if (shape.length < 2) return 'f32';
  if (dtype === 'f32' || dtype === 'f16') return dtype;
  return shape.at(-1)! % blockSizes[dtype].values === 0 ? dtype : 'f16';
}

function convert(dtype: SafetensorsDType, bytes: Uint8Array<ArrayBuffer>, to: WeightDType): HostArray {
  if (dtype === 'F16' && to === 'f16') return new Uint16Array(bytes.buffer);
  if (to !== 'f32' && to !== 'f16' && (dtype === 'F16' || dtype === 'BF16'))
    return quantize(new Uint16Array(bytes.buffer), to, dtype === 'F16' ? 'f16' : 'bf16');
  const floats = safetensorsToF32(dtype, bytes);
  if (to === 'f32') return floats;
  return to === 'f16' ? f32ToF16(floats) : quantize(floats, to);
}
