import {
  arange,
  type CompiledFunction,
  compile,
  type Device,
  full,
  reshape,
  type Tensor,
  take,
  type Update,
  type Variable,
  where,
} from '@heddle/tensor';

type Values = Int32Array | Float32Array | Uint32Array;

/** Numbers of each lane on the device, `[lanes, width]`: what is kept of a running request. */
export class LaneTable {
  readonly #variable: Variable;
  readonly #lanes: number;
  readonly #width: number;
  readonly #clear: CompiledFunction<[Tensor], Update>;
  readonly #set: CompiledFunction<[Tensor, Tensor], Update>;

  /** @throws OutOfMemoryError */
  constructor(
    device: Device,
    table: {
      readonly name: string;
      readonly lanes: number;
      readonly width: number;
      readonly dtype: 'i32' | 'u32' | 'f32';
      /** What a lane begins with. */
      readonly empty: number;
    },
  ) {
    const { name, lanes, width, dtype, empty } = table;
    this.#lanes = lanes;
    this.#width = width;
    const variable = device.zeroVariable([lanes * width], { dtype, name, owner: 'sampling' });
    this.#variable = variable;
    this.#clear = compile(
      (lane: Tensor) =>
        variable.scatter(lane.mul(width).add(arange(device, width)), full(device, [width], empty, dtype)),
      { device, name: `${name} of a new request`, inputs: [{ shape: [1], dtype: 'i32' }] },
    );
    this.#set = compile((places: Tensor, values: Tensor) => variable.scatter(places, values), {
      device,
      name: `${name} of a request`,
      inputs: [
        { shape: ['N'], dtype: 'i32' },
        { shape: ['N'], dtype },
      ],
      symbols: { N: width },
    });
  }

  /** The rows of lanes (i32 `[R]`), `[R, width]`. */
  rows(lanes: Tensor): Tensor {
    return take(reshape(this.#variable, [this.#lanes, this.#width]), lanes);
  }

  /** The numbers at `places` (i32 `[R]`) of lanes `[R]`: `[R]`. */
  at(lanes: Tensor, places: Tensor): Tensor {
    return take(this.#variable, lanes.mul(this.#width).add(places));
  }

  /** Sets one number of each lane; nothing where the place (i32 `[R]`) is negative or beyond the end. */
  put(lanes: Tensor, places: Tensor, values: Tensor): Update {
    const isIn = places.greaterEqual(0).and(places.less(this.#width));
    return this.#variable.scatter(where(isIn, lanes.mul(this.#width).add(places), -1), values);
  }

  /** Makes a lane empty, but for these numbers at these places, each named once; before whatever is run later. */
  async write(lane: number, places: readonly number[], values: Values): Promise<void> {
    const cleared = this.#clear(Int32Array.of(lane));
    const at = Int32Array.from(places, (place) => lane * this.#width + place);
    const set = at.length > 0 ? this.#set(at, values) : undefined;
    await Promise.all([cleared, set]);
  }

  dispose(): void {
    this.#clear.dispose();
    this.#set.dispose();
    this.#variable.dispose();
  }
}
