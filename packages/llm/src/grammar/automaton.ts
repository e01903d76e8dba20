import { grammarLimit } from './errors.ts';
import type { Expression, Grammar } from './expression.ts';
import { bytesWithMarkers } from './markers.ts';
import { checkRules, ends } from './rule-checks.ts';
import { utf8Ranges } from './utf8-ranges.ts';

/** A step over one byte. */
interface ByteEdge {
  readonly first: number;
  readonly last: number;
  readonly to: number;
}
/** A step over all of another rule. */
interface RuleEdge {
  readonly start: number;
  /** Where it goes on after the rule. */
  readonly back: number;
}
interface State {
  readonly bytes: ByteEdge[];
  readonly rules: RuleEdge[];
  /** Steps over nothing. */
  readonly free: number[];
}

/** A grammar over bytes of UTF-8: a finite automaton per rule, which call each other. */
export interface Automaton {
  readonly states: readonly State[];
  readonly start: number;
  /** Where a rule ends. */
  readonly isEnd: (state: number) => boolean;
}

const MOST_STATES = 200_000;

/**
 * @throws GrammarError for rules that are not there, begin with themselves or cannot end; `ERR_GRAMMAR_LIMIT` for more than
 *   200,000 states
 */
export function automaton(grammar: Grammar): Automaton {
  return new Builder(grammar, checkRules(grammar)).build();
}

class Builder {
  readonly #grammar: Grammar;
  readonly #states: State[] = [];
  readonly #starts = new Map<string, number>();
  readonly #ends = new Set<number>();
  readonly #waiting: string[] = [];

  readonly #endless: ReadonlySet<string>;

  constructor(grammar: Grammar, endless: ReadonlySet<string>) {
    this.#grammar = grammar;
    this.#endless = endless;
  }

  build(): Automaton {
    const start = this.#startOf(this.#grammar.start);
    for (let name = this.#waiting.pop(); name !== undefined; name = this.#waiting.pop()) {
      const end = this.#state();
      this.#ends.add(end);
      this.#add(this.#grammar.rules.get(name)!, this.#starts.get(name)!, end);
    }
    return { states: this.#states, start, isEnd: (state) => this.#ends.has(state) };
  }

  #startOf(name: string): number {
    let start = this.#starts.get(name);
    if (start === undefined) {
      start = this.#state();
      this.#starts.set(name, start);
      this.#waiting.push(name);
    }
    return start;
  }

  #state(): number {
    if (this.#states.length >= MOST_STATES)
      throw grammarLimit(`grammar: takes at most ${MOST_STATES} states (counts of repetitions multiply), got more`);
    return this.#states.push({ bytes: [], rules: [], free: [] }) - 1;
  }

  /** Adds ways from one state to another, over the texts of an expression. What no text can be all of is left out. */
  #add(of: Expression, from: number, to: number): void {
    if (!ends(of, this.#endless)) return;
    switch (of.kind) {
      case 'text':
        this.#addBytes(
          bytesWithMarkers(of.text).map((byte) => [byte, byte]),
          from,
          to,
        );
        return;
      case 'characters':
        for (const bytes of utf8Ranges(of.set)) this.#addBytes(bytes, from, to);
        return;
      case 'choice':
        for (const option of of.options) this.#add(option, from, to);
        return;
      case 'sequence':
        this.#addInTurn(of.parts, from, to);
        return;
      case 'repeat':
        this.#addRepeat(of.of, of.min, of.max, from, to);
        return;
      case 'rule':
        this.#states[from]!.rules.push({ start: this.#startOf(of.name), back: to });
    }
  }

  #addInTurn(parts: readonly Expression[], from: number, to: number): void {
    if (parts.length === 0) this.#states[from]!.free.push(to);
    let at = from;
    for (const [i, part] of parts.entries()) {
      const next = i === parts.length - 1 ? to : this.#state();
      this.#add(part, at, next);
      at = next;
    }
  }

  #addBytes(bytes: readonly (readonly [number, number])[], from: number, to: number): void {
    if (bytes.length === 0) this.#states[from]!.free.push(to);
    let at = from;
    for (const [i, [first, last]] of bytes.entries()) {
      const next = i === bytes.length - 1 ? to : this.#state();
      this.#states[at]!.bytes.push({ first, last, to: next });
      at = next;
    }
  }

  #addRepeat(of: Expression, min: number, max: number, from: number, to: number): void {
    let at = from;
    for (let i = 0; i < min; i++) {
      const next = this.#state();
      this.#add(of, at, next);
      at = next;
    }
    if (!ends(of, this.#endless)) max = min;
    if (max === Number.POSITIVE_INFINITY) {
      // a state of its own: nothing else may come back to `from`
      const loop = this.#state();
      this.#states[at]!.free.push(loop);
      this.#add(of, loop, loop);
      this.#states[loop]!.free.push(to);
      return;
    }
    for (let i = min; i < max; i++) {
      this.#states[at]!.free.push(to);
      const next = this.#state();
      this.#add(of, at, next);
      at = next;
    }
    this.#states[at]!.free.push(to);
  }
}
