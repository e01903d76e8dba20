import { DTypeError, ShapeError } from '../../checks/errors.ts';
import { type Dim, dimsEqual } from '../../dim.ts';
import { isFloat, isStorageDType } from '../../dtype.ts';
import { formatShape, type TensorType } from '../../shape.ts';

export interface ExpertMatmulAttributes {
  /** Whether the matrices are `[in, out]`, and not `[out, in]`. */
  readonly inFirst: boolean;
}

/** T rows with S experts each of N, from K to M values; x has a row for each of them, or (`shared`) one for all of a row's. */
export interface ExpertSizes {
  readonly T: Dim;
  readonly S: number;
  readonly N: number;
  readonly K: number;
  readonly M: number;
  readonly shared: boolean;
}

/** The rule of shapes and dtypes. @throws ShapeError, DTypeError */
export function expertSizes([x, w, experts]: readonly TensorType[], { inFirst }: ExpertMatmulAttributes): ExpertSizes {
  if (!isFloat(x!.dtype) || !(isFloat(w!.dtype) || isStorageDType(w!.dtype)) || experts!.dtype !== 'i32')
    throw new DTypeError(
      `expertMatmul: takes x and weights f32 or f16 (weights may be stored) and experts i32, got ${x!.dtype}, ${w!.dtype} and ${experts!.dtype}`,
    );
  const fail = (rule: string, ...got: readonly TensorType[]): never => {
    throw new ShapeError(`expertMatmul: ${rule}, got ${got.map(({ shape }) => formatShape(shape)).join(' and ')}`);
  };
  const [N, first, second] = w!.shape;
  if (w!.shape.length !== 3 || ![N, first, second].every((size) => typeof size === 'number' && size > 0))
    fail('weights must be [N, out, in], three numbers', w!);
  const [T, S] = experts!.shape;
  if (experts!.shape.length !== 2 || typeof S !== 'number') fail('experts must be [T, S]', experts!);
  const [K, M] = (inFirst ? [first, second] : [second, first]) as [number, number];
  const shared = x!.shape.length === 2;
  const front = shared ? [T!] : [T!, S!];
  const fits = x!.shape.length === front.length + 1 && front.every((dim, i) => dimsEqual(dim, x!.shape[i]!));
  if (!fits || x!.shape.at(-1) !== K) fail(`x must be [T, ${K}] or [T, S, ${K}]`, x!, experts!);
  return { T: T!, S: S as number, N: N as number, K, M, shared };
}
