import { type BlockFormat, blockSizes, FileFormatError } from '@heddle/tensor';
import { quantize } from '@heddle/tensor/quantized';
import { checkScales } from '../models/block-scales.ts';
import { partLength, storedAs, toF16 } from '../models/safetensors-weights.ts';
import type { StoredTensor, WeightDType, WeightFile } from '../models/weight-file.ts';
import type { Arrangement } from './families/arrangement.ts';
import { arrangedTensor, ggufFloats, rowsInOrder } from './gguf-arranged.ts';
import type { GgufFile } from './gguf-file.ts';
import type { GgufTensor } from './gguf-header.ts';
import type { GgufNames } from './gguf-names.ts';
import type { GgufType } from './gguf-types.ts';

const native: Readonly<Partial<Record<GgufType, BlockFormat>>> = {
  Q8_0: 'q8_0',
  Q4_0: 'q4_0',
  MXFP4: 'mxfp4',
  Q4_K: 'q4_k',
  Q5_K: 'q5_k',
  Q6_K: 'q6_k',
};

/** The nearest format that has as many bits, for rows of whole blocks of 256 values, and for others. */
const nearest: Readonly<Partial<Record<GgufType, readonly [BlockFormat, BlockFormat]>>> = {
  Q2_K: ['q4_k', 'q4_0'],
  Q3_K: ['q4_k', 'q4_0'],
  IQ4_XS: ['q4_k', 'q4_0'],
  IQ4_NL: ['q4_k', 'q4_0'],
  Q4_1: ['q5_k', 'q8_0'],
  Q5_0: ['q5_k', 'q8_0'],
  Q5_1: ['q5_k', 'q8_0'],
};

/** A weight, and how the file has it. */
interface Place {
  readonly tensors: readonly GgufTensor[];
  readonly how: Arrangement;
  /** Of the weight. */
  readonly shape: readonly number[];
}

/**
 * The tensors of a GGUF file by the names that Hugging Face has for them. The file is closed with it.
 * @param shapes of the weights of its model
 */
export function ggufWeights(
  file: GgufFile,
  names: GgufNames,
  shapes: ReadonlyMap<string, readonly number[]>,
): WeightFile {
  const places = new Map<string, Place>();
  for (const [name, how] of names) {
    const place = placeOf(file, how, shapes.get(name));
    if (place) places.set(name, place);
  }
  const known = new Set([...places.values()].flatMap(({ tensors }) => tensors.map(({ name }) => name)));
  for (const [name, tensor] of file.tensors)
    if (!known.has(name)) places.set(name, { tensors: [tensor], how: { parts: [{ name }] }, shape: tensor.shape });
  const order = new Map([...file.tensors.keys()].map((stored, index) => [stored, index]));
  const first = ({ tensors }: Place) => order.get(tensors[0]!.name)!;
  const inOrder = [...places].sort(([, a], [, b]) => first(a) - first(b)).map(([name]) => name);
  const labelOf = ({ tensors }: Place) => `${file.label}: ${tensors[0]!.name}`;
  const whole = (place: Place) => arrangedTensor(file, labelOf(place), place);
  return {
    label: file.label,
    isHuggingFace: false,
    names: () => inOrder,
    has: (name) => places.has(name),
    info(name) {
      const { tensors, shape } = places.get(name)!;
      return { shape, byteLength: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0) };
    },
    async read({ stored: [name] }, wanted) {
      const place = places.get(name!)!;
      const { type, bytes, note } = await whole(place);
      const stored = storedTensor(labelOf(place), { type, shape: place.shape }, bytes, wanted);
      return note === undefined || wanted !== undefined ? stored : { ...stored, note };
    },
    async readInParts({ stored: [name] }, wanted, partBytes) {
      const place = places.get(name!)!;
      const { tensors, how, shape } = place;
      if (shape.length < 2 || tensors.length > 1 || how.columns || how.values || how.latent || how.shape)
        return undefined;
      const [tensor] = tensors as readonly [GgufTensor];
      const pieces = () => piecesOf(file, place, partBytes, wanted === undefined || wanted === native[tensor.type]);
      let asked = wanted;
      if (tensor.type === 'BF16' && wanted === undefined) {
        // what it becomes depends on all of its values
        asked = 'f16';
        for await (const { bytes } of pieces())
          if (!reachesF16(ggufFloats('BF16', bytes, shape))) {
            asked = 'f32';
            break;
          }
      }
      const parts = async function* () {
        for await (const { bytes, count } of pieces())
          yield storedTensor(labelOf(place), { type: tensor.type, shape: [count, shape.at(-1)!] }, bytes, asked).data;
      };
      const note = asked === wanted ? {} : { note: `BF16 is stored as ${asked}` };
      return { ...becomes(tensor, asked), ...note, parts: parts() };
    },
    async equal(a, b) {
      const [left, right] = [await whole(places.get(a)!), await whole(places.get(b)!)];
      return (
        left.type === right.type &&
        left.bytes.length === right.bytes.length &&
        left.bytes.every((byte, i) => byte === right.bytes[i])
      );
    },
    close: () => file.close(),
  };
}

/**
 * A weight that is rows of one tensor, some of them at a time: no more than `partBytes`, also as f32.
 * @param asTheyAre whether blocks that devices have stay blocks
 */
async function* piecesOf(
  file: GgufFile,
  { tensors, how, shape }: Place,
  partBytes: number,
  asTheyAre: boolean,
): AsyncGenerator<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly count: number }, void, undefined> {
  const [{ byteOffset, byteLength, type }] = tensors as readonly [GgufTensor];
  const rowBytes = byteLength / shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const order = how.rows?.();
  const stays = type === 'F16' || (asTheyAre && native[type] !== undefined);
  const grown = !stays ? (4 * shape.at(-1)!) / rowBytes : 1;
  const length = partLength(rowBytes * (order?.length ?? 1), partBytes / grown);
  for (let offset = 0; offset < byteLength; offset += length) {
    const bytes = await file.bytes(byteOffset + offset, Math.min(length, byteLength - offset));
    const count = bytes.length / rowBytes;
    yield { bytes: order ? rowsInOrder(bytes, count, order) : bytes, count };
  }
}

/** How a file has a weight of this shape; undefined where it does not. */
function placeOf(file: GgufFile, how: Arrangement, wanted: readonly number[] | undefined): Place | undefined {
  const tensors = how.parts.flatMap(({ name }) => file.tensors.get(name) ?? []);
  if (tensors.length < how.parts.length) {
    const older = how.older === undefined ? undefined : file.tensors.get(how.older);
    return older && { tensors: [older], how: { parts: [{ name: older.name }] }, shape: older.shape };
  }
  const [{ shape }] = tensors as unknown as readonly [GgufTensor];
  if (how.latent) {
    const { heads, plain, value, latent } = how.latent;
    const fits = [
      [heads, latent, plain],
      [heads, value, latent],
    ].every((own, i) => String(own) === String(tensors[i]!.shape));
    // the shape of what is there says what is wrong
    return { tensors, how, shape: fits ? [heads * (plain + value), latent] : shape };
  }
  if (tensors.length > 1) {
    const fits = tensors.every((tensor, i) => String(tensor.shape) === String([how.parts[i]!.rows, ...shape.slice(1)]));
    const rows = tensors.reduce((sum, tensor) => sum + tensor.shape[0]!, 0);
    return { tensors, how, shape: fits ? [rows, ...shape.slice(1)] : shape };
  }
  const count = (sizes: readonly number[]) => sizes.reduce((product, size) => product * size, 1);
  return { tensors, how, shape: how.shape && wanted && count(wanted) === count(shape) ? wanted : shape };
}

/** How a matrix is stored, before it is read; BF16 is asked for as something. */
function becomes({ type, shape }: GgufTensor, wanted: WeightDType | undefined): Omit<StoredTensor, 'data'> {
  const same = native[type];
  if (wanted !== undefined)
    return { dtype: wanted === same || (type === 'F16' && wanted === 'f16') ? wanted : storedAs(shape, wanted) };
  if (same) return { dtype: same };
  if (type === 'F16' || type === 'F32') return { dtype: type === 'F16' ? 'f16' : 'f32' };
  const [large, small] = nearest[type]!;
  const dtype = shape.at(-1)! % blockSizes[large].values === 0 ? large : small;
  return { dtype, note: `${type} is stored as ${dtype}` };
}

function storedTensor(
  label: string,
  { type, shape }: Pick<GgufTensor, 'type' | 'shape'>,
  bytes: Uint8Array<ArrayBuffer>,
  wanted: WeightDType | undefined,
): StoredTensor {
  const same = native[type];
  if (same && shape.length >= 2 && (wanted === undefined || wanted === same)) {
    checkScales(label, same, bytes);
    return { dtype: same, data: bytes };
  }
  if (type === 'F16' && shape.length >= 2 && (wanted === undefined || wanted === 'f16'))
    return { dtype: 'f16', data: new Uint16Array(bytes.buffer) };
  const values = ggufFloats(type, bytes, shape);
  if (wanted !== undefined) return as(label, values, storedAs(shape, wanted));
  if (shape.length < 2 || type === 'F32') return { dtype: 'f32', data: values };
  if (type === 'BF16') return as(label, values, reachesF16(values) ? 'f16' : 'f32', 'BF16');
  const [large, small] = nearest[type]!;
  return as(label, values, shape.at(-1)! % blockSizes[large].values === 0 ? large : small, type);
}

function as(label: string, values: Float32Array<ArrayBuffer>, dtype: WeightDType, from?: GgufType): StoredTensor {
  const note = from === undefined ? {} : { note: `${from} is stored as ${dtype}` };
  if (dtype === 'f32') return { dtype, data: values, ...note };
  if (dtype === 'f16') return { dtype, data: toF16(label, values), ...note };
  if (!values.every(Number.isFinite)) throw damaged(label, 'holds values that are not finite');
  return { dtype, data: quantize(values, dtype), ...note };
}

function reachesF16(values: Float32Array): boolean {
  return values.every((value) => Math.abs(value) <= 65504);
}

function damaged(label: string, what: string): FileFormatError {
  return new FileFormatError(`weights: ${label}: ${what}`, { code: 'ERR_WEIGHTS' });
}
