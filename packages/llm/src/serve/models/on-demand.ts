import { ArgumentError, checkArguments } from '@heddle/tensor';
import { refuse } from '../fault.ts';
import { before } from '../time-limit.ts';
import type { ModelKind, ServedModel } from './served-model.ts';

/** A model that was opened, as a shelf takes it: a `workerModel` is one. */
export interface ShelvedModel extends ServedModel, AsyncDisposable {
  /** Resolves when it can answer. */
  readonly opened: Promise<void>;
  /** What it takes, in bytes, when it has been opened. */
  readonly memoryBytes: number;
}

/** A model that is opened when somebody asks for it. */
export interface OnDemandSource {
  readonly id: string;
  readonly kind?: ModelKind;
  /** What it is likely to take, in bytes: the size of its files, say. Once it was opened, what it took counts. Default 0. */
  readonly bytes?: number;
  readonly open: () => ShelvedModel;
}

/** How models share a machine. */
export interface OnDemandOptions {
  /** Bytes that all open models may take together. Default without bound. */
  readonly memoryBytes?: number;
  /** Milliseconds without a request after which a model is closed. Default never. */
  readonly idleMs?: number;
  /** A model is opened, or was closed. */
  readonly onChange?: (id: string, change: 'opening' | 'closed') => void;
}

/** Models by name of which some are open. */
export interface ModelShelf extends AsyncDisposable {
  /** For `createServer`. */
  readonly models: readonly ServedModel[];
  /** Names of those that are open, or about to be. */
  readonly open: readonly string[];
  /** Closes all of them. Idempotent. */
  dispose(): Promise<void>;
}

/**
 * Models that are opened when a request names them, and closed when none has for a while, or when their memory is needed for another:
 * the one that was asked for longest ago first, never one that is at work. Requests for a model that does not fit wait for those that are.
 * @throws ArgumentError for bounds that are no positive numbers
 * @example
 * const open = (id: string) => () => workerModel(id, `models/${id}`);
 * const shelf = onDemand([{ id: 'small', open: open('small') }, { id: 'large', open: open('large') }], { idleMs: 600_000 });
 * const app = createServer(shelf.models);
 */
export function onDemand(sources: readonly OnDemandSource[], options: OnDemandOptions = {}): ModelShelf {
  checkArguments('onDemand', 'list', { sources });
  checkArguments('onDemand', 'object', { options });
  for (const source of sources) {
    checkArguments('onDemand', 'object', { source });
    checkArguments('onDemand', 'text', { 'source.id': source.id });
  }
  for (const name of ['memoryBytes', 'idleMs'] as const)
    if (options[name] !== undefined && !(options[name] > 0))
      throw new ArgumentError(`onDemand: ${name} must be a positive number, got ${String(options[name])}`);
  return new Shelf(sources, options);
}

/** A model on the shelf, open or not. */
interface Place {
  readonly source: OnDemandSource;
  model: ShelvedModel | undefined;
  opening: Promise<ShelvedModel> | undefined;
  closing: Promise<void> | undefined;
  users: number;
  bytes: number;
  maxSequenceTokens: number;
  usedAt: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

class Shelf implements ModelShelf {
  readonly models: readonly ServedModel[];
  readonly #places: readonly Place[];
  readonly #options: OnDemandOptions;
  #changed: () => void = () => {};
  #change: Promise<void> = Promise.resolve();
  /** One at a time makes room. */
  #turn: Promise<unknown> = Promise.resolve();
  #uses = 0;
  #disposal: Promise<void> | undefined;

  constructor(sources: readonly OnDemandSource[], options: OnDemandOptions) {
    this.#options = options;
    this.#renew();
    this.#places = sources.map((source) => ({
      source,
      model: undefined,
      opening: undefined,
      closing: undefined,
      users: 0,
      bytes: source.bytes ?? 0,
      maxSequenceTokens: 0,
      usedAt: 0,
      timer: undefined,
    }));
    this.models = this.#places.map((place) => this.#served(place));
  }

  get open(): readonly string[] {
    return this.#places.filter(isOpen).map(({ source }) => source.id);
  }

  dispose(): Promise<void> {
    this.#disposal ??= (async () => {
      this.#tell();
      await Promise.allSettled(this.#places.map((place) => this.#close(place)));
    })();
    return this.#disposal;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #served(place: Place): ServedModel {
    const shelf = this;
    const { id, kind } = place.source;
    const asked = async <T>(signal: AbortSignal | undefined, use: (model: ShelvedModel) => Promise<T>): Promise<T> => {
      const model = await shelf.#take(place, signal);
      try {
        return await use(model);
      } finally {
        shelf.#leave(place);
      }
    };
    return {
      id,
      ...(kind && { kind }),
      // it can be asked at any time, and opens then
      get ready() {
        return shelf.#disposal === undefined;
      },
      get maxSequenceTokens() {
        return place.maxSequenceTokens;
      },
      async *generate(request, signal) {
        const model = await shelf.#take(place, signal);
        try {
          yield* model.generate(request, signal);
        } finally {
          shelf.#leave(place);
        }
      },
      tokens: (of) => asked(undefined, (model) => model.tokens(of)),
      text: (tokens) => asked(undefined, (model) => model.text(tokens)),
      // which opens nothing
      stats: async () =>
        place.model?.ready ? place.model.stats() : { running: 0, waiting: place.users, cacheUsage: 0, memoryBytes: 0 },
      embed: (request, signal) =>
        asked(signal, (model) => model.embed?.(request, signal) ?? refuse(400, 'model: this one gives no embeddings.')),
      rank: (request, signal) =>
        asked(signal, (model) => model.rank?.(request, signal) ?? refuse(400, 'model: this one ranks no documents.')),
    };
  }

  /** The model, open, until `leave`. */
  async #take(place: Place, signal: AbortSignal | undefined): Promise<ShelvedModel> {
    place.users++;
    clearTimeout(place.timer);
    try {
      place.opening ??= this.#inTurn(() => this.#open(place));
      const model = await (signal ? before(signal, place.opening) : place.opening);
      if (!model.ready)
        refuse(503, `model: '${place.source.id}' is not ready yet.`, { code: 'model_not_ready', retryAfterSeconds: 2 });
      return model;
    } catch (error) {
      this.#leave(place);
      throw error;
    }
  }

  #leave(place: Place): void {
    place.users--;
    place.usedAt = ++this.#uses;
    if (place.users > 0) return;
    this.#tell();
    const { idleMs } = this.#options;
    if (idleMs === undefined || this.#disposal) return;
    place.timer = setTimeout(() => {
      if (place.users === 0) void this.#close(place);
    }, idleMs);
    (place.timer as { unref?: () => void }).unref?.();
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(act);
    this.#turn = next.catch(() => {});
    return next;
  }

  async #open(place: Place): Promise<ShelvedModel> {
    try {
      await place.closing;
      await this.#makeRoom(place);
      if (this.#disposal || place.users === 0) refuse(503, 'The server is stopping.', { code: 'stopping' });
      this.#options.onChange?.(place.source.id, 'opening');
      const model = place.source.open();
      place.model = model;
      try {
        await model.opened;
      } catch (error) {
        place.model = undefined;
        await model[Symbol.asyncDispose]();
        throw error;
      }
      place.bytes = Math.max(model.memoryBytes, 1);
      place.maxSequenceTokens = model.maxSequenceTokens;
      // it may have taken more than was thought
      await this.#makeRoom(place, false);
      return model;
    } catch (error) {
      place.opening = undefined;
      throw error;
    }
  }

  /** Closes what is not used until the model fits, and waits for what is. */
  async #makeRoom(place: Place, waits = true): Promise<void> {
    const { memoryBytes = Number.POSITIVE_INFINITY } = this.#options;
    if (place.bytes > memoryBytes && waits)
      refuse(503, `model: '${place.source.id}' needs more memory than this server may take.`, {
        code: 'model_too_large',
      });
    for (;;) {
      const others = this.#places.filter((each) => each !== place && each.model !== undefined);
      const taken = others.reduce((total, { bytes }) => total + bytes, place.bytes);
      if (taken <= memoryBytes || others.length === 0 || this.#disposal) return;
      const idle = others.filter(({ users }) => users === 0).sort((a, b) => a.usedAt - b.usedAt);
      if (idle[0]) await this.#close(idle[0]);
      else if (waits && place.users > 0) await this.#change;
      else return;
    }
  }

  #close(place: Place): Promise<void> {
    clearTimeout(place.timer);
    const { model } = place;
    if (!model) return place.closing ?? Promise.resolve();
    place.model = undefined;
    place.opening = undefined;
    const closed = () => this.#options.onChange?.(place.source.id, 'closed');
    const closing = Promise.resolve(model[Symbol.asyncDispose]()).then(closed, closed);
    place.closing = closing;
    return closing;
  }

  #tell(): void {
    const changed = this.#changed;
    this.#renew();
    changed();
  }

  #renew(): void {
    this.#change = new Promise((resolve) => {
      this.#changed = resolve;
    });
  }
}

const isOpen = ({ model, opening }: Place) => model !== undefined || opening !== undefined;
