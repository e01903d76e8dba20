import { ArgumentError, type Device, type Tensor, take, type Update } from '@heddle/tensor';
import type { BlockHoldings } from '../blocks/block-holdings.ts';
import type { BlockSequence } from '../blocks/block-sequence.ts';
import type { BlockSupply } from '../blocks/block-supply.ts';
import type { Group } from '../blocks/group.ts';
import type { HeldKv, HeldStore } from '../kv-cache.ts';
import { isState, type KvShape, type KvStore } from '../kv-shape.ts';
import type { StatePools } from '../storage/state-pools.ts';
import { padded, type StorePools } from '../storage/store-pools.ts';

/** What a cache in blocks has of sequences, and where. */
export interface HeldParts {
  readonly device: Device;
  readonly shape: KvShape;
  readonly groups: readonly Group[];
  readonly groupOf: (store: KvStore) => number;
  readonly blockSize: number;
  readonly pools: StorePools;
  readonly states: StatePools;
}

/** What is held lacks something that the cache keeps. */
export class HeldRowsError extends ArgumentError {}

type Ranges = readonly (readonly [start: number, end: number])[];

/** Reads all that is kept of sequences, and gives it to others. */
export class HeldRows {
  readonly #parts: HeldParts;
  readonly #supply: BlockSupply;
  readonly #holdings: BlockHoldings;

  constructor(parts: HeldParts, supply: BlockSupply, holdings: BlockHoldings) {
    this.#parts = parts;
    this.#supply = supply;
    this.#holdings = holdings;
  }

  read(sequence: BlockSequence): Promise<HeldKv> {
    return readHeld(sequence, this.#parts);
  }

  /** @throws ArgumentError where what the next token reads is missing, naming the first */
  check(length: number, held: HeldKv): void {
    checkHeld(length, held, this.#parts);
  }

  /** Gives an empty sequence what is held; ends it where there is no room. */
  write(
    sequence: BlockSequence,
    length: number,
    held: HeldKv,
  ): { sequence: BlockSequence; written: Promise<void> } | 'full' {
    const written = writeHeld(sequence, length, held, this.#parts, this.#supply, this.#holdings);
    if (!written) {
      sequence.dispose();
      return 'full';
    }
    sequence.length = length;
    sequence.reserved = length;
    sequence.used = true;
    sequence.follow(written);
    return { sequence, written };
  }
}

async function readHeld(sequence: BlockSequence, parts: HeldParts): Promise<HeldKv> {
  const { device, shape, groupOf, blockSize, pools, states } = parts;
  const { length, lists } = sequence;
  const ranges = lists.map((list): Ranges => {
    const found: [number, number][] = [];
    for (const column of list.held()) {
      const [start, end] = [column * blockSize, Math.min(length, (column + 1) * blockSize)];
      if (start >= end) continue;
      if (found.at(-1)?.[1] === start) found.at(-1)![1] = end;
      else found.push([start, end]);
    }
    return found;
  });
  const slots = ranges.map((some, group) => slotsOf(lists[group]!.table, some, blockSize));
  const rows = pools.read(slots);
  const at = device.tensor(Int32Array.of(sequence.states.current.slot + 1));
  const found = states.parts.map((part) => take(part, at));
  try {
    const [own, data] = await Promise.all([
      rows,
      device.realize(found).then(() => Promise.all(found.map((tensor) => tensor.data()))),
    ]);
    let next = 0;
    return shape.layers.map((layer, index) =>
      Object.fromEntries(
        Object.entries(layer).map(([name, store]): [string, HeldStore] => {
          if (isState(store)) return [name, { ranges: [], data: data[next++] as Float32Array | Uint16Array }];
          return [name, { ranges: ranges[groupOf(store)]!, data: own[index]![name]! }];
        }),
      ),
    );
  } finally {
    for (const tensor of [at, ...found]) tensor.dispose();
  }
}

function checkHeld(length: number, held: HeldKv, { shape, groups, groupOf, blockSize }: HeldParts): void {
  for (const [index, layer] of shape.layers.entries())
    for (const [name, store] of Object.entries(layer)) {
      const own = held[index]?.[name];
      const where = `restore: ${name} of layer ${index}`;
      const size = store.shape.reduce((product: number, one: number) => product * one, 1);
      const tokens = own?.ranges.reduce((sum, [start, end]) => sum + end - start, 0) ?? 0;
      const count = isState(store) ? size : tokens * size;
      const kind = store.dtype === 'f16' ? Uint16Array : Float32Array;
      if (!own || !(own.data instanceof kind) || own.data.length !== count)
        throw new HeldRowsError(
          `${where} must be ${count} values of ${store.dtype}, got ${own?.data.length ?? 'none'}`,
        );
      if (isState(store)) continue;
      for (const column of neededColumns(groups[groupOf(store)]!, length, blockSize)) {
        const [start, end] = [column * blockSize, Math.min(length, (column + 1) * blockSize)];
        if (!own.ranges.some(([from, to]) => from <= start && end <= to))
          throw new HeldRowsError(`${where} lacks the positions [${start}, ${end}), which the cache keeps`);
      }
    }
}

/** @returns when it is written; false where there is no room: the sequence has some of what it needs then */
function writeHeld(
  sequence: BlockSequence,
  length: number,
  held: HeldKv,
  parts: HeldParts,
  supply: BlockSupply,
  holdings: BlockHoldings,
): Promise<void> | false {
  const { device, shape, groups, groupOf, blockSize, pools, states } = parts;
  const columns = Math.ceil(length / blockSize);
  for (const [group, own] of groups.entries()) {
    if (own.kind === 'state') {
      const slot = length > 0 ? supply.takeSpare(group) : undefined;
      if (length > 0 && slot === undefined) return false;
      if (slot !== undefined) sequence.states.current = { position: length, slot, role: 'kept' };
      continue;
    }
    const list = sequence.lists[group]!;
    const needed = new Set(neededColumns(own, length, blockSize));
    for (let column = 0; column < columns; column++) {
      const block = needed.has(column) ? supply.takeSpare(group) : -1;
      if (block === undefined) return false;
      list.push(block);
    }
    list.gone = Math.max(list.kept, Math.min(firstSeen(own, length, blockSize), list.end));
  }
  holdings.beforeWriting?.();
  const made: Tensor[] = [];
  const tensor = (data: Float32Array | Uint16Array | Int32Array, shape: readonly number[]) => {
    const one = device.tensor(data, { shape });
    made.push(one);
    return one;
  };
  const updates: Update[] = [];
  let state = 0;
  for (const [index, layer] of shape.layers.entries())
    for (const [name, store] of Object.entries(layer)) {
      const { ranges, data } = held[index]![name]!;
      if (isState(store)) {
        const part = states.parts[state++]!;
        if (length === 0) continue;
        const at = tensor(Int32Array.of(sequence.states.current.slot + 1), [1]);
        updates.push(part.scatter(at, tensor(data, [1, ...store.shape])));
        continue;
      }
      // rows that this cache does not keep go nowhere
      const slots = slotsOf(sequence.lists[groupOf(store)]!.table, ranges, blockSize);
      if (slots.length === 0) continue;
      const all = padded(slots);
      const size = store.shape[0] * store.shape[1];
      const rows = store.dtype === 'f16' ? new Uint16Array(all.length * size) : new Float32Array(all.length * size);
      rows.set(data);
      for (let row = slots.length; row < all.length; row++) rows.copyWithin(row * size, (row - 1) * size, row * size);
      updates.push(
        ...pools.writeRows(index, name, tensor(all, [all.length]), tensor(rows, [all.length, ...store.shape])),
      );
    }
  const writing = device.realize([], updates);
  const free = () => {
    for (const one of made) one.dispose();
  };
  return writing.then(() => {}).finally(free);
}

/** Columns of a group that hold what the token at `length` reads, or goes to; ascending. */
function neededColumns(group: Group, length: number, blockSize: number): number[] {
  const first = firstSeen(group, length, blockSize);
  const kept = Math.ceil(group.keepFirst / blockSize);
  return Array.from({ length: Math.ceil(length / blockSize) }, (_, column) => column).filter(
    (column) => column >= first || column < kept,
  );
}
const firstSeen = ({ window }: Group, length: number, blockSize: number): number =>
  window === undefined ? 0 : Math.max(0, Math.floor((length - window + 1) / blockSize));

/** Slots of positions; negative for those in columns that are not held. */
function slotsOf(table: Int32Array, ranges: Ranges, blockSize: number): Int32Array {
  const slots: number[] = [];
  for (const [start, end] of ranges)
    for (let position = start; position < end; position++) {
      const block = table[Math.floor(position / blockSize)]!;
      slots.push(block < 0 ? -1 : block * blockSize + (position % blockSize));
    }
  return Int32Array.from(slots);
}
