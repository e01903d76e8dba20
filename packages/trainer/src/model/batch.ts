import { ArgumentError, type DType, dtypeOfArray, type Fed, type HostArray, type Tensor } from '@heddle/tensor';

/**
 * What one step learns from: named tensors or host values. A typed array has one axis, `{ data, shape }` more. Host values
 * are copied to the device in the step.
 */
export type Batch = Readonly<Record<string, Fed>>;

/** A batch inside the plan: every value is a tensor of the shape that the batch has. */
export type TracedBatch<B> = { readonly [K in keyof B]: Tensor };

/** What a step takes for the tensors `I` of a loss. */
export type BatchFor<I> = { readonly [K in keyof I]: Fed };

/** Shapes and dtypes of a batch: what one plan is for. */
export interface BatchSpec {
  readonly inputs: Readonly<Record<string, { readonly shape: readonly number[]; readonly dtype: DType }>>;
  /** Equal for batches that share a plan. */
  readonly key: string;
}

/** @throws ArgumentError naming the value that is neither a tensor nor a typed array */
export function specOf(batch: Batch): BatchSpec {
  if (typeof batch !== 'object' || batch === null)
    throw new ArgumentError(
      `train: a batch must be an object of tensors, typed arrays and { data, shape }, got ${batch === null ? 'null' : typeof batch}`,
    );
  const inputs: Record<string, { shape: readonly number[]; dtype: DType }> = {};
  for (const name of Object.keys(batch).sort()) {
    const value = batch[name]!;
    const dtype = dtypeOf(value);
    if (!dtype)
      throw new ArgumentError(
        `train: '${name}' of the batch must be a tensor, a typed array or { data, shape }, got ${value === null ? 'null' : typeof value}`,
      );
    inputs[name] = { shape: shapeOf(value), dtype };
  }
  return { inputs, key: JSON.stringify(inputs) };
}

/** Names of whole numbers on the host of which all are the same negative one, as masked targets are. */
export function maskedEntirely(batch: Batch): string[] {
  return Object.keys(batch).filter((name) => {
    const value = batch[name] as HostArray | { readonly data?: unknown };
    const data: unknown = ArrayBuffer.isView(value) ? value : value.data;
    if (!(data instanceof Int32Array) || data.length === 0 || !(data[0]! < 0)) return false;
    return data.every((item) => item === data[0]);
  });
}

/** Number of values. */
export function valueCount(value: Fed): number {
  return shapeOf(value).reduce((a, b) => a * b, 1);
}

function dtypeOf(value: Fed): DType | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if ('dtype' in value) return value.dtype;
  const data: unknown = 'data' in value ? value.data : value;
  return ArrayBuffer.isView(data) ? dtypeOfArray(data) : undefined;
}

function shapeOf(value: Fed): readonly number[] {
  return ArrayBuffer.isView(value) ? [(value as HostArray).length] : (value.shape as readonly number[]);
}
