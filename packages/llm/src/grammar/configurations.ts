import type { Automaton } from './automaton.ts';
import { grammarLimit } from './errors.ts';

/** Where in the automata a text may be, seen from the rule that it is in: states, each under the rules called since. */
interface Configuration {
  /** Pairs of a state and a stack, by stack. Only states with steps over bytes. */
  readonly threads: readonly (readonly [state: number, stack: number])[];
  /** Whether the rule that all this is seen from may end here. */
  readonly ends: boolean;
  /** Configuration after each class of bytes; -1 where not known yet. */
  readonly next: Int32Array;
  readonly roots: { parts?: readonly Part[] };
}

/** States under the same stack, as a configuration of their own. */
export interface Part {
  readonly configuration: number;
  readonly stack: number;
}

/** No way on. */
export const DEAD = 0;
/** The stack of the rule that everything is seen from. */
export const BOTTOM = 0;
const MOST_CONFIGURATIONS = 200_000;
const MOST_THREADS = 10_000;

/** Follows an automaton in all ways at once, and remembers each step that was taken. */
export class Configurations {
  readonly #automaton: Automaton;
  readonly #classOf: Uint8Array;
  readonly #classes: number;
  readonly #all: Configuration[] = [];
  readonly #ids = new Map<string, number>();
  readonly #stacks: { readonly back: number; readonly under: number }[] = [{ back: -1, under: -1 }];
  readonly #stackIds = new Map<number, number>();
  readonly #starts = new Map<number, number>();
  readonly #tails = new Map<number, boolean>();

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
    [this.#classOf, this.#classes] = byteClasses(automaton);
    this.#intern([], false);
  }

  /** The configuration of one state, seen from its own rule. */
  of(state: number): number {
    let id = this.#starts.get(state);
    if (id !== undefined) return id;
    id = this.#closed([[state, BOTTOM]]);
    this.#starts.set(state, id);
    return id;
  }

  /** The configuration after a byte; DEAD where there is none. */
  step(id: number, byte: number): number {
    const { next, threads } = this.#all[id]!;
    const known = next[this.#classOf[byte]!]!;
    if (known >= 0) return known;
    const reached: [number, number][] = [];
    for (const [state, stack] of threads)
      for (const { first, last, to } of this.#automaton.states[state]!.bytes)
        if (byte >= first && byte <= last) reached.push([to, stack]);
    const after = this.#closed(reached);
    next[this.#classOf[byte]!] = after;
    return after;
  }

  /** Whether the rule that it is seen from may end here. */
  ends(id: number): boolean {
    return this.#all[id]!.ends;
  }

  /** Its states, seen from the rule that each is in. */
  parts(id: number): readonly Part[] {
    const { threads, roots } = this.#all[id]!;
    if (roots.parts) return roots.parts;
    const byStack = new Map<number, [number, number][]>();
    for (const [state, stack] of threads) {
      if (!byStack.has(stack)) byStack.set(stack, []);
      byStack.get(stack)!.push([state, BOTTOM]);
    }
    roots.parts = [...byStack].map(([stack, group]) => ({ configuration: this.#intern(group, false), stack }));
    return roots.parts;
  }

  /** The stack `upper`, on `lower` in place of the bottom. */
  onto(upper: number, lower: number): number {
    if (upper === BOTTOM) return lower;
    const { back, under } = this.#stacks[upper]!;
    return this.#push(back, this.onto(under, lower));
  }
  /** Where the rule on top of a stack goes on when it has ended, and the stack without it. */
  pop(stack: number): { readonly back: number; readonly under: number } {
    return this.#stacks[stack]!;
  }

  #push(back: number, under: number): number {
    const key = under * 2 ** 18 + back;
    let id = this.#stackIds.get(key);
    if (id !== undefined) return id;
    id = this.#stacks.push({ back, under }) - 1;
    this.#stackIds.set(key, id);
    return id;
  }

  /** The configuration of all states that are reached over nothing. */
  #closed(from: readonly (readonly [state: number, stack: number])[]): number {
    const { states, isEnd } = this.#automaton;
    const seen = new Set<number>();
    const waiting: (readonly [number, number])[] = [];
    const reach = (state: number, stack: number) => {
      const key = stack * 2 ** 18 + state;
      if (seen.has(key)) return;
      seen.add(key);
      if (seen.size > MOST_THREADS)
        throw grammarLimit(`grammar: a text can be read in at most ${MOST_THREADS} ways, got more`);
      waiting.push([state, stack]);
    };
    for (const [state, stack] of from) reach(state, stack);
    const threads: (readonly [number, number])[] = [];
    let ends = false;
    for (let thread = waiting.pop(); thread; thread = waiting.pop()) {
      const [state, stack] = thread;
      const { bytes, rules, free } = states[state]!;
      if (bytes.length > 0) threads.push(thread);
      for (const to of free) reach(to, stack);
      for (const { start, back } of rules) reach(start, this.#isTail(back) ? stack : this.#push(back, stack));
      if (!isEnd(state)) continue;
      if (stack === BOTTOM) ends = true;
      else reach(this.#stacks[stack]!.back, this.#stacks[stack]!.under);
    }
    return this.#intern(threads, ends);
  }

  /** Whether a rule does nothing more from this state on but end: what is called there need not come back. */
  #isTail(state: number): boolean {
    let known = this.#tails.get(state);
    if (known !== undefined) return known;
    const { states, isEnd } = this.#automaton;
    const seen = new Set([state]);
    known = true;
    let ends = false;
    for (const at of seen) {
      if (states[at]!.bytes.length + states[at]!.rules.length > 0) known = false;
      ends ||= isEnd(at);
      for (const to of states[at]!.free) seen.add(to);
    }
    known &&= ends;
    this.#tails.set(state, known);
    return known;
  }

  #intern(threads: readonly (readonly [number, number])[], ends: boolean): number {
    const sorted = [...threads].sort(([a, s], [b, t]) => s - t || a - b);
    const key = `${ends ? '!' : ''}${sorted.join(';')}`;
    let id = this.#ids.get(key);
    if (id !== undefined) return id;
    if (this.#all.length >= MOST_CONFIGURATIONS)
      throw grammarLimit(`grammar: takes at most ${MOST_CONFIGURATIONS} configurations, got more`);
    id = this.#all.push({ threads: sorted, ends, next: new Int32Array(this.#classes).fill(-1), roots: {} }) - 1;
    this.#ids.set(key, id);
    return id;
  }
}

/** Bytes that no step tells apart are of one class. */
function byteClasses({ states }: Automaton): [classOf: Uint8Array, count: number] {
  const begins = new Uint8Array(257);
  for (const { bytes } of states)
    for (const { first, last } of bytes) {
      begins[first] = 1;
      begins[last + 1] = 1;
    }
  const classOf = new Uint8Array(256);
  let count = 0;
  for (let byte = 1; byte < 256; byte++) {
    count += begins[byte]!;
    classOf[byte] = count;
  }
  return [classOf, count + 1];
}
