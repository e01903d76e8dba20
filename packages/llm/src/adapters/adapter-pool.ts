import { ArgumentError, checkArguments, checkOptions, type Device, DisposedError, type Tensor } from '@heddle/tensor';
import type { Lora } from '@heddle/trainer/lora';
import { describe } from '../describe.ts';
import type { HeldAdapter, RequestAdapters } from '../engine/request-adapters.ts';
import type { ModelFiles } from '../model-files.ts';
import type { CausalLm, ForwardAdapters } from '../models/causal-lm.ts';
import { PooledFactors } from './pooled-factors.ts';

/** Options of `createAdapterPool`. */
export interface AdapterPoolOptions {
  /** Adapters that are on the device at once. Default 8. */
  readonly maxAdapters?: number;
  /** The largest rank of their factors; memory is taken for it. Default 16. */
  readonly maxRank?: number;
  /** Whether they may have biases of their own (PEFT's `lora_bias`), which takes a little more of each step. Default false. */
  readonly biases?: boolean;
  /** Layers that they may change: names of modules, or the ends of such names (`q_proj`). Default all linear layers but the head. */
  readonly targets?: readonly string[];
}

/**
 * Low-rank adapters beside the weights of a model, of which each request of an engine names one. All are computed in one batch: a row
 * reads the factors of its own adapter, and none is merged into the weights. Going from one to another costs nothing.
 */
export interface AdapterPool extends RequestAdapters, Disposable {
  /** Those that requests can name, in the order in which they were loaded. */
  readonly names: readonly string[];
  readonly maxAdapters: number;
  /** Device memory, taken when the pool was made. */
  readonly byteLength: number;
  /**
   * Puts an adapter into a free place.
   * @param source an adapter, which stays the caller's, or the folder of one in PEFT's format, or its files
   * @throws ArgumentError for a name that is taken, a full pool, a rank beyond `maxRank`, biases without `biases`, layers beyond `targets`; ShapeError for an
   *   adapter of another model; otherwise as `openAdapter`. Then nothing has changed
   */
  load(name: string, source: Lora | string | ModelFiles): Promise<void>;
  /**
   * Takes an adapter out. Requests that have it go on with it, and its place is free when the last of them has ended; no new one gets
   * it.
   * @throws ArgumentError where there is none of that name
   */
  unload(name: string): void;
  /** Frees the memory. Dispose of the engines over it first. Idempotent. */
  dispose(): void;
}

/**
 * A pool of adapters for a model; give it to `openEngine`.
 *
 * ```ts
 * const adapters = createAdapterPool(model, { maxAdapters: 4 });
 * await adapters.load('pirate', 'adapters/pirate');
 * const engine = openEngine(model, { adapters });
 * engine.generate({ tokens, maxTokens: 64, adapter: 'pirate' });
 * ```
 * @returns owned by the caller; its memory is `byteLength`, taken here
 * @throws ArgumentError for options that make no sense; OutOfMemoryError, then nothing is left on the device
 */
export function createAdapterPool(model: CausalLm, options: AdapterPoolOptions = {}): AdapterPool {
  checkArguments('createAdapterPool', 'object', { model, options });
  checkArguments('createAdapterPool', 'object', { 'model.config': model.config });
  checkOptions('createAdapterPool', options, ['maxAdapters', 'maxRank', 'biases', 'targets']);
  const { maxAdapters = 8, maxRank = 16, biases = false, targets } = options;
  for (const [name, count] of Object.entries({ maxAdapters, maxRank }))
    if (!(Number.isSafeInteger(count) && count > 0))
      throw new ArgumentError(`createAdapterPool: ${name} must be a positive integer, got ${String(count)}`);
  if (targets !== undefined && !(Array.isArray(targets) && targets.length > 0))
    throw new ArgumentError(`createAdapterPool: targets must be names of modules, got ${describe(targets)}`);
  return new Pool(
    model.device,
    new PooledFactors(model, { places: maxAdapters + 1, rank: maxRank, biases, targets }),
    maxAdapters,
  );
}

/** What is known of an adapter in the pool. */
interface Entry {
  readonly place: number;
  readonly key: string;
  holders: number;
  unloaded: boolean;
}

class Pool implements AdapterPool {
  readonly device: Device;
  readonly maxAdapters: number;
  readonly #factors: PooledFactors;
  readonly #entries = new Map<string, Entry>();
  /** Names that are being loaded. */
  readonly #coming = new Set<string>();
  readonly #free: number[];
  #loads = 0;
  #disposed = false;

  constructor(device: Device, factors: PooledFactors, maxAdapters: number) {
    this.device = device;
    this.maxAdapters = maxAdapters;
    this.#factors = factors;
    this.#free = Array.from({ length: maxAdapters }, (_, i) => maxAdapters - i);
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }
  get byteLength(): number {
    return this.#factors.byteLength;
  }

  async load(name: string, source: Lora | string | ModelFiles): Promise<void> {
    this.#assertOpen('load');
    if (typeof name !== 'string' || name === '')
      throw new ArgumentError(`adapters: load takes a name that is not empty, got ${describe(name)}`);
    if (this.#entries.has(name) || this.#coming.has(name))
      throw new ArgumentError(`adapters: '${name}' is loaded already; unload it first`);
    const place = this.#free.pop();
    if (place === undefined)
      throw new ArgumentError(
        `adapters: no place for '${name}': all ${this.maxAdapters} (maxAdapters) are taken by ${this.#listed()}, or by requests that have not ended`,
      );
    this.#coming.add(name);
    try {
      await this.#write(place, source);
      this.#entries.set(name, { place, key: `${name}\0${this.#loads++}`, holders: 0, unloaded: false });
    } catch (error) {
      this.#free.push(place);
      throw error;
    } finally {
      this.#coming.delete(name);
    }
  }

  async #write(place: number, source: Lora | string | ModelFiles): Promise<void> {
    if (typeof source === 'object' && 'factors' in source) {
      await this.#factors.write(place, source);
      return;
    }
    const { openAdapter } = await import('../training/adapter-folder.ts');
    using opened = await openAdapter(this.device, source);
    this.#assertOpen('load');
    await this.#factors.write(place, opened);
  }

  unload(name: string): void {
    this.#assertOpen('unload');
    const entry = this.#find(name);
    this.#entries.delete(name);
    entry.unloaded = true;
    if (entry.holders === 0) this.#free.push(entry.place);
  }

  hold(name: string): HeldAdapter {
    this.#assertOpen('generate');
    const entry = this.#find(name);
    entry.holders++;
    let held = true;
    return {
      place: entry.place,
      key: entry.key,
      release: () => {
        if (!held) return;
        held = false;
        if (--entry.holders === 0 && entry.unloaded) this.#free.push(entry.place);
      },
    };
  }

  ofRows(places: Tensor, rows: Tensor): ForwardAdapters {
    return this.#factors.ofRows(places, rows);
  }

  dispose(): void {
    this.#disposed = true;
    this.#factors.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  #find(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw new ArgumentError(`adapters: there is no '${String(name)}'; loaded are ${this.#listed()}`);
    return entry;
  }
  #listed(): string {
    return this.#entries.size === 0 ? 'none' : [...this.#entries.keys()].map((name) => `'${name}'`).join(', ');
  }
  #assertOpen(operation: string): void {
    if (this.#disposed) throw new DisposedError(`${operation}: the adapters were disposed of`);
  }
}
