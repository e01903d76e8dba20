import { decodeBlocks } from '@heddle/tensor/quantized';
import { type SafetensorsFile, safetensorsToF32 } from '@heddle/tensor/safetensors';
import type { Fp4Tensors } from '../models/fp4-safetensors.ts';
import type { PlannedWeight } from '../models/weight-names.ts';
import { fromSource } from '../models/weight-source.ts';
import { rowsOf, type SourceTensor } from './source-tensor.ts';

/** A tensor of a folder, as it stands there. */
export function tensorRows(file: SafetensorsFile, name: string): SourceTensor {
  const { shape } = file.info(name);
  return weightRows(file, undefined, { name, stored: [name], shape });
}

/** A weight of a folder, of which rows are read in the order that they have in memory, however its tensors have them. */
export function weightRows(
  file: SafetensorsFile,
  fp4: Fp4Tensors | undefined,
  { name, stored, shape, source }: PlannedWeight,
): SourceTensor {
  const { length } = rowsOf(shape);
  /** So many rows of a tensor, whose rows are those of the weight. */
  const direct = async (tensor: string, from: number, count: number) => {
    const { dtype, byteLength, shape: own } = file.info(tensor);
    const rowBytes = byteLength / Math.max(1, rowsOf(own).rows);
    return safetensorsToF32(dtype, await file.read(tensor, { offset: from * rowBytes, length: count * rowBytes }));
  };
  const [first] = stored as readonly [string];
  if (!source) return { name, shape, rows: (from, count) => direct(first, from, count) };
  if (fp4?.has(first) && source.kind === 'columns')
    return {
      name,
      shape,
      rows: async (from, count) => decodeBlocks('MXFP4', await fp4.rows(first, source, from, count), [count, length]),
    };
  const perPart = rowsOf(shape.slice(1)).rows;
  if (source.kind === 'stacked') return inParts((part, from, count) => direct(stored[part]!, from, count));
  if (source.kind === 'rows')
    return inParts((part, from, count) => direct(first, (part * source.of + source.first) * perPart + from, count));
  // columns of a tensor are rows of the weight: a part is read as a whole
  const isOne = source.kind === 'transposed' || shape.length < 3;
  const parts = isOne ? 1 : shape[0]!;
  const turned = async (part: number) => {
    const { dtype, byteLength } = file.info(first);
    const size = byteLength / parts;
    const bytes = await file.read(first, { offset: part * size, length: size });
    const own = isOne ? shape : [1, ...shape.slice(1)];
    return safetensorsToF32(dtype, fromSource([bytes], own, source));
  };
  if (isOne)
    return {
      name,
      shape,
      rows: async (from, count) => (await turned(0)).slice(from * length, (from + count) * length),
    };
  return inParts(async (part, from, count) => (await turned(part)).slice(from * length, (from + count) * length));

  /** Rows that go on from part to part. */
  function inParts(read: (part: number, from: number, count: number) => Promise<Float32Array>): SourceTensor {
    return {
      name,
      shape,
      async rows(from, count) {
        const values = new Float32Array(count * length);
        for (let done = 0; done < count; ) {
          const [part, within] = [Math.floor((from + done) / perPart), (from + done) % perPart];
          const some = Math.min(count - done, perPart - within);
          values.set(await read(part, within, some), done * length);
          done += some;
        }
        return values;
      },
    };
  }
}
