import type { BlockFormat, HostArray } from '@heddle/tensor';

/** How matrices of a model may be stored. */
export const weightDTypes = ['f32', 'f16', 'q8_0', 'q4_0', 'q4_k', 'q6_k'] as const;
export type WeightDType = (typeof weightDTypes)[number];

/** A tensor as a device takes it. */
export interface StoredTensor {
  readonly dtype: 'f32' | 'f16' | BlockFormat;
  readonly data: HostArray;
  /** What was done where it could not stay as it is in the file. */
  readonly note?: string;
}

/** Tensors of a model's file, whatever its format. */
export interface WeightFile {
  /** Names the file in messages. */
  readonly label: string;
  /** Whether it has weights as Hugging Face writes them, some of which are transposed. */
  readonly transposes: boolean;
  /** In the order of their data. */
  names(): readonly string[];
  has(name: string): boolean;
  info(name: string): { readonly shape: readonly number[]; readonly byteLength: number };
  /**
   * One tensor as a device takes it.
   * @param dtype for matrices; vectors are f32. Without it as the file has it, as near as devices have it.
   * @param transposed whether the transpose of a matrix is wanted
   * @throws FileFormatError
   */
  read(name: string, dtype: WeightDType | undefined, transposed?: boolean): Promise<StoredTensor>;
  /** Whether two tensors hold the same. */
  equal(a: string, b: string): Promise<boolean>;
  close(): Promise<void>;
}
