import {
  type CompiledFunction,
  compile,
  type Device,
  type Tensor,
  take,
  type Update,
  type Variable,
} from '@heddle/tensor';

/** Masks that wait for `send`, by the rows that they are for. */
interface Staged {
  readonly rows: Int32Array;
  readonly words: Uint32Array;
  readonly placeOf: Map<number, number>;
}

/** A mask of tokens for each row on the device, u32 `[rows, width]`. Those of a step are written together. */
export class MaskTable {
  readonly #variable: Variable;
  readonly #width: number;
  readonly #set: CompiledFunction<[Tensor, Tensor], Update>;
  /** What a write takes its values from stays as it is until the write has read it. */
  readonly #free: Staged[] = [];
  #staged: Staged | undefined;

  /** @throws OutOfMemoryError */
  constructor(
    device: Device,
    { name, rows, width }: { readonly name: string; readonly rows: number; readonly width: number },
  ) {
    this.#width = width;
    const variable = device.zeroVariable([rows, width], { dtype: 'u32', name, owner: 'sampling' });
    this.#variable = variable;
    this.#set = compile((places: Tensor, masks: Tensor) => variable.scatter(places, masks), {
      device,
      name: `${name} of a step`,
      inputs: [
        { shape: ['M'], dtype: 'i32' },
        { shape: ['M', width], dtype: 'u32' },
      ],
      symbols: { M: rows },
    });
  }

  /** The masks of rows (i32 `[R]`), `[R, width]`. */
  rows(rows: Tensor): Tensor {
    return take(this.#variable, rows);
  }

  /** Takes a copy of a mask for a row; missing words are 0. The last one for a row counts. */
  stage(row: number, mask: Uint32Array): void {
    const [most, width] = this.#variable.shape as readonly [number, number];
    this.#staged ??=
      this.#free.pop() ??
      ({ rows: new Int32Array(most), words: new Uint32Array(most * width), placeOf: new Map() } satisfies Staged);
    const { rows, words, placeOf } = this.#staged;
    let place = placeOf.get(row);
    if (place === undefined) {
      place = placeOf.size;
      placeOf.set(row, place);
      rows[place] = row;
    }
    const given = mask.length > width ? mask.subarray(0, width) : mask;
    words.set(given, place * width);
    words.fill(0, place * width + given.length, (place + 1) * width);
  }

  /** Writes what is staged, before whatever is run later; undefined where nothing is. */
  send(): Promise<void> | undefined {
    const staged = this.#staged;
    if (!staged) return undefined;
    this.#staged = undefined;
    return this.#write(staged);
  }

  async #write(staged: Staged): Promise<void> {
    const count = staged.placeOf.size;
    const written = this.#set(staged.rows.subarray(0, count), {
      data: staged.words.subarray(0, count * this.#width),
      shape: [count, this.#width],
    });
    staged.placeOf.clear();
    await written;
    this.#free.push(staged);
  }

  dispose(): void {
    this.#set.dispose();
    this.#variable.dispose();
  }
}
