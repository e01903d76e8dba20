import type { Device, Variable } from '@heddle/tensor';
import type { WeightDType, WeightFile } from './weight-file.ts';
import type { PlannedWeight } from './weight-names.ts';

export interface WeightOptions {
  /**
   * How matrices are stored; vectors (norms, biases) stay f32. Matrices whose rows are no whole blocks are stored in f16.
   * Undefined: as the file has them, or as near to it as devices have it.
   */
  readonly dtype: WeightDType | undefined;
  readonly frozen: boolean;
  /** Larger tensors are read some rows at a time, about so many bytes. Default 32 MiB. */
  readonly partBytes?: number;
  /** Called after each tensor with the bytes read so far. */
  readonly onProgress?: (progress: { readonly loadedBytes: number; readonly totalBytes: number }) => void;
  /** Called with the name of a tensor that could not stay as it is in the file, and what was done. */
  readonly onConverted?: (name: string, note: string) => void;
}

/** The weights of a model on a device, by the names that Hugging Face has for them. */
export class Weights {
  readonly #byName: ReadonlyMap<string, Variable>;

  private constructor(byName: ReadonlyMap<string, Variable>) {
    this.#byName = byName;
  }

  /**
   * Reads the planned tensors one at a time, in their order, and large ones in parts.
   * @throws FileFormatError naming a tensor that cannot be read; then nothing is left on the device
   */
  static async load(
    device: Device,
    file: WeightFile,
    plan: readonly PlannedWeight[],
    options: WeightOptions,
  ): Promise<Weights> {
    const bytesOf = ({ stored }: PlannedWeight) => stored.reduce((sum, name) => sum + file.info(name).byteLength, 0);
    const totalBytes = plan.reduce((sum, weight) => sum + bytesOf(weight), 0);
    const { partBytes = 2 ** 25 } = options;
    const loaded = new Map<string, Variable>();
    let loadedBytes = 0;
    try {
      for (const weight of plan) {
        const { name, stored, shape } = weight;
        const parts =
          bytesOf(weight) > partBytes ? await file.readInParts(weight, options.dtype, partBytes) : undefined;
        const { dtype, note, ...values } = parts ?? (await file.read(weight, options.dtype));
        if (note !== undefined) options.onConverted?.(stored[0]!, note);
        const made = { name, shape, dtype, frozen: options.frozen, owner: 'weights' };
        loaded.set(
          name,
          'parts' in values ? await device.variableOfParts(values.parts, made) : device.variable(values.data, made),
        );
        loadedBytes += bytesOf(weight);
        options.onProgress?.({ loadedBytes, totalBytes });
      }
      return new Weights(loaded);
    } catch (error) {
      for (const variable of loaded.values()) variable.dispose();
      throw error;
    }
  }

  /** Weights that are on the device already. They belong to the result. */
  static of(byName: ReadonlyMap<string, Variable>): Weights {
    return new Weights(byName);
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
