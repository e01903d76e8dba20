import { ArgumentError, DTypeError, ShapeError } from '../checks/errors.ts';
import type { BlockFormat } from '../dtype.ts';
import { widenBf16, widenF16 } from '../float16.ts';
import { blockTypes } from './block-type.ts';
import { typeOfFormat } from './decode.ts';
import { encodeQ4_K, encodeQ5_K, encodeQ6_K } from './encode-k.ts';
import { type BlockEncoder, encodeMXFP4, encodeQ4_0, encodeQ8_0 } from './encode-simple.ts';

const encoders: Readonly<Record<BlockFormat, BlockEncoder>> = {
  q8_0: encodeQ8_0,
  q4_0: encodeQ4_0,
  mxfp4: encodeMXFP4,
  q4_k: encodeQ4_K,
  q5_k: encodeQ5_K,
  q6_k: encodeQ6_K,
};

/** Where in the bytes of a block the upper byte of a scale lies, and which of its bits are all set where it is not finite. */
interface ScalePlace {
  readonly at: number;
  readonly bits: number;
}
const half = (at: number): ScalePlace => ({ at: at + 1, bits: 0x7c });
const scalesAt: Readonly<Record<BlockFormat, readonly ScalePlace[]>> = {
  q8_0: [half(0)],
  q4_0: [half(0)],
  mxfp4: [{ at: 0, bits: 0xff }],
  q4_k: [half(0), half(2)],
  q5_k: [half(0), half(2)],
  q6_k: [half(208)],
};

/** Values that are taken at a time: whole blocks of each format, which stay in the processor's nearest cache. */
const chunkLength = 4096;

/**
 * Values as blocks, in a new array: `device.tensor(quantize(values, 'q4_0'), { shape, dtype: 'q4_0' })`. The levels are those
 * of ggml for q8_0, q4_0 and mxfp4; for q4_k, q5_k and q6_k scales are looked for in the same way.
 *
 * @param values f32, or the bits of f16 or bf16, row-major; rows are whole blocks (32 values, 256 for q4_k, q5_k and q6_k)
 * @param bits what a Uint16Array holds
 * @throws ShapeError where values are no whole blocks; ArgumentError where one is not finite, or so large that the scale of its
 *   block, an f16, is not; DTypeError
 */
export function quantize(
  values: Float32Array | Uint16Array,
  format: BlockFormat,
  bits: 'f16' | 'bf16' = 'f16',
): Uint8Array<ArrayBuffer> {
  const encode = Object.hasOwn(encoders, format) ? encoders[format] : undefined;
  if (!encode) throw new DTypeError(`quantize: formats are ${Object.keys(encoders).join(', ')}, got ${String(format)}`);
  if (!(values instanceof Float32Array || values instanceof Uint16Array))
    throw new DTypeError('quantize: takes a Float32Array, or bits in a Uint16Array');
  if (bits !== 'f16' && bits !== 'bf16') throw new DTypeError(`quantize: bits are f16 or bf16, got ${String(bits)}`);
  const block = blockTypes[typeOfFormat[format]];
  if (values.length % block.values !== 0)
    throw new ShapeError(`quantize: ${format} takes whole blocks of ${block.values} values, got ${values.length}`);
  const bytes = new Uint8Array((values.length / block.values) * block.bytes);
  const widen = bits === 'f16' ? widenF16 : widenBf16;
  const widened = new Float32Array(chunkLength);
  for (let from = 0; from < values.length; from += chunkLength) {
    const end = Math.min(from + chunkLength, values.length);
    const chunk = values instanceof Float32Array ? values.subarray(from, end) : widened.subarray(0, end - from);
    const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length);
    if (values instanceof Uint16Array) widen(values.subarray(from, end), words);
    for (let i = 0; i < chunk.length; i += block.values) {
      const at = ((from + i) / block.values) * block.bytes;
      encode(chunk, words, i, bytes, at);
      for (const scale of scalesAt[format])
        if ((bytes[at + scale.at]! & scale.bits) === scale.bits)
          throw refusal(chunk.subarray(i, i + block.values), from + i, format);
    }
  }
  return bytes;
}

/** Why a block from place `from` on has a scale that is not finite. */
function refusal(values: Float32Array, from: number, format: BlockFormat): ArgumentError {
  const at = values.findIndex((value) => !Number.isFinite(value));
  return new ArgumentError(
    at >= 0
      ? `quantize: ${values[at]} at place ${from + at} cannot be quantised`
      : `quantize: values from place ${from} on are too large for the scales of ${format}`,
  );
}
