import { blockSizes, FileFormatError, formatShape } from '@heddle/tensor';
import type { SafetensorsFile } from '@heddle/tensor/safetensors';
import type { WeightSource } from './weight-source.ts';

/** What the tensors end in that hold the four-bit values of a weight, two of neighbours in a byte, and their scales. */
const [blocksEnd, scalesEnd] = ['_blocks', '_scales'];
const { values: blockValues, bytes: blockBytes } = blockSizes.mxfp4;

/**
 * Weights of a safetensors file that are stored in MXFP4, as those of gpt-oss: `NAME_blocks` u8 `[parts, rows, in / 32, 16]` and
 * `NAME_scales` u8 `[parts, rows, in / 32]`, where other files have `NAME` `[parts, in, rows]`.
 */
export class Fp4Tensors {
  readonly #file: SafetensorsFile;
  readonly #label: string;

  constructor(file: SafetensorsFile, label: string) {
    this.#file = file;
    this.#label = label;
  }

  has(name: string): boolean {
    return !this.#file.has(name) && this.#file.has(name + blocksEnd) && this.#file.has(name + scalesEnd);
  }

  /** The names of a file's tensors, with one for each weight that is stored so. */
  names(): readonly string[] {
    return this.#file.names().flatMap((stored) => {
      const name = stored.slice(0, -blocksEnd.length);
      if (stored.endsWith(blocksEnd) && this.has(name)) return [name];
      return stored.endsWith(scalesEnd) && this.has(stored.slice(0, -scalesEnd.length)) ? [] : [stored];
    });
  }

  /** As a file has it whose values are not in blocks. @throws FileFormatError where blocks and scales do not fit each other */
  info(name: string): { readonly shape: readonly number[]; readonly byteLength: number } {
    const [blocks, scales] = [this.#file.info(name + blocksEnd), this.#file.info(name + scalesEnd)];
    const [parts, rows, count, width] = blocks.shape;
    const fits =
      blocks.shape.length === 4 && width === 16 && formatShape(scales.shape) === formatShape([parts!, rows!, count!]);
    if (!fits || blocks.dtype !== 'U8' || scales.dtype !== 'U8')
      throw new FileFormatError(
        `weights: ${this.#label}: ${name}: blocks and scales must be U8 [parts, rows, count, 16] and [parts, rows, count], got ${blocks.dtype} ${formatShape(blocks.shape)} and ${scales.dtype} ${formatShape(scales.shape)}`,
        { code: 'ERR_WEIGHTS' },
      );
    return { shape: [parts!, count! * blockValues, rows!], byteLength: blocks.byteLength + scales.byteLength };
  }

  /**
   * The blocks of some rows of a weight `[parts, out, in]`, which has every `of`th row from `first` on, as GGUF files have them.
   * @param from the first of the parts x out rows
   */
  async rows(
    name: string,
    source: Extract<WeightSource, { kind: 'columns' }>,
    from: number,
    count: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { first = 0, of = 1 } = source;
    const perRow = this.info(name).shape[1]! / blockValues;
    const part = (bytes: number) => ({ offset: from * of * perRow * bytes, length: count * of * perRow * bytes });
    const blocks = await this.#file.read(name + blocksEnd, part(16));
    const scales = await this.#file.read(name + scalesEnd, part(1));
    const out = new Uint8Array(count * perRow * blockBytes);
    let to = 0;
    for (let row = first; row < count * of; row += of)
      for (let block = row * perRow; block < (row + 1) * perRow; block++, to += blockBytes) {
        out[to] = scales[block]!;
        halves(blocks, block * 16, out, to + 1);
      }
    return out;
  }
}

/** Values that are neighbours in a byte: the first sixteen into the low halves of sixteen bytes, the others into the high halves. */
function halves(pairs: Uint8Array, at: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < 8; i++) {
    const [low, high] = [pairs[at + i]!, pairs[at + 8 + i]!];
    out[to + 2 * i] = (low & 15) | ((high & 15) << 4);
    out[to + 2 * i + 1] = (low >> 4) | (high & 0xf0);
  }
}
