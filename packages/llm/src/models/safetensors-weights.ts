import { blockSizes, FileFormatError, f32ToF16, type HostArray } from '@heddle/tensor';
import { decodeBlocks, quantize } from '@heddle/tensor/quantized';
import { type SafetensorsDType, type SafetensorsFile, safetensorsToF32 } from '@heddle/tensor/safetensors';
import { Fp4Tensors } from './fp4-safetensors.ts';
import type { StoredTensor, WeightDType, WeightFile } from './weight-file.ts';
import { fromSource } from './weight-source.ts';

/** A safetensors file, or several as one, as the weights of a model. The file is closed with it. */
export function safetensorsWeights(file: SafetensorsFile, label: string): WeightFile {
  const fp4 = new Fp4Tensors(file, label);
  return {
    label,
    isHuggingFace: true,
    names: () => fp4.names(),
    has: (name) => file.has(name) || fp4.has(name),
    info: (name) => (fp4.has(name) ? fp4.info(name) : file.info(name)),
    async read({ stored, shape, source }, wanted) {
      const [first] = stored;
      if (fp4.has(first!) && source?.kind === 'columns') {
        const blocks = await fp4.rows(first!, source, 0, shape[0]! * shape[1]!);
        if (wanted === undefined || wanted === 'mxfp4') return { dtype: 'mxfp4', data: blocks };
        const values = decodeBlocks('MXFP4', blocks, shape);
        return convert(`${label}: ${first}`, 'F32', new Uint8Array(values.buffer), storedAs(shape.slice(1), wanted));
      }
      const { dtype } = file.info(first!);
      const parts: Uint8Array<ArrayBuffer>[] = [];
      for (const name of stored) {
        if (file.info(name).dtype !== dtype)
          throw new FileFormatError(
            `weights: ${label}: ${name} must be ${dtype}, as the other parts of its weight, got ${file.info(name).dtype}`,
            { code: 'ERR_WEIGHTS' },
          );
        parts.push(await file.read(name));
      }
      // experts are stored as each of them would be
      const own = source !== undefined && source.kind !== 'transposed' ? shape.slice(1) : shape;
      return convert(`${label}: ${first}`, dtype, fromSource(parts, shape, source), storedAs(own, wanted ?? 'f32'));
    },
    readInParts({ stored, shape, source }, wanted, partBytes) {
      // each tensor of a stack is a part of the weight, and its rows stand one after the other, too
      if ((source && source.kind !== 'stacked') || shape.length < 2 || fp4.has(stored[0]!)) return undefined;
      const types = new Set(stored.map((name) => file.info(name).dtype));
      if (types.size > 1 || (source && (rowsIn(shape.slice(1)) % 16 !== 0 || stored.length === 0))) return undefined;
      const [type] = types as unknown as readonly [SafetensorsDType];
      const dtype = storedAs(source ? shape.slice(1) : shape, wanted ?? 'f32');
      const parts = async function* () {
        for (const name of stored) {
          const { byteLength } = file.info(name);
          const length = partLength(byteLength / (byteLength === 0 ? 1 : rowsIn(file.info(name).shape)), partBytes);
          for (let offset = 0; offset < byteLength; offset += length) {
            const bytes = await file.read(name, { offset, length: Math.min(length, byteLength - offset) });
            yield converted(`${label}: ${name}`, type, bytes, dtype);
          }
        }
      };
      return { dtype, parts: parts() };
    },
    async equal(a, b) {
      const [left, right] = [file.info(a), file.info(b)];
      if (left.dtype !== right.dtype || String(left.shape) !== String(right.shape)) return false;
      return equalBytes(await file.read(a), await file.read(b));
    },
    close: () => file.close(),
  };
}

const rowsIn = (shape: readonly number[]): number => shape.slice(0, -1).reduce((a, b) => a * b, 1);

/** Bytes of about as many rows as `partBytes` are, a multiple of sixteen, so that whole groups of blocks are written. */
export function partLength(rowBytes: number, partBytes: number): number {
  return 16 * rowBytes * Math.max(1, Math.floor(partBytes / (16 * rowBytes)));
}

/** Vectors stay f32; matrices whose rows are no whole blocks are f16 in place of blocks. */
export function storedAs(shape: readonly number[], dtype: WeightDType): WeightDType {
  if (shape.length < 2) return 'f32';
  if (dtype === 'f32' || dtype === 'f16') return dtype;
  return shape.at(-1)! % blockSizes[dtype].values === 0 ? dtype : 'f16';
}

/** Floats as f16. @throws FileFormatError `ERR_WEIGHTS_RANGE` for finite values that f16 does not reach */
export function toF16(label: string, floats: Float32Array): Uint16Array<ArrayBuffer> {
  const half = f32ToF16(floats);
  const infinity = 0x7c00;
  for (let i = 0; i < half.length; i++)
    if ((half[i]! & 0x7fff) === infinity && Number.isFinite(floats[i]!))
      throw new FileFormatError(
        `weights: ${label}: f16 reaches 65504, got ${floats[i]} at value ${i}; load the model with dtype f32`,
        { code: 'ERR_WEIGHTS_RANGE' },
      );
  return half;
}

function convert(
  label: string,
  dtype: SafetensorsDType,
  bytes: Uint8Array<ArrayBuffer>,
  to: WeightDType,
): StoredTensor {
  return { dtype: to, data: converted(label, dtype, bytes, to) };
}

function converted(label: string, dtype: SafetensorsDType, bytes: Uint8Array<ArrayBuffer>, to: WeightDType): HostArray {
  if (dtype === 'F16' && to === 'f16') return new Uint16Array(bytes.buffer);
  if (to !== 'f32' && to !== 'f16' && (dtype === 'F16' || dtype === 'BF16'))
    return quantize(new Uint16Array(bytes.buffer), to, dtype === 'F16' ? 'f16' : 'bf16');
  const floats = safetensorsToF32(dtype, bytes);
  if (to === 'f32') return floats;
  return to === 'f16' ? toF16(label, floats) : quantize(floats, to);
}

function equalBytes(a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>): boolean {
  const words = Math.floor(a.byteLength / 4);
  const [left, right] = [new Uint32Array(a.buffer, 0, words), new Uint32Array(b.buffer, 0, words)];
  for (let i = 0; i < words; i++) if (left[i] !== right[i]) return false;
  for (let i = 4 * words; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}
