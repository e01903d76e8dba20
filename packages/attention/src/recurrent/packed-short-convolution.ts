import {
  arange,
  checkArguments,
  checkOptions,
  DTypeError,
  defineOp,
  formatShape,
  isFloat,
  multiplyDims,
  type Op,
  recordOne,
  ShapeError,
  shapesEqual,
  sizeScalar,
  type Tensor,
  type TensorType,
  take,
  where,
} from '@heddle/tensor';
import type { CachedRows } from './cached-rows.ts';
import { checkConvolution, weightedRows } from './convolution-rows.ts';

const inputNames = ['x', 'weight', 'segments', 'positions', 'bias', 'rows', 'table', 'lengths', 'starts'] as const;
type InputName = (typeof inputNames)[number];

interface PackedConvolution {
  readonly inputs: readonly InputName[];
  /** Of the cache; 0 without one. */
  readonly blockSize: number;
}
type Inputs<T> = Readonly<Partial<Record<InputName, T>> & Record<'x' | 'weight' | 'segments' | 'positions', T>>;

const byName = <T>(inputs: readonly T[], { inputs: names }: PackedConvolution): Inputs<T> =>
  Object.fromEntries(names.map((name, i) => [name, inputs[i]!])) as Inputs<T>;

const packedConvolutionOp: Op<PackedConvolution> = defineOp({
  name: 'packedShortConvolution',
  shape(inputs, attributes) {
    const { x, weight, bias, ...others } = byName(inputs, attributes);
    checkConvolution('packedShortConvolution', { x, weight, bias }, 2);
    checkRows(x, others);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  decompose(list, attributes) {
    const inputs = byName(list, attributes);
    const width = inputs.weight.shape[1] as number;
    const rows = Array.from({ length: width }, (_, i) => rowsBefore(inputs, width - 1 - i, attributes.blockSize));
    return [weightedRows(rows, inputs.weight, inputs.bias).cast(inputs.x.dtype)];
  },
});

function checkRows(x: TensorType, others: Partial<Record<InputName, TensorType>>): void {
  const { segments, positions, rows, table, lengths, starts } = others;
  const fail = (rule: string, ...got: readonly TensorType[]): never => {
    throw new ShapeError(
      `packedShortConvolution: ${rule}, got ${got.map(({ shape }) => formatShape(shape)).join(' and ')}`,
    );
  };
  for (const [name, type] of Object.entries({ segments, positions, table, lengths, starts }))
    if (type && type.dtype !== 'i32')
      throw new DTypeError(`packedShortConvolution: ${name} must be i32, got ${type.dtype}`);
  const T = x.shape.slice(0, 1);
  if (!shapesEqual(segments!.shape, T) || !shapesEqual(positions!.shape, T))
    fail('segments and positions must be [T]', segments!, positions!);
  if (!rows) return;
  if (!isFloat(rows.dtype))
    throw new DTypeError(`packedShortConvolution: cached rows must be f32 or f16, got ${rows.dtype}`);
  if (rows.shape.length !== 3 || multiplyDims(rows.shape[1]!, rows.shape[2]!) !== x.shape[1])
    fail(`cached rows must be [slots, heads, width] of ${x.shape[1]} channels`, rows);
  if (table!.shape.length !== 2 || !shapesEqual(table!.shape.slice(0, 1), lengths!.shape))
    fail('the block table must be [B, N] and the lengths [B]', table!, lengths!);
  if (starts && !shapesEqual(starts.shape, lengths!.shape)) fail('starts must be [B]', starts);
}

/** For each row what stood `back` rows before it in its sequence: in the step, in the cache, or zeros. f32 `[T, C]`. */
function rowsBefore(inputs: Inputs<Tensor>, back: number, blockSize: number): Tensor {
  const { x, segments } = inputs;
  const wide = x.cast('f32');
  if (back === 0) return wide;
  const [T, C] = x.shape;
  const isRow = segments.greaterEqual(0);
  const index = arange(x.device, T!).sub(back);
  const near = index.maximum(0);
  const own = isRow.and(index.greaterEqual(0)).and(take(segments, near).equal(segments));
  const column = (mask: Tensor) => mask.reshape([T!, 1]);
  // what is not taken is selected away and not multiplied by 0: it may be anything
  const within = (other: Tensor | number) => where(column(own), take(wide, near), other);
  const { rows: pool, table, lengths, starts, positions } = inputs;
  if (!pool) return within(0);
  const sequence = segments.maximum(0);
  const position = positions.sub(back);
  const isCached = isRow.and(position.greaterEqual(0)).and(position.less(take(lengths!, sequence)));
  const first = starts ? position.sub(take(starts, sequence)) : position;
  const place = where(isCached, first, 0);
  const block = place.div(blockSize);
  const columns = sizeScalar(x.device, table!.shape[1]!, 'i32');
  const slot = take(table!.flatten(), sequence.mul(columns).add(block))
    .mul(blockSize)
    .add(place.sub(block.mul(blockSize)));
  const cached = take(pool, where(isCached, slot, 0))
    .cast('f32')
    .reshape([T!, C!]);
  return within(where(column(isCached), cached, 0));
}

/** Which rows belong together, and what a cache holds of those before. */
export interface PackedConvolutionRows {
  /** i32 `[T]`: which sequence a row belongs to, negative for none. Rows of one sequence follow each other in order. */
  readonly segments: Tensor;
  /** i32 `[T]`: position of each row in its sequence; looked at where there is a cache. */
  readonly positions: Tensor;
  /** The rows before the step; without it those before the first row of a sequence are zeros. */
  readonly cached?: CachedRows | undefined;
  /** `[C]` */
  readonly bias?: Tensor | undefined;
}

/**
 * `shortConvolution` over packed rows `[T, C]` of several sequences, each of which goes on from the rows that a cache holds of it. A
 * row depends on nothing but the rows of its sequence, whatever the others hold; the cache's new rows are x.
 *
 * @param weight `[C, W]`: the last column is that of the row itself
 * @returns `[T, C]` in the dtype of x, summed in f32; differentiable with respect to x, weight, bias and the cached rows
 * @throws ShapeError, DTypeError, ArgumentError for a block size that is none
 */
export function packedShortConvolution(x: Tensor, weight: Tensor, options: PackedConvolutionRows): Tensor {
  checkArguments('packedShortConvolution', 'tensor', { x, weight });
  checkOptions('packedShortConvolution', options, {
    segments: 'tensor',
    positions: 'tensor',
    cached: 'object?',
    bias: 'tensor?',
  });
  if (options.cached)
    checkOptions('packedShortConvolution: cached', options.cached, {
      rows: 'tensor',
      blockTable: 'tensor',
      lengths: 'tensor',
      starts: 'tensor?',
      blockSize: 'size',
    });
  const { segments, positions, cached, bias } = options;
  const blockSize = cached?.blockSize ?? 0;
  const given: Partial<Record<InputName, Tensor | undefined>> = {
    ...{ x, weight, segments, positions, bias },
    ...(cached && { rows: cached.rows, table: cached.blockTable, lengths: cached.lengths, starts: cached.starts }),
  };
  const inputs = inputNames.filter((name) => given[name] !== undefined);
  const tensors = inputs.map((name) => given[name]!);
  return recordOne(packedConvolutionOp, tensors, { inputs, blockSize });
}
