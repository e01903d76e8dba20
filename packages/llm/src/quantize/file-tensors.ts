import type { Arrangement, LatentParts } from '../gguf/families/arrangement.ts';
import { rowsOf, type SourceTensor } from './source-tensor.ts';

/** A tensor of a GGUF file, made of a weight. */
export interface FileTensor extends SourceTensor {
  /** Rows that are best read together. */
  readonly headRows?: number;
}

/** The tensors in which a GGUF file has a weight. */
export function fileTensors(weight: SourceTensor, how: Arrangement): readonly FileTensor[] {
  const [first] = how.parts as readonly [Arrangement['parts'][number]];
  if (how.latent) return latentTensors(weight, how.parts, how.latent);
  const isVector = weight.shape.length < 2;
  const all = isVector ? asColumn(weight) : weight;
  const columns = how.columns && inverse(how.columns());
  const order = how.rows && inverse(how.rows());
  const change = how.values && changes[how.values];
  const read = async (from: number, count: number) => {
    const values = order ? await orderedRows(all, order, from, count) : await all.rows(from, count);
    const placed = columns ? inColumns(values, columns) : values;
    return change ? placed.map(change) : placed;
  };
  if (how.parts.length === 1) {
    const shape = how.shape ?? weight.shape;
    // what is no matrix here or in the file is small, and read at once
    if (isVector || how.shape)
      return [{ name: first.name, shape, rows: whole(() => read(0, rowsOf(all.shape).rows), shape) }];
    return [{ name: first.name, shape, rows: read, ...(order && { headRows: order.length }) }];
  }
  let start = 0;
  return how.parts.map(({ name, rows = 0 }) => {
    const at = start;
    start += rows;
    return { name, shape: [rows, ...weight.shape.slice(1)], rows: (from, count) => read(at + from, count) };
  });
}

const changes: Readonly<Record<NonNullable<Arrangement['values']>, (value: number) => number>> = {
  'plus-one': (value) => value + 1,
  'minus-exp': (value) => -Math.exp(value),
};

/** Rows of what is read at once. */
function whole(read: () => Promise<Float32Array>, shape: readonly number[]): SourceTensor['rows'] {
  const { length } = rowsOf(shape);
  return async (from, count) => (await read()).slice(from * length, (from + count) * length);
}

/** A vector of n values as n rows of one. */
function asColumn(weight: SourceTensor): SourceTensor {
  return {
    ...weight,
    shape: [weight.shape[0] ?? 1, 1],
    rows: async (from, count) => (await weight.rows(0, 1)).slice(from, from + count),
  };
}

function inverse(order: readonly number[]): readonly number[] {
  const back = new Array<number>(order.length);
  for (const [i, from] of order.entries()) back[from] = i;
  return back;
}

/** Rows in another order, in groups of as many as it has. */
async function orderedRows(
  tensor: SourceTensor,
  order: readonly number[],
  from: number,
  count: number,
): Promise<Float32Array> {
  const period = order.length;
  const start = Math.floor(from / period) * period;
  const values = await tensor.rows(start, Math.ceil((from + count - start) / period) * period);
  const length = rowsOf(tensor.shape).length;
  const sorted = new Float32Array(count * length);
  for (let i = 0; i < count; i++) {
    const within = from + i - start;
    const group = within - (within % period);
    const row = group + order[within % period]!;
    sorted.set(values.subarray(row * length, (row + 1) * length), i * length);
  }
  return sorted;
}

function inColumns(values: Float32Array, order: readonly number[]): Float32Array {
  const width = order.length;
  return values.map((_, i) => values[i - (i % width) + order[i % width]!]!);
}

/** Keys of the latent rows, turned, `[heads, R, plain]`, and values `[heads, value, R]`. */
function latentTensors(
  weight: SourceTensor,
  [keys, values]: Arrangement['parts'],
  { heads, plain, value, latent }: LatentParts,
): readonly FileTensor[] {
  const each = plain + value;
  const turned = async (head: number) => {
    const rows = await weight.rows(head * each, plain);
    return rows.map((_, i) => rows[(i % plain) * latent + Math.floor(i / plain)]!);
  };
  return [
    { name: keys!.name, shape: [heads, latent, plain], rows: byHead(latent, plain, turned) },
    {
      name: values!.name,
      shape: [heads, value, latent],
      rows: byHead(value, latent, (head) => weight.rows(head * each + plain, value)),
    },
  ];
}

/** Rows of heads, one head after the other. */
function byHead(perHead: number, length: number, read: (head: number) => Promise<Float32Array>): SourceTensor['rows'] {
  return async (from, count) => {
    const values = new Float32Array(count * length);
    for (let done = 0; done < count; ) {
      const [head, within] = [Math.floor((from + done) / perHead), (from + done) % perHead];
      const some = Math.min(count - done, perHead - within);
      const rows = await read(head);
      values.set(rows.subarray(within * length, (within + some) * length), done * length);
      done += some;
    }
    return values;
  };
}
