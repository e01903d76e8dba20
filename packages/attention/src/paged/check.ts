import { type Dim, DTypeError, formatShape, isFloat, ShapeError, shapesEqual, type TensorType } from '@heddle/tensor';
import { named, type PackedAttributes, settingTypes } from './attributes.ts';
import { checkQuantizedPages } from './quantized-pages.ts';

function fail(rule: string, ...got: readonly (TensorType | undefined)[]): never {
  const shapes = got.flatMap((type) => (type ? [formatShape(type.shape)] : []));
  throw new ShapeError(`attend: ${rule}, got ${shapes.join(' and ')}`);
}

/** The shape and dtype rule of the outputs. @throws ShapeError, DTypeError */
export function checkPacked(inputs: readonly TensorType[], attributes: PackedAttributes): readonly TensorType[] {
  const { q, k, v, segments, positions, keys, lengths } = named(inputs, attributes);
  const { valueDim: V, lse } = attributes;
  if (q.shape.length !== 3 || k.shape.length !== 3 || (v && !shapesEqual(v.shape, [...k.shape.slice(0, 2), V])))
    fail('q must be [T, H, D], k [T, K, D] and v [T, K, V]', q, k, v);
  const [T, H, D] = q.shape as [Dim, number, number];
  const K = k.shape[1] as number;
  if (!shapesEqual(k.shape, [T, K, D]) || typeof K !== 'number' || typeof H !== 'number' || H % K !== 0)
    fail('k must have the rows and head size of q, and q a multiple of its heads', q, k);
  if (!v && V > D) fail(`valueDim must be at most the head size where values are in keys, got ${V}`, k);
  if (!shapesEqual(segments.shape, [T]) || !shapesEqual(positions.shape, [T]))
    fail('segments and positions must be [T]', segments, positions);
  if (![q, k, ...(v ? [v] : [])].every((type) => isFloat(type.dtype)) || (v && k.dtype !== v.dtype))
    throw new DTypeError(
      `attend: q, k and v must be f32 or f16, k and v the same, got ${q.dtype}, ${k.dtype} and ${v?.dtype ?? 'none'}`,
    );
  if (segments.dtype !== 'i32' || positions.dtype !== 'i32')
    throw new DTypeError(`attend: segments and positions must be i32, got ${segments.dtype} and ${positions.dtype}`);
  if (keys) checkCache(inputs, attributes, K, D);
  const sizes = { H, B: lengths?.shape[0] ?? 0, slots: keys?.shape[0] ?? 0 };
  for (const [i, name] of attributes.inputs.entries()) {
    const expected = settingTypes[name]?.(sizes);
    if (expected) expectType(name, inputs[i]!, expected);
  }
  return [{ shape: [T, H, V], dtype: q.dtype }, ...(lse ? [{ shape: [T, H], dtype: 'f32' as const }] : [])];
}

function expectType(name: string, type: TensorType, { dtype, shape }: TensorType): void {
  if (type.dtype !== dtype) throw new DTypeError(`attend: ${name} must be ${dtype}, got ${type.dtype}`);
  if (!shapesEqual(type.shape, shape)) fail(`${name} must be ${formatShape(shape)}`, type);
}

function checkCache(inputs: readonly TensorType[], attributes: PackedAttributes, K: number, D: number): void {
  const { v, keys, values, table, lengths, keyScales, valueScales } = named(inputs, attributes);
  const { valueDim: V, cache } = attributes;
  if ((v === undefined) !== (values === undefined))
    fail('values must be given for the cache and for the rows, or for neither', keys);
  const slots = keys!.shape[0]!;
  if (cache!.bits) checkQuantizedPages([keys!, values!, keyScales!, valueScales!], cache!.bits, K, D);
  else if (!shapesEqual(keys!.shape, [slots, K, D]) || (values && !shapesEqual(values.shape, [slots, K, V])))
    fail(`the cache's keys must be [slots, ${K}, ${D}] and its values [slots, ${K}, ${V}]`, keys, values);
  if (table!.shape.length !== 2 || !shapesEqual(table!.shape.slice(0, 1), lengths!.shape))
    fail('the block table must be [B, N] and the lengths [B]', table, lengths);
  const floats = cache!.bits !== undefined || (isFloat(keys!.dtype) && (!values || keys!.dtype === values.dtype));
  if (!floats || table!.dtype !== 'i32' || lengths!.dtype !== 'i32') {
    const got = [keys!, ...(values ? [values] : []), table!, lengths!].map(({ dtype }) => dtype);
    throw new DTypeError(
      `attend: a cache's keys and values must be f32 or f16, its block table and lengths i32, got ${got.join(', ')}`,
    );
  }
}
