import type { TensorType } from '../../../shape.ts';
import type { BufferValue, Step } from '../values.ts';

/** Bytes of a buffer for `count` values: whole fours, so that kernels may read and write the last four as one. */
export function bufferBytes(dtype: TensorType['dtype'], count: number): number {
  return Math.max(16, Math.ceil((count * (dtype === 'f16' ? 2 : 4)) / 16) * 16);
}

/** Which temporaries share buffers. */
export interface MemoryPlan {
  /** Bytes of each shared buffer, largest first. */
  readonly slots: readonly number[];
  readonly slotOf: ReadonlyMap<BufferValue, number>;
  /** Bytes of all temporaries, each in a buffer of its own. */
  readonly sum: number;
}

interface Lifetime {
  readonly value: BufferValue;
  readonly bytes: number;
  /** Steps at which it is first written and last used, both included: one dispatch never has a buffer in two roles. */
  readonly first: number;
  last: number;
}

/**
 * Gives temporaries that live at different times one buffer: the largest first, each to the first buffer that is free while
 * it lives. Whole buffers, because WebGPU puts barriers between dispatches by buffer and refuses one in two roles.
 */
export function planMemory(steps: readonly Step[], bytesOf: (type: TensorType) => number): MemoryPlan {
  const lifetimes = [...lifetimesOf(steps, bytesOf).values()].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  const slots: { readonly bytes: number; readonly taken: Lifetime[] }[] = [];
  const slotOf = new Map<BufferValue, number>();
  for (const lifetime of lifetimes) {
    let slot = slots.findIndex(({ taken }) =>
      taken.every((other) => other.last < lifetime.first || lifetime.last < other.first),
    );
    if (slot < 0) slot = slots.push({ bytes: lifetime.bytes, taken: [] }) - 1;
    slots[slot]!.taken.push(lifetime);
    slotOf.set(lifetime.value, slot);
  }
  return {
    slots: slots.map(({ bytes }) => bytes),
    slotOf,
    sum: lifetimes.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

function lifetimesOf(steps: readonly Step[], bytesOf: (type: TensorType) => number): Map<BufferValue, Lifetime> {
  const lifetimes = new Map<BufferValue, Lifetime>();
  steps.forEach(({ bindings }, at) => {
    for (const { value } of bindings) {
      if (value.kind !== 'temporary') continue;
      const known = lifetimes.get(value);
      if (known) known.last = at;
      else lifetimes.set(value, { value, bytes: bytesOf(value.type), first: at, last: at });
    }
  });
  return lifetimes;
}
