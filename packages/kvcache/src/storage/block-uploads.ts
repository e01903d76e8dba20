import { type CompiledFunction, compile, type Device, type Tensor, type Update, type Variable } from '@heddle/tensor';
import { bytesOfBlock, type Lane, lanesOf, type RawGroup, slotsOfBlocks, valuesIn } from './raw-layout.ts';

/** Writes parts of some slots: effects. */
export type LoadParts = (group: number, slots: Tensor, parts: readonly Tensor[]) => readonly Update[];

/** Bytes that come over at once, where a block has fewer. */
const stagedBytes = 1 << 24;

/** What blocks of one group come through: a variable for each dtype, and a step for each number of blocks. */
interface Stage {
  readonly lanes: readonly (Lane & { readonly staged: Variable })[];
  /** Blocks that it holds: a power of two. */
  readonly blocks: number;
  readonly steps: Map<number, CompiledFunction<[Tensor], readonly Update[]>>;
}

/**
 * Brings blocks of bytes from the host: as many as fit go over as one to a memory of its own on the device, and one step writes them to where they
 * belong. That memory is there from the beginning, and nothing is allocated while blocks come.
 */
export class BlockUploads {
  readonly #groups: readonly RawGroup[];
  readonly #load: LoadParts;
  readonly #device: Device;
  readonly #stages: readonly Stage[];
  readonly byteLength: number;

  /**
   * @param groups how the bytes of a block are laid out
   * @param most blocks of each group that there may be
   * @param load writes what is kept for some slots of a group
   * @throws OutOfMemoryError, then nothing was allocated
   */
  constructor(device: Device, groups: readonly RawGroup[], most: readonly number[], load: LoadParts) {
    this.#device = device;
    this.#groups = groups;
    this.#load = load;
    const made: Variable[] = [];
    try {
      this.#stages = groups.map((group, index) => {
        const lanes = lanesOf(group);
        const fitting = 2 ** Math.floor(Math.log2(Math.max(1, stagedBytes / Math.max(1, bytesOfBlock(lanes)))));
        const blocks = Math.min(fitting, 2 ** Math.ceil(Math.log2(Math.max(1, most[index]!))));
        const staged = lanes.map((lane) => {
          const { dtype, parts } = lane;
          const width = parts.reduce((sum, { size }) => sum + size, 0);
          const options = { dtype, name: `${dtype} of blocks that come back`, owner: 'kv cache' };
          const variable = device.zeroVariable([blocks, width], options);
          made.push(variable);
          return { ...lane, staged: variable };
        });
        return { lanes: staged, blocks, steps: new Map() };
      });
    } catch (error) {
      for (const variable of made) variable.dispose();
      throw error;
    }
    this.byteLength = made.reduce((sum, { storage }) => sum + storage!.byteLength, 0);
  }

  /**
   * Writes to blocks of a group what `RawBlocks.read` gave, after the work that was submitted before the call. All of it is submitted by the call, and
   * the bytes must stay as they are until it resolves.
   */
  async write(group: number, blocks: readonly number[], bytes: readonly Uint8Array[]): Promise<void> {
    const stage = this.#stages[group]!;
    const writing: Promise<unknown>[] = [];
    for (let start = 0; start < bytes.length; start += stage.blocks) {
      const some = bytes.slice(start, start + stage.blocks);
      const count = 2 ** Math.ceil(Math.log2(some.length));
      // slots that are negative are passed over
      const slots = new Int32Array(count * this.#groups[group]!.slots).fill(-1);
      slots.set(slotsOfBlocks(this.#groups[group]!, blocks.slice(start, start + stage.blocks)));
      for (const lane of stage.lanes) writing.push(lane.staged.write(some.map((block) => valuesIn(block, lane))));
      writing.push(this.#step(group, count)(slots));
    }
    await Promise.all(writing);
  }

  /** Brings bytes over that go nowhere. @returns how many seconds it took */
  async rehearse(group: number, bytes: readonly Uint8Array[]): Promise<number> {
    const begun = performance.now();
    await this.write(group, [], bytes);
    return (performance.now() - begun) / 1000;
  }

  dispose(): void {
    for (const { lanes, steps } of this.#stages) {
      for (const step of steps.values()) step.dispose();
      for (const { staged } of lanes) staged.dispose();
    }
  }

  #step(group: number, count: number): CompiledFunction<[Tensor], readonly Update[]> {
    const { lanes, steps } = this.#stages[group]!;
    let step = steps.get(count);
    if (step) return step;
    const { parts, slots } = this.#groups[group]!;
    const record = (at: Tensor): readonly Update[] => {
      const loaded: Tensor[] = [];
      for (const { staged, parts: own } of lanes) {
        const rows = staged.slice(0, 0, count);
        for (const { index, before, size } of own)
          loaded[index] = rows
            .slice(1, before, before + size)
            .reshape([count * slots, ...(parts[index]!.shape.slice(1) as number[])]);
      }
      return this.#load(group, at, loaded);
    };
    const inputs: [{ shape: number[]; dtype: 'i32' }] = [{ shape: [count * slots], dtype: 'i32' }];
    step = compile(record, { device: this.#device, inputs, name: `${count} blocks that come back` });
    steps.set(count, step);
    return step;
  }
}
