import { sourceNames, sourceShape, type WeightSource } from './weight-source.ts';

/** A tensor of a Hugging Face file, and the weights that it is made of. */
export interface WrittenTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly weights: readonly string[];
  /** Its values, of those of the weights in their order. */
  from(values: readonly Float32Array[]): Float32Array;
}

/** The tensors that hold these weights as Hugging Face's files have them: those of one weight one after the other. */
export function writtenTensors(
  shapes: ReadonlyMap<string, readonly number[]>,
  sources: ReadonlyMap<string, WeightSource>,
): readonly WrittenTensor[] {
  const isPart = (source: WeightSource) => source.kind === 'columns' || source.kind === 'rows';
  const partsOf = (tensor: string) =>
    [...sources]
      .filter(([weight, source]) => shapes.has(weight) && isPart(source) && sourceNames('', source)[0] === tensor)
      .sort(([, a], [, b]) => firstOf(a) - firstOf(b))
      .map(([weight]) => weight);
  const made = new Set<string>();
  return [...shapes].flatMap(([weight, shape]): readonly WrittenTensor[] => {
    const source = sources.get(weight);
    const own = { name: weight, shape: sourceShape(shape, source), weights: [weight] };
    if (!source) return [{ ...own, from: ([values]) => values! }];
    if (source.kind === 'transposed') return [{ ...own, from: ([values]) => transposed(values!, shape) }];
    if (source.kind === 'stacked')
      return source.names.map((name, i) => ({
        ...own,
        name,
        from: ([values]) => values!.subarray(i * (values!.length / shape[0]!), (i + 1) * (values!.length / shape[0]!)),
      }));
    if (made.has(source.name)) return [];
    made.add(source.name);
    const weights = partsOf(source.name);
    const join = source.kind === 'rows' ? oneAfterTheOther : inTurns;
    return [{ ...own, name: source.name, weights, from: (all) => join(all, shape) }];
  });
}

const firstOf = (source: WeightSource): number =>
  source.kind === 'columns' || source.kind === 'rows' ? (source.first ?? 0) : 0;

function transposed(values: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows!; i++) for (let j = 0; j < columns!; j++) result[j * rows! + i] = values[i * columns! + j]!;
  return result;
}

/** Weights `[parts, out, in]` as `[parts, of * out, in]`, one after the other in each part. */
function oneAfterTheOther(all: readonly Float32Array[], [parts]: readonly number[]): Float32Array {
  const each = all[0]!.length / parts!;
  const result = new Float32Array(all.length * all[0]!.length);
  for (const [w, values] of all.entries())
    for (let part = 0; part < parts!; part++)
      result.set(values.subarray(part * each, (part + 1) * each), (part * all.length + w) * each);
  return result;
}

/** Weights `[parts, out, in]` (or `[parts, out]`) as `[parts, in, out * of]`, in which their columns take turns. */
function inTurns(all: readonly Float32Array[], [parts, out, inSize = 1]: readonly number[]): Float32Array {
  const of = all.length;
  const result = new Float32Array(of * all[0]!.length);
  for (const [w, values] of all.entries())
    for (let part = 0; part < parts!; part++)
      for (let o = 0; o < out!; o++)
        for (let i = 0; i < inSize; i++)
          result[((part * inSize + i) * out! + o) * of + w] = values[(part * out! + o) * inSize + i]!;
  return result;
}
