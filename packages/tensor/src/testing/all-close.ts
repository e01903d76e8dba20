import { calledAs } from '../checks/called-as.ts';
import { checkOptions } from '../checks/check-options.ts';
import { type DType, isFloat } from '../dtype.ts';
import { bf16ToF32, f16ToF32 } from '../float16.ts';
import { Tensor } from '../graph/tensor.ts';
import { type NestedNumbers, parseData } from '../host-data.ts';
import { formatShape } from '../shape.ts';
import { ContractError } from './contract-error.ts';

/** Values to compare: a tensor, or values on the host. */
export type Comparable = Tensor | ArrayLike<number> | NestedNumbers;

/** How much values may differ: by `absolute + relative * |expected|`. */
export interface Tolerance {
  /** Times the magnitude of the expected value; by default 1e-5, 2^-10 where a tensor is f16 and 2^-7 where it is bf16 (one in the last place), and 0 for integers and bool. */
  readonly relative?: number;
  /** By default the same times the mean magnitude of the expected values: values near 0 are not held to digits of their own. */
  readonly absolute?: number;
}

/** What a comparison found. */
export interface Closeness {
  readonly pass: boolean;
  /** How many values are off, the largest difference, where it is, and the tolerance. */
  readonly message: string;
}

interface Numbers {
  readonly values: ArrayLike<number>;
  readonly shape: readonly number[] | undefined;
  readonly dtype: DType | undefined;
}

async function numbersOf(value: Comparable): Promise<Numbers> {
  if (value instanceof Tensor) {
    const data = await value.data();
    const decode = { f16: f16ToF32, bf16: bf16ToF32 }[value.dtype as string];
    const values = decode ? decode(data as Uint16Array) : data;
    return { values, shape: value.shape as readonly number[], dtype: value.dtype };
  }
  if (ArrayBuffer.isView(value))
    return { values: value as unknown as ArrayLike<number>, shape: undefined, dtype: undefined };
  const { data, shape } = parseData(value as NestedNumbers, {});
  return { values: data, shape, dtype: undefined };
}

/**
 * Compares values: each may differ by `absolute + relative * |expected|`; NaN and infinities must be the same. Shapes must
 * agree, where both sides have one.
 * @throws ArgumentError for a tolerance that is none, DisposedError for a tensor that is gone
 */
export async function allClose(
  actual: Comparable,
  expected: Comparable,
  tolerance: Tolerance = {},
): Promise<Closeness> {
  return closenessOf('allClose', actual, expected, tolerance);
}

async function closenessOf(
  operation: string,
  actual: Comparable,
  expected: Comparable,
  tolerance: Tolerance,
): Promise<Closeness> {
  checkOptions(operation, tolerance, { relative: 'finite?', absolute: 'finite?' });
  const [got, want] = await calledAs(
    operation,
    async () => [await numbersOf(actual), await numbersOf(expected)] as const,
  );
  const shape = want.shape ?? got.shape ?? [want.values.length];
  if (got.shape && want.shape && formatShape(got.shape) !== formatShape(want.shape))
    return { pass: false, message: `expected shape ${formatShape(want.shape)}, got ${formatShape(got.shape)}` };
  if (got.values.length !== want.values.length)
    return { pass: false, message: `expected ${want.values.length} values, got ${got.values.length}` };
  return compare(got, want, shape, tolerance);
}

function compare(got: Numbers, want: Numbers, shape: readonly number[], tolerance: Tolerance): Closeness {
  const { length } = want.values;
  const dtypes = [got.dtype, want.dtype].filter((dtype) => dtype !== undefined);
  const byType = dtypes.includes('bf16')
    ? 2 ** -7
    : dtypes.includes('f16')
      ? 2 ** -10
      : dtypes.length > 0 && !dtypes.some(isFloat)
        ? 0
        : 1e-5;
  const { relative = byType } = tolerance;
  let [sum, finite] = [0, 0];
  for (let i = 0; i < length; i++)
    if (Number.isFinite(want.values[i])) {
      sum += Math.abs(want.values[i]!);
      finite++;
    }
  const { absolute = relative * (sum / Math.max(finite, 1)) } = tolerance;
  let [off, worst, largest] = [0, -1, -1];
  for (let i = 0; i < length; i++) {
    const [a, e] = [got.values[i]!, want.values[i]!];
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    const difference = Number.isFinite(a) && Number.isFinite(e) ? Math.abs(a - e) : Number.POSITIVE_INFINITY;
    // an infinite value allows for no difference, although its tolerance would be infinite
    if (Number.isFinite(difference) && difference <= absolute + relative * Math.abs(e)) continue;
    off++;
    if (difference > largest) [worst, largest] = [i, difference];
  }
  const allowed = `${absolute.toPrecision(3)} + ${relative} of the value`;
  if (off === 0) return { pass: true, message: `all ${length} values are within ${allowed}` };
  const place = `[${placeOf(worst, shape).join(', ')}]`;
  return {
    pass: false,
    message:
      `${off} of ${length} values differ by more than ${allowed}; the largest difference is ${largest} at ${place}: ` +
      `expected ${want.values[worst]}, got ${got.values[worst]}`,
  };
}

/** Coordinates of a row-major position. */
function placeOf(position: number, shape: readonly number[]): number[] {
  const place: number[] = [];
  let rest = position;
  for (const size of [...shape].reverse()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return place;
}

/** `allClose` for any test runner. @throws ContractError with what the comparison found */
export async function expectAllClose(
  actual: Comparable,
  expected: Comparable,
  tolerance: Tolerance = {},
): Promise<void> {
  const { pass, message } = await closenessOf('expectAllClose', actual, expected, tolerance);
  if (!pass) throw new ContractError(message);
}
