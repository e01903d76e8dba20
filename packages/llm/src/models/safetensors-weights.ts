import { type BlockFormat, blockSizes, FileFormatError, f32ToF16, type HostArray, isBlockFormat } from '@heddle/tensor';
import { type BlockType, decodeBlocks, quantize } from '@heddle/tensor/quantized';
import { type SafetensorsDType, type SafetensorsFile, safetensorsToF32 } from '@heddle/tensor/safetensors';
import { checkScales } from './block-scales.ts';
import { BlockTensors } from './block-tensors.ts';
import { Fp4Tensors } from './fp4-safetensors.ts';
import type { StoredParts, StoredTensor, WeightDType, WeightFile } from './weight-file.ts';
import { fromSource, type WeightSource } from './weight-source.ts';

/** A safetensors file, or several as one, as the weights of a model. The file is closed with it. */
export function safetensorsWeights(file: SafetensorsFile, label: string): WeightFile {
  const fp4 = new Fp4Tensors(file, label);
  const blocks = new BlockTensors(file, label);
  return {
    label,
    isHuggingFace: true,
    names: () => fp4.names(),
    has: (name) => file.has(name) || fp4.has(name),
    info(name) {
      if (fp4.has(name)) return fp4.info(name);
      return blocks.formatOf(name) ? blocks.info(name) : file.info(name);
    },
    async read({ stored, shape, source }, wanted) {
      const [first] = stored;
      if (fp4.has(first!) && source?.kind === 'columns') {
        const blocks = await fp4.rows(first!, source, 0, shape[0]! * shape[1]!);
        if (wanted === undefined || wanted === 'mxfp4') return { dtype: 'mxfp4', data: blocks };
        const values = decodeBlocks('MXFP4', blocks, shape);
        return convert(`${label}: ${first}`, 'F32', new Uint8Array(values.buffer), storedAs(shape.slice(1), wanted));
      }
      const typeOf = (name: string) => blocks.formatOf(name) ?? file.info(name).dtype;
      const dtype = typeOf(first!);
      const parts: Uint8Array<ArrayBuffer>[] = [];
      for (const name of stored) {
        if (typeOf(name) !== dtype)
          throw new FileFormatError(
            `weights: ${label}: ${name} must be ${dtype}, as the other parts of its weight, got ${typeOf(name)}`,
            { code: 'ERR_WEIGHTS' },
          );
        parts.push(await file.read(name));
      }
      checkOrder(`${label}: ${first}`, dtype, source);
      // experts are stored as each of them would be
      const own = source !== undefined && source.kind !== 'transposed' ? shape.slice(1) : shape;
      return convert(`${label}: ${first}`, dtype, fromSource(parts, shape, source), becomes(dtype, own, wanted));
    },
    readInParts: async (weight, wanted, partBytes) => streamed({ file, fp4, blocks, label }, weight, wanted, partBytes),
    async equal(a, b) {
      const [left, right] = [file.info(a), file.info(b)];
      if (left.dtype !== right.dtype || String(left.shape) !== String(right.shape)) return false;
      return equalBytes(await file.read(a), await file.read(b));
    },
    close: () => file.close(),
  };
}

/** The tensors of a file, in each way in which they may be stored. */
interface WeightTensors {
  readonly file: SafetensorsFile;
  readonly fp4: Fp4Tensors;
  readonly blocks: BlockTensors;
  readonly label: string;
}

/** A weight some rows at a time; undefined where what holds it stands in an order that only the whole of it gives. */
function streamed(
  { file, fp4, blocks, label }: WeightTensors,
  { stored, shape, source }: Parameters<WeightFile['readInParts']>[0],
  wanted: WeightDType | undefined,
  partBytes: number,
): StoredParts | undefined {
  const [first] = stored;
  if (shape.length < 2 || first === undefined || source?.kind === 'transposed') return undefined;
  const own = source ? shape.slice(1) : shape;
  const perPart = rowsIn(own);
  // parts of a weight are written one after the other, in whole groups of blocks
  if (source && (own.length < 2 || perPart % 16 !== 0)) return undefined;
  if (fp4.has(first)) {
    if (source?.kind !== 'columns') return undefined;
    const dtype = wanted === undefined ? 'mxfp4' : storedAs(own, wanted);
    return { dtype, parts: fp4Parts(fp4, `${label}: ${first}`, [first, source], shape, dtype, partBytes) };
  }
  const types = new Set(stored.map((name) => blocks.formatOf(name) ?? file.info(name).dtype));
  if (types.size > 1) return undefined;
  const [type] = types as unknown as readonly [StoredDType];
  checkOrder(`${label}: ${first}`, type, source);
  const dtype = becomes(type, own, wanted);
  const parts = async function* () {
    if (source?.kind === 'columns') {
      const size = file.info(first).byteLength / shape[0]!;
      for (let part = 0; part < shape[0]!; part++) {
        const bytes = await file.read(first, { offset: part * size, length: size });
        yield converted(`${label}: ${first}`, type, fromSource([bytes], [1, ...own], source), dtype);
      }
      return;
    }
    const ranges = source?.kind === 'rows' ? rowRanges(file, first, shape[0]!, source) : wholeRanges(file, stored);
    for (const { name, start, byteLength, rows } of ranges) {
      const length = partLength(byteLength / Math.max(1, rows), partBytes);
      for (let offset = 0; offset < byteLength; offset += length) {
        const range = { offset: start + offset, length: Math.min(length, byteLength - offset) };
        yield converted(`${label}: ${name}`, type, await file.read(name, range), dtype);
      }
    }
  };
  return { dtype, parts: parts() };
}

/** Bytes of a tensor, whole rows. */
interface RowRange {
  readonly name: string;
  readonly start: number;
  readonly byteLength: number;
  readonly rows: number;
}

const wholeRanges = (file: SafetensorsFile, stored: readonly string[]): readonly RowRange[] =>
  stored.map((name) => {
    const { byteLength, shape } = file.info(name);
    return { name, start: 0, byteLength, rows: rowsIn(shape) };
  });

/** Of each part of a tensor the rows that are this weight's. */
function rowRanges(
  file: SafetensorsFile,
  name: string,
  parts: number,
  { first, of }: Extract<WeightSource, { kind: 'rows' }>,
): readonly RowRange[] {
  const { byteLength, shape } = file.info(name);
  const size = byteLength / (parts * of);
  const rows = rowsIn(shape) / (parts * of);
  return Array.from({ length: parts }, (_, part) => ({
    name,
    start: (part * of + first) * size,
    byteLength: size,
    rows,
  }));
}

async function* fp4Parts(
  fp4: Fp4Tensors,
  label: string,
  [name, source]: readonly [string, Extract<WeightSource, { kind: 'columns' }>],
  shape: readonly number[],
  dtype: WeightDType,
  partBytes: number,
): AsyncGenerator<HostArray, void, undefined> {
  const [all, width] = [rowsIn(shape), shape.at(-1)!];
  // as values a block is four times thirty-two bytes
  const rowBytes = dtype === 'mxfp4' ? (width / 32) * 17 * (source.of ?? 1) : 4 * width;
  const step = partLength(rowBytes, partBytes) / rowBytes;
  for (let from = 0; from < all; from += step) {
    const count = Math.min(step, all - from);
    const blocks = await fp4.rows(name, source, from, count);
    if (dtype === 'mxfp4') yield blocks;
    else {
      const values = decodeBlocks('MXFP4', blocks, [count, width]);
      yield converted(label, 'F32', new Uint8Array(values.buffer), dtype);
    }
  }
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

/** Of tensors: floats, or a format of blocks. */
type StoredDType = SafetensorsDType | BlockFormat;

const isBlocks = (dtype: StoredDType): dtype is BlockFormat => isBlockFormat(dtype);

/** What a weight becomes: blocks stay what they are where nothing else is asked for. */
const becomes = (dtype: StoredDType, shape: readonly number[], wanted: WeightDType | undefined): WeightDType =>
  isBlocks(dtype) && (wanted === undefined || wanted === dtype) ? dtype : storedAs(shape, wanted ?? 'f32');

/** Blocks are of rows. @throws FileFormatError where rows of a weight are columns of its tensor */
function checkOrder(label: string, dtype: StoredDType, source: WeightSource | undefined): void {
  if (isBlocks(dtype) && (source?.kind === 'columns' || source?.kind === 'transposed'))
    throw new FileFormatError(`weights: ${label}: is in ${dtype}, but its columns are rows of the weight`, {
      code: 'ERR_WEIGHTS',
    });
}

function convert(label: string, dtype: StoredDType, bytes: Uint8Array<ArrayBuffer>, to: WeightDType): StoredTensor {
  return { dtype: to, data: converted(label, dtype, bytes, to) };
}

function converted(label: string, dtype: StoredDType, bytes: Uint8Array<ArrayBuffer>, to: WeightDType): HostArray {
  if (isBlocks(dtype)) {
    checkScales(label, dtype, bytes);
    if (to === dtype) return bytes;
    const { values: perBlock, bytes: size } = blockSizes[dtype];
    const values = decodeBlocks(dtype.toUpperCase() as BlockType, bytes, [(bytes.length / size) * perBlock]);
    return converted(label, 'F32', new Uint8Array(values.buffer), to);
  }
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
