import { ArgumentError, DisposedError } from '@heddle/tensor';
import { GrammarError } from './errors.ts';
import { GrammarThread, ThreadEnded, type ThreadLimits } from './grammar-thread.ts';
import type { OutputFormat } from './output-format.ts';
import type { Next, PackedVocabulary, Refusal, WorkerAnswer } from './worker-messages.ts';

/** Options of a `GrammarPool`. */
export interface GrammarPoolOptions {
  /** The bytes of each token; `undefined` where one is no text. */
  readonly vocabulary: readonly (Uint8Array | undefined)[];
  /** Workers, each with a copy of the vocabulary; 2 by default. They start when they are needed. */
  readonly workers?: number;
  /** The longest that compiling a grammar, or a step of the sequences of a worker, may take; 2,000 by default. */
  readonly milliseconds?: number;
  /** Memory of a worker's heap, in MiB; 512 by default. Kept in Node. */
  readonly heapMiB?: number;
  /** The module of the workers, for bundlers that put it elsewhere; that of this package by default. */
  readonly worker?: URL;
}

/** A sequence that follows a format. */
export interface GrammarSequence {
  /** What may come next. */
  readonly next: Next;
  /** How many tokens it has accepted. */
  readonly length: number;
}

/** Tokens of a sequence since the last step. */
export interface GrammarStep {
  readonly sequence: GrammarSequence;
  /** Tokens that are left of it before `accept`; all by default. */
  readonly length?: number;
  readonly accept: readonly number[];
}

/**
 * Follows sequences in their formats, in workers: compiling a grammar and finding the tokens that may come next take no time of
 * the thread that calls. A format that takes too long or too much memory ends its worker; the other sequences that were
 * there go on in a new one.
 */
export class GrammarPool implements Disposable {
  readonly #vocabulary: PackedVocabulary;
  readonly #limits: ThreadLimits;
  readonly #slots: Slot[];
  readonly #open = new Map<Followed, Slot>();
  readonly #asked: { readonly step: GrammarStep; resolve(next: Next): void; reject(error: unknown): void }[] = [];
  #sequences = 0;
  #disposed = false;

  /** @throws ArgumentError */
  constructor({ vocabulary, workers = 2, milliseconds = 2000, heapMiB = 512, worker }: GrammarPoolOptions) {
    for (const [name, value] of Object.entries({ workers, milliseconds, heapMiB }))
      if (!(Number.isSafeInteger(value) && value >= 1))
        throw new ArgumentError(`GrammarPool: ${name} is a whole number of at least 1, got ${value}`);
    this.#vocabulary = packed(vocabulary);
    this.#limits = { milliseconds, heapMiB, ...(worker && { worker }) };
    this.#slots = Array.from({ length: workers }, () => ({ thread: undefined, sequences: new Set(), keys: new Set() }));
  }

  /**
   * Begins a sequence.
   * @throws GrammarError for a format that is wrong, not supported, or takes too long or too much memory
   */
  async open(format: OutputFormat): Promise<GrammarSequence> {
    this.#assertOpen();
    const key = JSON.stringify(format);
    const sequence = new Followed(this.#sequences++, key, format);
    const slot = this.#slotFor(key);
    slot.sequences.add(sequence);
    this.#open.set(sequence, slot);
    try {
      sequence.next = await this.#begin(slot, sequence);
      slot.keys.add(key);
    } catch (error) {
      this.close(sequence);
      throw error;
    }
    return sequence;
  }

  /**
   * Goes on in all sequences at once, each worker with its own.
   * @returns for each step what may come next, also as `sequence.next`, or the GrammarError that ended the sequence; one that was closed
   *   gets one, and changes nothing for the others
   */
  async step(steps: readonly GrammarStep[]): Promise<(Next | GrammarError)[]> {
    this.#assertOpen();
    const bySlot = new Map<Slot, GrammarStep[]>();
    const results = new Map<GrammarSequence, Next | GrammarError>();
    for (const step of steps) {
      const slot = this.#open.get(step.sequence as Followed);
      if (!slot) {
        // it was closed meanwhile, which is nobody else's matter
        results.set(step.sequence, new GrammarError('GrammarPool.step: the sequence is not open'));
        continue;
      }
      const followed = step.sequence as Followed;
      if (followed.refused) {
        results.set(followed, followed.refused);
        continue;
      }
      followed.tokens.length = Math.min(followed.tokens.length, step.length ?? followed.tokens.length);
      followed.tokens.push(...step.accept);
      if (!bySlot.has(slot)) bySlot.set(slot, []);
      bySlot.get(slot)!.push(step);
    }
    await Promise.all([...bySlot].map(([slot, group]) => this.#stepSlot(slot, group, results)));
    return steps.map(({ sequence }) => results.get(sequence)!);
  }

  /**
   * Goes on in one sequence. Calls of one turn go to the workers together.
   * @throws GrammarError that ended the sequence
   */
  next(step: GrammarStep): Promise<Next> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ step, resolve, reject });
      if (this.#asked.length === 1) queueMicrotask(() => this.#askAll());
    });
  }

  async #askAll(): Promise<void> {
    const asked = this.#asked.splice(0);
    try {
      const results = await this.step(asked.map(({ step }) => step));
      for (const [i, { resolve, reject }] of asked.entries()) {
        const result = results[i]!;
        if (result instanceof GrammarError) reject(result);
        else resolve(result);
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  /** Ends a sequence. Idempotent. */
  close(sequence: GrammarSequence): void {
    const slot = this.#open.get(sequence as Followed);
    if (!slot) return;
    this.#open.delete(sequence as Followed);
    slot.sequences.delete(sequence as Followed);
    slot.thread?.ask({ kind: 'close', sequence: (sequence as Followed).number }).catch(() => {});
  }

  /** Ends all workers. Idempotent. */
  dispose(): void {
    this.#disposed = true;
    const reason = new DisposedError('GrammarPool: was disposed of');
    for (const { thread } of this.#slots) thread?.end(reason);
    this.#open.clear();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #stepSlot(
    slot: Slot,
    group: readonly GrammarStep[],
    results: Map<GrammarSequence, Next | GrammarError>,
  ): Promise<void> {
    const steps = group.map(({ sequence, accept }) => ({
      sequence: (sequence as Followed).number,
      length: sequence.length - accept.length,
      accept,
    }));
    let answer: WorkerAnswer;
    try {
      answer = await (await this.#threadOf(slot)).ask({ kind: 'step', steps });
    } catch (error) {
      if (this.#disposed) throw error;
      // which of them took so long is not known: each goes on alone, and only the guilty is refused
      for (const { sequence } of group) results.set(sequence, await this.#again(slot, sequence as Followed));
      return;
    }
    if (answer.refusal) throw errorOf(answer.refusal);
    for (const [i, next] of answer.next!.entries()) {
      const sequence = group[i]!.sequence as Followed;
      if ('mask' in next) sequence.next = next;
      results.set(sequence, 'mask' in next ? next : errorOf(next));
    }
  }

  /** A sequence in a new worker, from its beginning. */
  async #again(slot: Slot, sequence: Followed): Promise<Next | GrammarError> {
    if (sequence.refused) return sequence.refused;
    try {
      sequence.next = await this.#begin(slot, sequence);
      return sequence.next;
    } catch (error) {
      if (!(error instanceof GrammarError)) throw error;
      sequence.refused = error;
      return error;
    }
  }

  async #begin(slot: Slot, sequence: Followed): Promise<Next> {
    for (let attempt = 0; ; attempt++) {
      const { number, key, format, tokens } = sequence;
      try {
        const thread = await this.#threadOf(slot, sequence);
        const answer = await thread.ask({ kind: 'open', sequence: number, key, format, tokens });
        if (answer.refusal) throw errorOf(answer.refusal);
        return answer.next![0] as Next;
      } catch (error) {
        if (!(error instanceof ThreadEnded) || this.#disposed) throw error;
        if (attempt >= 3) throw error.cause ?? error;
      }
    }
  }

  /** The worker of a slot. A new one first gets what the old one had, but for a sequence that will be opened anyway. */
  async #threadOf(slot: Slot, but?: Followed): Promise<GrammarThread> {
    if (slot.thread && slot.thread.ended === undefined) return slot.thread;
    const again = slot.thread !== undefined;
    const thread = new GrammarThread(this.#limits);
    slot.thread = thread;
    slot.keys.clear();
    const loaded = thread.ask({ kind: 'vocabulary', vocabulary: this.#vocabulary });
    loaded.catch(() => {}); // what is asked next fails as well
    if (again)
      for (const sequence of slot.sequences) {
        if (sequence === but || sequence.refused) continue;
        const { number, key, format, tokens } = sequence;
        // one that ends the worker again is not taken to the next
        thread.ask({ kind: 'open', sequence: number, key, format, tokens }).catch((error) => {
          if (error instanceof GrammarError) sequence.refused = error;
        });
      }
    return thread;
  }

  /** Where a grammar is known; else the worker with the fewest sequences. */
  #slotFor(key: string): Slot {
    const known = this.#slots.find((slot) => slot.keys.has(key) && slot.thread?.ended === undefined);
    return known ?? this.#slots.reduce((least, slot) => (slot.sequences.size < least.sequences.size ? slot : least));
  }

  #assertOpen(): void {
    if (this.#disposed) throw new DisposedError('GrammarPool: was disposed of');
  }
}

/** A place for a worker, and what is in it. */
interface Slot {
  thread: GrammarThread | undefined;
  readonly sequences: Set<Followed>;
  readonly keys: Set<string>;
}

class Followed implements GrammarSequence {
  readonly number: number;
  readonly key: string;
  readonly format: OutputFormat;
  readonly tokens: number[] = [];
  /** Why it cannot go on. */
  refused: GrammarError | undefined;
  next: Next = { mask: new Uint32Array(), complete: false };

  constructor(number: number, key: string, format: OutputFormat) {
    this.number = number;
    this.key = key;
    this.format = format;
  }
  get length(): number {
    return this.tokens.length;
  }
}

function errorOf({ message, code }: Refusal): GrammarError {
  return new GrammarError(message, { code: code === 'ERR_GRAMMAR_LIMIT' ? code : 'ERR_GRAMMAR' });
}

function packed(vocabulary: readonly (Uint8Array | undefined)[]): PackedVocabulary {
  const offsets = new Uint32Array(vocabulary.length + 1);
  for (const [id, word] of vocabulary.entries()) offsets[id + 1] = offsets[id]! + (word?.length ?? 0);
  const bytes = new Uint8Array(offsets.at(-1)!);
  for (const [id, word] of vocabulary.entries()) if (word) bytes.set(word, offsets[id]!);
  return { bytes, offsets };
}
