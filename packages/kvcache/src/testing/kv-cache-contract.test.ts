import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { BlockHoldings } from '../blocks/block-holdings.ts';
import { BlockPool } from '../blocks/block-pool.ts';
import { StateSlots } from '../blocks/state-slots.ts';
import { Windows } from '../blocks/windows.ts';
import { contiguousCache, type KvBatch, type KvCache, type KvSequence, keyValueShape, pagedCache } from '../index.ts';
import { BlockNode } from '../prefix/block-node.ts';
import { BlockTree } from '../prefix/block-tree.ts';
import { PrefixSharing } from '../prefix/prefix-sharing.ts';
import { StorePools } from '../storage/store-pools.ts';
import { kvCacheContract, type OpenKvCache } from '../testing.ts';
import { CacheDriver } from './cache-driver.ts';
import { applyOperations, kinds } from './cache-operations.ts';
import { drawShape } from './random-shape.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const operation = fc.record({
  kind: fc.constantFrom(...kinds),
  which: fc.nat(5),
  count: fc.nat(7),
  bits: fc.nat(4095),
});
const operations = fc.array(operation, { maxLength: 40 });

test('a contiguous cache is whole after any operations', async () => {
  const shape = keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32' });
  const cache = contiguousCache(device, { shape, maxSequences: 3, maxSequenceTokens: 6 });
  const driver = new CacheDriver(device, cache, 16);
  await fc.assert(
    fc.asyncProperty(operations, (some) => applyOperations(driver, some, 4)),
    runs(40, 11),
  );
  driver.dispose();
  cache.dispose();
});

test('a paged cache of any shape is whole after any operations', async () => {
  const layout = fc.record({
    shape: fc.nat(200),
    blockSize: fc.integer({ min: 1, max: 5 }),
    checkpoints: fc.nat(4),
    checkpointEvery: fc.integer({ min: 1, max: 8 }),
    cold: fc.nat(12),
    operations,
  });
  await fc.assert(
    fc.asyncProperty(layout, async ({ shape, operations: some, cold, ...options }) => {
      // room for all sequences at their largest, so that whether something fits depends on its length alone
      const sizes = { maxSequences: 3, maxSequenceTokens: 9, maxBatchTokens: 16, ...options };
      const tiers = cold > 0 && { tiers: { cold: cold * options.blockSize, load: 'always' as const } };
      const cache = pagedCache(device, { ...sizes, shape: drawShape(shape), ...tiers });
      const driver = new CacheDriver(device, cache, 16);
      try {
        await applyOperations(driver, some, 4);
      } finally {
        driver.dispose();
        cache.dispose();
      }
    }),
    runs(40, 12),
  );
});

const paged: OpenKvCache = (on, sizes) => pagedCache(on, { ...sizes, blockSize: 4, checkpointEvery: 4 });

/** A paged cache of whose sequences, and batches, `change` makes others. */
function changed(change: {
  sequence?: (sequence: KvSequence, cache: KvCache) => Partial<KvSequence>;
  batch?: (batch: KvBatch) => Partial<KvBatch>;
  cache?: (cache: KvCache) => Partial<KvCache>;
}): OpenKvCache {
  return (on, sizes) => {
    const inner = paged(on, sizes);
    const originals = new Map<KvSequence, KvSequence>();
    const wrap = <F extends string>(sequence: KvSequence | F): KvSequence | F => {
      if (typeof sequence === 'string') return sequence;
      const fork: KvSequence['fork'] = (id, length) => wrap(sequence.fork(id, length));
      const wrapper = replaced<KvSequence>(sequence, { fork, ...change.sequence?.(sequence, inner) });
      originals.set(wrapper, sequence);
      return wrapper;
    };
    const original = (sequence: KvSequence) => originals.get(sequence) ?? sequence;
    return replaced(inner, {
      sequence: (id, prompt) => wrap(inner.sequence(id, prompt)),
      batch: (rows) => {
        const batch = inner.batch(rows.map((row) => ({ ...row, sequence: original(row.sequence) })));
        return replaced(batch, change.batch?.(batch) ?? {});
      },
      ...change.cache?.(inner),
    });
  };
}

/** `target` with some members replaced; the others keep their `this`. */
function replaced<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(from, name) {
      if (Object.hasOwn(members, name)) return members[name as keyof T];
      const member: unknown = Reflect.get(from, name, from);
      return typeof member === 'function' ? member.bind(from) : member;
    },
  });
}

/** The rules that are broken: of those that `isAsked` names, all or up to the first. */
async function broken(
  open: OpenKvCache,
  isAsked: (rule: string) => boolean = () => true,
  count: number = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of kvCacheContract(open, () => device, { seeds: [1, 2] }))
    if (isAsked(name) && failed.length < count) await run().catch(() => failed.push(name));
  return failed;
}

/** A batch with another value for one of its inputs. */
const withInput =
  (name: string, change: (values: Int32Array) => Int32Array) =>
  ({ inputs }: KvBatch): Partial<KvBatch> => {
    const value = inputs[name] as Int32Array | { readonly data: Int32Array; readonly shape: readonly number[] };
    const other = value instanceof Int32Array ? change(value) : { ...value, data: change(value.data) };
    return { inputs: { ...inputs, [name]: other } };
  };

describe('the contract', () => {
  test('is kept by a cache that is merely wrapped', async () => {
    expect(await broken(changed({}))).toEqual([]);
  });

  const wrappers: Record<string, [open: OpenKvCache, rule: string]> = {
    'a fork without its tokens': [
      changed({
        sequence: (_, cache) => ({
          fork: (id) => {
            const empty = cache.sequence(id) as KvSequence;
            empty.reserve(5);
            cache.batch([{ sequence: empty, tokens: 5 }]).advance();
            return empty;
          },
        }),
      }),
      'a fork has the same tokens, and goes its own way',
    ],
    'slots in the wrong order': [
      changed({ batch: withInput('slots', (slots) => slots.slice().reverse()) }),
      'keeps the tokens of sequences that are written together',
    ],
    'a block table of others': [
      changed({ batch: withInput('blockTable', (table) => table.map(() => 0)) }),
      'keeps the tokens of sequences that are written together',
    ],
    'lengths after the step': [
      changed({ batch: withInput('lengths', (lengths) => lengths.map((length) => length + 1)) }),
      'keeps the tokens of sequences that are written together',
    ],
    'positions that begin at 0': [
      changed({ batch: ({ positions }) => ({ positions: positions.map((_, i) => i) }) }),
      'a step has its rows one sequence after the other, and is counted once',
    ],
    'values where the keys are': [
      changed({
        cache: (inner) => ({
          bind: (inputs, sizes) => {
            const step = inner.bind(inputs, sizes);
            const { layers } = inner.shape;
            const other = (layer: number, name: string) =>
              'values' in layers[layer]! &&
              String(layers[layer]!['keys']!.shape) === String(layers[layer]!['values']!.shape)
                ? 'values'
                : name;
            return { ...step, rows: (layer, name) => step.rows(layer, other(layer, name)) };
          },
        }),
      }),
      'keeps the tokens of sequences that are written together',
    ],
    'a layer that is not written': [
      changed({
        cache: (inner) => ({
          bind: (inputs, sizes) => {
            const step = inner.bind(inputs, sizes);
            return { ...step, write: (layer, rows) => (layer === 1 ? [] : step.write(layer, rows)) };
          },
        }),
      }),
      'keeps the tokens of sequences that are written together',
    ],
    'room that is never given back': [
      changed({ sequence: () => ({ dispose: () => {} }) }),
      'takes all sequences at their largest, no more, and all again after they are closed',
    ],
    'memory that stays': [
      changed({ cache: () => ({ dispose: () => {} }) }),
      'leaves nothing on the device after dispose',
    ],
    'a reservation that writes': [
      changed({
        sequence: (sequence, cache) => ({
          reserve: (tokens) => {
            const room = sequence.reserve(tokens);
            if (room) cache.batch([{ sequence, tokens }]).advance();
            return room;
          },
        }),
      }),
      'reserve finds room up to the bound, again and again, and writes nothing',
    ],
    'a range that is read later': [
      changed({
        sequence: (sequence) => ({
          range: async (start, end) => {
            await new Promise((resolve) => setTimeout(resolve, 1));
            return sequence.range(start, end);
          },
        }),
      }),
      'a range is of the moment when it was asked for',
    ],
    'a batch that may be counted twice': [
      changed({
        batch: (batch) => ({
          advance: () => {
            try {
              batch.advance();
            } catch {}
          },
        }),
      }),
      'a step has its rows one sequence after the other, and is counted once',
    ],
    'a buffer for each step': [
      changed({
        batch: () => {
          device.tensor([1]);
          return {};
        },
      }),
      'allocates nothing while tokens flow',
    ],
    'books that do not balance': [
      changed({ cache: (inner) => ({ stats: () => ({ ...inner.stats(), tokens: 1 }) }) }),
      'is whole after random use (seed 1)',
    ],
    'ids that are not taken in': [
      changed({ sequence: () => ({ know: () => {} }) }),
      'ids are told once, and not before their tokens are written',
    ],
    'a truncation that does not say what is left': [
      changed({ sequence: (sequence) => ({ truncate: (length) => sequence.truncate(length) + 1 }) }),
      'truncate takes lengths up to the present one',
    ],
    'a match that says too much': [
      changed({ cache: (inner) => ({ match: (prompt) => inner.match(prompt) + 1 }) }),
      'what is found of a prompt is what was computed for it, for nobody else, and never all of it',
    ],
  };
  for (const [name, [open, rule]] of Object.entries(wrappers))
    test(`catches ${name}`, async () => {
      expect(await broken(open, (name) => name === rule)).toEqual([rule]);
    });

  const { child } = BlockNode.prototype;
  const { root, path, publish } = BlockTree.prototype;
  const { slide } = Windows.prototype;
  const { release } = BlockPool.prototype;
  const { layOut, advance } = StateSlots.prototype;
  /** Faults inside the paged cache: each replaces one function, by one that is wrong. */
  const faults: Record<string, () => { mockRestore(): void }> = {
    'prefixes that are found by the hash of their tokens alone': () =>
      vi.spyOn(BlockNode.prototype, 'child').mockImplementation(function (this: BlockNode, key, tokens, start) {
        return child.call(this, key, tokens, start) ?? [...this.children()][0];
      }),
    'namespaces that share': () => {
      const spies = [
        vi.spyOn(BlockTree.prototype, 'root').mockImplementation(function (this: BlockTree) {
          return root.call(this, '');
        }),
        vi.spyOn(BlockTree.prototype, 'path').mockImplementation(function (this: BlockTree, _, tokens, limit) {
          return path.call(this, '', tokens, limit);
        }),
      ];
      return { mockRestore: () => spies.forEach((spy) => void spy.mockRestore()) };
    },
    'a whole prompt that is found': () =>
      vi.spyOn(BlockTree.prototype, 'path').mockImplementation(function (this: BlockTree, namespace, tokens) {
        return path.call(this, namespace, tokens, 1e9);
      }),
    'a block that is listed with the tokens of another': () =>
      vi.spyOn(BlockTree.prototype, 'publish').mockImplementation(function (this: BlockTree, parent, tokens, ...more) {
        return publish.call(
          this,
          parent,
          tokens.map((token) => (token === 0 ? 1 : token)),
          ...more,
        );
      }),
    'blocks that are not copied before they are written': () =>
      vi.spyOn(StorePools.prototype, 'copy').mockResolvedValue(undefined),
    'blocks that are copied less than they are written': () => {
      const { copy } = BlockHoldings.prototype;
      return vi.spyOn(BlockHoldings.prototype, 'copy').mockImplementation(function (
        this: BlockHoldings,
        group,
        from,
        to,
        tokens,
      ) {
        return copy.call(this, group, from, to, tokens - 1);
      });
    },
    'blocks that are free while somebody holds them': () =>
      vi.spyOn(BlockPool.prototype, 'release').mockImplementation(function (this: BlockPool, block) {
        if (this.references(block) > 1) release.call(this, block);
        return release.call(this, block);
      }),
    'blocks that are never free': () => vi.spyOn(BlockPool.prototype, 'release').mockReturnValue(0),
    'blocks that many hold and that count once': () =>
      vi.spyOn(BlockPool.prototype, 'retain').mockImplementation(() => {}),
    'a block that is not listed any more and still counted': () =>
      vi.spyOn(BlockTree.prototype, 'disown').mockImplementation(() => {}),
    'known tokens that a truncation leaves': () =>
      vi.spyOn(PrefixSharing.prototype, 'cut').mockImplementation(() => {}),
    'windows that are cut short': () =>
      vi.spyOn(Windows.prototype, 'slide').mockImplementation(function (this: Windows, sequence) {
        sequence.length += 8;
        slide.call(this, sequence, true);
        sequence.length -= 8;
      }),
    'states that are those of the first sequence': () =>
      vi.spyOn(StateSlots.prototype, 'layOut').mockImplementation(function (this: StateSlots, rows) {
        const layout = layOut.call(this, rows);
        return { ...layout, from: layout.from.map(() => layout.from[0]!) };
      }),
    'states of one row before': () =>
      vi.spyOn(StateSlots.prototype, 'layOut').mockImplementation(function (this: StateSlots, rows) {
        const layout = layOut.call(this, rows);
        return { ...layout, at: layout.at.map((row) => Math.max(0, row - 1)) };
      }),
    'checkpoints that are saved in the wrong order': () =>
      vi.spyOn(StateSlots.prototype, 'layOut').mockImplementation(function (this: StateSlots, rows) {
        const layout = layOut.call(this, rows);
        return { ...layout, to: layout.to.slice().reverse() };
      }),
    'a step that is counted with the state of a checkpoint': () =>
      vi.spyOn(StateSlots.prototype, 'advance').mockImplementation(function (this: StateSlots, sequence) {
        advance.call(this, sequence);
        const { current, checkpoints } = sequence.states;
        const last = checkpoints.at(-1);
        if (last) [current.slot, last.slot] = [last.slot, current.slot];
      }),
    'a truncation that keeps the state of what is gone': () =>
      vi.spyOn(StateSlots.prototype, 'truncate').mockImplementation((sequence, position) => {
        sequence.states.current = { ...sequence.states.current, position };
      }),
    'a fork with the last state in place of that of its length': () => {
      const { fork } = StateSlots.prototype;
      return vi.spyOn(StateSlots.prototype, 'fork').mockImplementation(function (this: StateSlots, copy, source, at) {
        fork.call(this, copy, source, source.length);
        copy.states.current = { ...copy.states.current, position: at };
      });
    },
    'states that nothing is kept of': () =>
      vi
        .spyOn(StateSlots.prototype, 'restorable')
        .mockImplementation((sequence, length) => (length === sequence.length ? length : 0)),
    'checkpoints without the rows in the window before them': () =>
      vi.spyOn(Windows.prototype, 'slide').mockImplementation(function (this: Windows, sequence, all) {
        const checkpoints = sequence.states.checkpoints.splice(0);
        slide.call(this, sequence, all);
        sequence.states.checkpoints.push(...checkpoints);
      }),
    'a window that stays behind when a sequence goes back': () =>
      vi.spyOn(Windows.prototype, 'goBack').mockImplementation(() => {}),
    'rows around a checkpoint that stay when it is gone': () =>
      vi.spyOn(Windows.prototype, 'forgetAround').mockImplementation(() => {}),
    'a truncation into what a window has given back': () =>
      vi.spyOn(Windows.prototype, 'restorable').mockImplementation((_, length) => length),
  };
  for (const [name, plant] of Object.entries(faults))
    test(`catches ${name}`, async () => {
      const planted = plant();
      try {
        expect(await broken(paged, () => true, 1)).toHaveLength(1);
      } finally {
        planted.mockRestore();
      }
    });
});
