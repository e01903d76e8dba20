import { type BlockFormat, blockSizes, FileFormatError, isBlockFormat } from '@heddle/tensor';
import type { SafetensorsFile } from '@heddle/tensor/safetensors';

/** Where a safetensors file says which of its tensors are blocks: a JSON object of names and formats, as `saveTensors` writes it. */
export const blocksKey = 'block_formats';

/** Tensors of a safetensors file that are the bytes of blocks: U8, and the last size that of a row in bytes. */
export class BlockTensors {
  readonly #file: SafetensorsFile;
  readonly #formats: ReadonlyMap<string, BlockFormat>;

  /** @throws FileFormatError `ERR_WEIGHTS` for what are no formats, and for tensors that are no blocks of theirs */
  constructor(file: SafetensorsFile, label: string) {
    this.#file = file;
    this.#formats = formatsOf(file, label);
  }

  formatOf(name: string): BlockFormat | undefined {
    return this.#formats.get(name);
  }

  /** As a file has it whose values are not in blocks. */
  info(name: string): { readonly shape: readonly number[]; readonly byteLength: number } {
    const { shape, byteLength } = this.#file.info(name);
    const { values, bytes } = blockSizes[this.#formats.get(name)!];
    return { shape: [...shape.slice(0, -1), (shape.at(-1)! / bytes) * values], byteLength };
  }
}

function formatsOf(file: SafetensorsFile, label: string): ReadonlyMap<string, BlockFormat> {
  const text = file.metadata.get(blocksKey);
  const wrong = (what: string) =>
    new FileFormatError(`weights: ${label}: ${blocksKey} ${what}`, { code: 'ERR_WEIGHTS' });
  if (text === undefined) return new Map();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw wrong(`must be names with block formats, got ${text.slice(0, 80)}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw wrong(`must be names with block formats, got ${text.slice(0, 80)}`);
  const formats = new Map<string, BlockFormat>();
  for (const [name, format] of Object.entries(parsed as Record<string, unknown>)) {
    if (typeof format !== 'string' || !isBlockFormat(format)) throw wrong(`has ${name} in ${String(format)}`);
    // another shard may hold it
    if (!file.has(name)) continue;
    const { dtype, shape } = file.info(name);
    const row = shape.at(-1);
    if (dtype !== 'U8' || shape.length < 2 || row === undefined || row % blockSizes[format].bytes !== 0)
      throw wrong(`has ${name} in ${format}, but it is ${dtype} [${shape.join(', ')}], which are no such blocks`);
    formats.set(name, format);
  }
  return formats;
}
