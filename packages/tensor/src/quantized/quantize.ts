import type { BlockFormat } from '../dtype.ts';
import { ArgumentError, DTypeError, ShapeError } from '../errors.ts';
import { blockTypes } from './block-type.ts';
import { typeOfFormat } from './decode.ts';
import { encodeQ4_K, encodeQ6_K } from './encode-k.ts';
import { type BlockEncoder, encodeQ4_0, encodeQ8_0 } from './encode-simple.ts';

const encoders: Readonly<Record<BlockFormat, BlockEncoder>> = {
  q8_0: encodeQ8_0,
  q4_0: encodeQ4_0,
  q4_k: encodeQ4_K,
  q6_k: encodeQ6_K,
};

/** Where the f16 scales of a block lie in its bytes. */
const scalesAt: Readonly<Record<BlockFormat, readonly number[]>> = { q8_0: [0], q4_0: [0], q4_k: [0, 2], q6_k: [208] };

/**
 * Values as blocks, in a new array: `device.tensor(quantize(values, 'q4_0'), { shape, dtype: 'q4_0' })`. The levels are those
 * of ggml for q8_0 and q4_0; for q4_k and q6_k scales are looked for in the same way.
 *
 * @param values f32, row-major; rows are whole blocks (32 values, 256 for q4_k and q6_k)
 * @throws ShapeError where values are no whole blocks; ArgumentError where one is not finite, or so large that the scale of its
 *   block, an f16, is not; DTypeError
 */
export function quantize(values: Float32Array, format: BlockFormat): Uint8Array<ArrayBuffer> {
  const encode = Object.hasOwn(encoders, format) ? encoders[format] : undefined;
  if (!encode) throw new DTypeError(`quantize: formats are q8_0, q4_0, q4_k and q6_k, got ${String(format)}`);
  if (!(values instanceof Float32Array)) throw new DTypeError('quantize: takes a Float32Array');
  const block = blockTypes[typeOfFormat[format]];
  if (values.length % block.values !== 0)
    throw new ShapeError(`quantize: ${format} takes whole blocks of ${block.values} values, got ${values.length}`);
  for (let at = 0; at < values.length; at++)
    if (!Number.isFinite(values[at]))
      throw new ArgumentError(`quantize: ${values[at]} at place ${at} cannot be quantised`);
  const count = values.length / block.values;
  const bytes = new Uint8Array(count * block.bytes);
  const scales = scalesAt[format];
  for (let i = 0; i < count; i++) {
    encode(values, i * block.values, bytes, i * block.bytes);
    for (const scale of scales)
      if ((bytes[i * block.bytes + scale + 1]! & 0x7c) === 0x7c)
        throw new ArgumentError(
          `quantize: values from place ${i * block.values} on are too large for the scales of ${format}`,
        );
  }
  return bytes;
}
