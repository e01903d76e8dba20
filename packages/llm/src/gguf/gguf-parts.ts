import { FileFormatError } from '@heddle/tensor';
import type { FileInput } from '@heddle/tensor/safetensors';
import { ggufParts } from '../hub/needed-files.ts';
import { type GgufFile, openGguf } from './gguf-file.ts';
import type { GgufTensor } from './gguf-header.ts';

/** Gives part `index` (from 0) of `count`; undefined where there is none. */
export type OpenPart = (index: number, count: number) => FileInput | undefined | Promise<FileInput | undefined>;

/** Models in more parts are none: the largest have some hundreds. */
const maxParts = 9999;

/**
 * Opens a GGUF file as `openGguf` does, and where it is the first of several parts all of them, as one file.
 * @param openPart the others; by default those that stand beside a path
 * @throws FileFormatError as `openGguf`, `ERR_FILE_NOT_FOUND` for a part that is not there, `ERR_WEIGHTS` for parts that do not belong
 *   together; then nothing is left open
 */
export async function openGgufParts(
  input: FileInput,
  label: string = typeof input === 'string' ? input : 'gguf file',
  openPart: OpenPart = besides(input),
): Promise<GgufFile> {
  const first = await openGguf(input, label);
  const opened = [first];
  try {
    const count = partCount(first);
    if (count === 1) return first;
    if (partNumber(first) !== 0) throw wrong(label, `is part ${partNumber(first) + 1} of ${count}: name the first one`);
    for (let index = 1; index < count; index++) {
      const part = await openPart(index, count);
      if (part === undefined)
        throw new FileFormatError(`gguf: ${label}: part ${index + 1} of ${count} is not beside it`, {
          code: 'ERR_FILE_NOT_FOUND',
        });
      const file = await openGguf(part, typeof part === 'string' ? part : `${label} (part ${index + 1})`);
      opened.push(file);
      if (partCount(file) !== count || partNumber(file) !== index)
        throw wrong(
          file.label,
          `must be part ${index + 1} of ${count}, it is ${partNumber(file) + 1} of ${partCount(file)}`,
        );
    }
    return joined(opened);
  } catch (error) {
    for (const file of opened) await file.close();
    throw error;
  }
}

/** The parts that stand beside a path, by its name. */
function besides(input: FileInput): OpenPart {
  return (index, count) => {
    const names = typeof input === 'string' ? ggufParts(input) : [];
    return names.length === count ? names[index] : undefined;
  };
}

function partCount({ metadata, label }: GgufFile): number {
  const count = metadata.get('split.count') ?? 1;
  if (typeof count !== 'number' || count > maxParts)
    throw wrong(label, `split.count must be a number up to ${maxParts}`);
  return Math.max(1, count);
}

function partNumber({ metadata, label }: GgufFile): number {
  const number = metadata.get('split.no') ?? 0;
  if (typeof number !== 'number') throw wrong(label, 'split.no must be a number');
  return number;
}

/** Parts as one file: offsets count on from one to the next. What the first one says holds. */
function joined(parts: readonly GgufFile[]): GgufFile {
  const [first] = parts as readonly [GgufFile, ...GgufFile[]];
  const tensors = new Map<string, GgufTensor>();
  const owners = new Map<string, GgufFile>();
  const starts: number[] = [];
  let byteLength = 0;
  for (const part of parts) {
    starts.push(byteLength);
    for (const [name, tensor] of part.tensors) {
      if (tensors.has(name)) throw wrong(part.label, `has ${name}, as ${owners.get(name)!.label} has`);
      tensors.set(name, { ...tensor, byteOffset: byteLength + tensor.byteOffset });
      owners.set(name, part);
    }
    byteLength += part.byteLength;
  }
  const stated = first.metadata.get('split.tensors.count');
  if (typeof stated === 'number' && stated !== tensors.size)
    throw wrong(first.label, `its parts must have ${stated} tensors, they have ${tensors.size}`);
  return {
    label: first.label,
    byteLength,
    metadata: first.metadata,
    entries: first.entries,
    tensors,
    async bytes(offset, length) {
      const index = starts.filter((start) => start <= offset).length - 1;
      return parts[index]!.bytes(offset - starts[index]!, length);
    },
    async read(name) {
      return (owners.get(name) ?? first).read(name);
    },
    async close() {
      for (const part of parts) await part.close();
    },
  };
}

function wrong(label: string, what: string): FileFormatError {
  return new FileFormatError(`gguf: ${label}: ${what}`, { code: 'ERR_WEIGHTS' });
}
