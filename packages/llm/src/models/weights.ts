import { type Device, FileFormatError, f32ToF16, formatShape, type HostArray, type Variable } from '@heddle/tensor';
import { type SafetensorsDType, type SafetensorsFile, safetensorsToF32 } from '@heddle/tensor/safetensors';

export interface WeightOptions {
  /** How matrices are stored; vectors (norms, biases) stay f32. */
  readonly dtype: 'f32' | 'f16';
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
        const to = shape.length >= 2 ? options.dtype : 'f32';
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

function convert(dtype: SafetensorsDType, bytes: Uint8Array<ArrayBuffer>, to: 'f32' | 'f16'): HostArray {
  if (dtype === 'F16' && to === 'f16') return new Uint16Array(bytes.buffer);
  const floats = safetensorsToF32(dtype, bytes);
  return to === 'f32' ? floats : f32ToF16(floats);
}
