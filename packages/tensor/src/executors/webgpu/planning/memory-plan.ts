import type { TensorType } from '../../../shape.ts';
import type { BufferValue, Step } from '../values.ts';

/** Which temporaries share buffers. */
export interface MemoryPlan {
  /** Bytes of each shared buffer, largest first. */
  readonly slots: readonly number[];
  readonly slotOf: ReadonlyMap<BufferValue, number>;
  /** Temporaries that lie in a donated input, by the input's index: they have no slot. */
  readonly inputOf: ReadonlyMap<BufferValue, number>;
  /** Bytes of all temporaries, each in a buffer of its own. */
  readonly sum: number;
  /** By step: bytes of the temporaries that are alive while it runs. */
  readonly live: readonly number[];
}

interface Lifetime {
  readonly value: BufferValue;
  readonly bytes: number;
  /** Steps at which it is first written and last used, both included: one dispatch never has a buffer in two roles. */
  readonly first: number;
  last: number;
}

/** A buffer that values of different times share. */
interface Place {
  readonly bytes: number;
  readonly taken: Lifetime[];
}

/**
 * Gives temporaries that live at different times one buffer: the largest first, each to the first buffer that is free while
 * it lives. Whole buffers, because WebGPU puts barriers between dispatches by buffer and refuses one in two roles.
 *
 * @param donated inputs whose buffers may be written over once the last step has read them
 */
export function planMemory(
  steps: readonly Pick<Step, 'bindings'>[],
  bytesOf: (type: TensorType) => number,
  donated: ReadonlySet<number> = new Set(),
): MemoryPlan {
  const all = lifetimesOf(steps, bytesOf);
  const lifetimes = all.filter(({ value }) => value.kind === 'temporary');
  lifetimes.sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  // the smallest first, so that a large one is left for what needs it
  const hosts = donatedPlaces(all, donated).sort((a, b) => a.bytes - b.bytes);
  const slots: Place[] = [];
  const slotOf = new Map<BufferValue, number>();
  const inputOf = new Map<BufferValue, number>();
  for (const lifetime of lifetimes) {
    const host = hosts.find((place) => place.bytes >= lifetime.bytes && isFree(place, lifetime));
    if (host) {
      host.taken.push(lifetime);
      inputOf.set(lifetime.value, host.input);
      continue;
    }
    let slot = slots.findIndex((place) => isFree(place, lifetime));
    if (slot < 0) slot = slots.push({ bytes: lifetime.bytes, taken: [] }) - 1;
    slots[slot]!.taken.push(lifetime);
    slotOf.set(lifetime.value, slot);
  }
  return {
    slots: slots.map(({ bytes }) => bytes),
    slotOf,
    inputOf,
    sum: lifetimes.reduce((sum, { bytes }) => sum + bytes, 0),
    live: steps.map((_, at) =>
      lifetimes.reduce((sum, { bytes, first, last }) => sum + (first <= at && at <= last ? bytes : 0), 0),
    ),
  };
}

const isFree = ({ taken }: Place, { first, last }: Lifetime) =>
  taken.every((other) => other.last < first || last < other.first);

/** The buffers of donated inputs, taken until their last use. Their sizes must be the same in every run. */
function donatedPlaces(lifetimes: readonly Lifetime[], donated: ReadonlySet<number>): (Place & { input: number })[] {
  return lifetimes.flatMap((lifetime) => {
    const { value, bytes } = lifetime;
    if (value.kind !== 'input' || !donated.has(value.index)) return [];
    if (value.type.shape.some((dim) => typeof dim !== 'number')) return [];
    return [{ input: value.index, bytes, taken: [{ ...lifetime, first: 0 }] }];
  });
}

/** When each input and temporary is in use. */
function lifetimesOf(steps: readonly Pick<Step, 'bindings'>[], bytesOf: (type: TensorType) => number): Lifetime[] {
  const lifetimes = new Map<BufferValue, Lifetime>();
  steps.forEach(({ bindings }, at) => {
    for (const { value } of bindings) {
      if (value.kind !== 'temporary' && value.kind !== 'input') continue;
      const known = lifetimes.get(value);
      if (known) known.last = at;
      else lifetimes.set(value, { value, bytes: bytesOf(value.type), first: at, last: at });
    }
  });
  return [...lifetimes.values()];
}
