import type { BlockFormat, HostArray } from '@heddle/tensor';
import type { WeightSource } from './weight-source.ts';

/** How matrices of a model may be stored. */
export const weightDTypes = ['f32', 'f16', 'q8_0', 'q4_0', 'mxfp4', 'q4_k', 'q5_k', 'q6_k'] as const;
export type WeightDType = (typeof weightDTypes)[number];

/** A tensor as a device takes it. */
export interface StoredTensor {
  readonly dtype: 'f32' | 'f16' | BlockFormat;
  readonly data: HostArray;
  /** What was done where it could not stay as it is in the file. */
  readonly note?: string;
}

/** A tensor as a device takes it, some rows at a time: whole blocks of sixteen, but for the last ones. */
export interface StoredParts {
  readonly dtype: StoredTensor['dtype'];
  readonly parts: AsyncIterable<HostArray>;
  readonly note?: string;
}

/** A weight, and the tensors that it is read from. */
interface ReadWeight {
  readonly stored: readonly string[];
  readonly shape: readonly number[];
  readonly source?: WeightSource;
}

/** Tensors of a model's file, whatever its format. */
export interface WeightFile {
  /** Names the file in messages. */
  readonly label: string;
  /** Whether it has weights as Hugging Face's files have them. */
  readonly isHuggingFace: boolean;
  /** In the order of their data. */
  names(): readonly string[];
  has(name: string): boolean;
  info(name: string): { readonly shape: readonly number[]; readonly byteLength: number };
  /**
   * One weight as a device takes it.
   * @param dtype for matrices; vectors are f32. Without it as the file has it, as near as devices have it.
   * @throws FileFormatError
   */
  read(weight: ReadWeight, dtype: WeightDType | undefined): Promise<StoredTensor>;
  /**
   * As `read`, some rows at a time; undefined where the weight has to be read as a whole.
   * @param partBytes about how many bytes of the file are read at once
   */
  readInParts(weight: ReadWeight, dtype: WeightDType | undefined, partBytes: number): Promise<StoredParts | undefined>;
  /** Whether two tensors hold the same. */
  equal(a: string, b: string): Promise<boolean>;
  close(): Promise<void>;
}
