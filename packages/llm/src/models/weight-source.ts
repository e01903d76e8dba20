import { transposedBytes } from './transposed-bytes.ts';

/** How Hugging Face's files have a weight that is not one tensor of its name and shape. */
export type WeightSource =
  /** `[in, out]` of a weight `[out, in]`. */
  | { readonly kind: 'transposed' }
  /** A tensor `[...]` for each part of a weight `[parts, ...]`. */
  | { readonly kind: 'stacked'; readonly names: readonly string[] }
  /** `[parts, of * out, in]` of a weight `[parts, out, in]`: that of several, one after the other, of which `first` come before it. */
  | { readonly kind: 'rows'; readonly name: string; readonly first: number; readonly of: number }
  /**
   * `[parts, in, out * of]` of a weight `[parts, out, in]`, or `[parts, out * of]` of one `[parts, out]`: columns of several weights
   * take turns, and this one begins with column `first`. By default the tensor holds this weight alone.
   */
  | { readonly kind: 'columns'; readonly name: string; readonly first?: number; readonly of?: number };

/** Names of the tensors that a weight is made of. */
export function sourceNames(name: string, source: WeightSource | undefined): readonly string[] {
  if (source?.kind === 'stacked') return source.names;
  return [source?.kind === 'columns' || source?.kind === 'rows' ? source.name : name];
}

/** The shape that each of them has. */
export function sourceShape(shape: readonly number[], source: WeightSource | undefined): readonly number[] {
  if (!source) return shape;
  if (source.kind === 'transposed') return [...shape].reverse();
  if (source.kind === 'stacked') return shape.slice(1);
  if (source.kind === 'rows') return [shape[0]!, shape[1]! * source.of, ...shape.slice(2)];
  const { of = 1 } = source;
  return shape.length === 2 ? [shape[0]!, shape[1]! * of] : [shape[0]!, shape[2]!, shape[1]! * of];
}

/** The bytes of a weight of this shape, from those of its tensors in their order. */
export function fromSource(
  parts: readonly Uint8Array<ArrayBuffer>[],
  shape: readonly number[],
  source: WeightSource | undefined,
): Uint8Array<ArrayBuffer> {
  if (!source) return parts[0]!;
  if (source.kind === 'transposed') return transposedBytes(parts[0]!, [...shape].reverse());
  if (source.kind === 'stacked') return joined(parts);
  if (source.kind === 'rows') {
    const each = parts[0]!.byteLength / (shape[0]! * source.of);
    const at = (part: number) => (part * source.of + source.first) * each;
    return joined(Array.from({ length: shape[0]! }, (_, part) => parts[0]!.subarray(at(part), at(part) + each)));
  }
  const { first = 0, of = 1 } = source;
  const [count, out] = shape as [number, number];
  // a part is [in, out * of], its transpose [out * of, in], of which this weight has every `of`th row
  const inSize = shape.length === 2 ? 1 : shape[2]!;
  const size = parts[0]!.byteLength / count;
  const each = Array.from({ length: count }, (_, i) =>
    transposedBytes(parts[0]!.slice(i * size, (i + 1) * size), [inSize, out * of]),
  );
  const row = size / (out * of);
  return joined(
    each.flatMap((part) =>
      Array.from({ length: out }, (_, j) => part.subarray((j * of + first) * row, (j * of + first + 1) * row)),
    ),
  );
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
