import { type Automaton, automaton } from './automaton.ts';
import { BOTTOM, Configurations, DEAD } from './configurations.ts';
import { GrammarError, grammarLimit } from './errors.ts';
import type { Grammar } from './expression.ts';
import type { TokenTrie } from './token-trie.ts';

/** A grammar over the tokens of a vocabulary. Many sequences may follow it at once. */
export interface CompiledGrammar {
  /** Begins a text. */
  matcher(): GrammarMatcher;
}

/** Where a text of tokens stands in a grammar. */
export interface GrammarMatcher {
  /** Whether the text may end here. */
  readonly complete: boolean;
  /** How many tokens it has accepted. */
  readonly length: number;
  /** Sets the bits of the tokens that may come next, among 32 a word; leaves other bits. Those that end a text are not its. */
  addAllowed(mask: Uint32Array): void;
  /** @throws GrammarError for a token that may not come next; then nothing has changed */
  accept(token: number): void;
  /** Takes tokens back until so many are left. */
  truncate(length: number): void;
}

/** A part of where a text stands: states of one rule, and the rules that it was called from. */
interface Place {
  readonly configuration: number;
  readonly stack: number;
}
interface Position {
  readonly places: readonly Place[];
  readonly complete: boolean;
}
/** Tokens that may come next, as far as this does not depend on what called the rule. */
interface Allowed {
  readonly mask: Uint32Array;
  /** Nodes of the tree where the rule may end in the middle of a token. */
  readonly open: readonly number[];
}

const MOST_PLACES = 10_000;
const MOST_MASK_BYTES = 2 ** 26;

/** @throws GrammarError as {@link automaton} */
export function compileGrammar(
  grammar: Grammar,
  trie: TokenTrie,
  vocabulary: readonly (Uint8Array | undefined)[],
): CompiledGrammar {
  const compiled = new Compiled(automaton(grammar), trie);
  return { matcher: () => new Matcher(compiled, vocabulary) };
}

class Compiled {
  readonly #trie: TokenTrie;
  readonly #configurations: Configurations;
  readonly #allowed = new Map<number, Allowed>();
  readonly start: Position;

  constructor(of: Automaton, trie: TokenTrie) {
    this.#trie = trie;
    this.#configurations = new Configurations(of);
    this.start = this.#settled([{ configuration: this.#configurations.of(of.start), stack: BOTTOM }]);
  }

  /** The position after bytes, or undefined where they do not fit. */
  after({ places }: Position, bytes: Uint8Array): Position | undefined {
    let position: Position = { places, complete: false };
    for (const byte of bytes) {
      const next = position.places.map(({ configuration, stack }) => ({
        configuration: this.#configurations.step(configuration, byte),
        stack,
      }));
      position = this.#settled(next.filter(({ configuration }) => configuration !== DEAD));
      if (position.places.length === 0 && !position.complete) return undefined;
    }
    return position;
  }

  addAllowed({ places }: Position, mask: Uint32Array): void {
    for (const { configuration, stack } of places) {
      const allowed = this.#allowedIn(configuration);
      for (let word = 0; word < allowed.mask.length; word++) mask[word]! |= allowed.mask[word]!;
      this.#addBelow(allowed.open, stack, mask);
    }
  }

  /** Places as seen from the rules that they are in, where rules that may end have also ended. */
  #settled(of: readonly Place[]): Position {
    const found = new Map<string, Place>();
    const seen = new Set<string>();
    const waiting = [...of];
    let complete = false;
    for (let place = waiting.pop(); place; place = waiting.pop()) {
      const { configuration, stack } = place;
      const key = `${configuration} ${stack}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > MOST_PLACES)
        throw grammarLimit(`grammar: a text can be read in at most ${MOST_PLACES} ways, got more`);
      for (const part of this.#configurations.parts(configuration)) {
        const under = this.#configurations.onto(part.stack, stack);
        found.set(`${part.configuration} ${under}`, { configuration: part.configuration, stack: under });
      }
      if (!this.#configurations.ends(configuration)) continue;
      if (stack === BOTTOM) complete = true;
      else waiting.push(this.#ended(stack));
    }
    return { places: [...found.values()], complete };
  }

  /** Where it goes on when the rule on top of a stack has ended. */
  #ended(stack: number): Place {
    const { back, under } = this.#configurations.pop(stack);
    return { configuration: this.#configurations.of(back), stack: under };
  }

  #allowedIn(configuration: number): Allowed {
    const known = this.#allowed.get(configuration);
    if (known) return known;
    const mask = new Uint32Array(Math.ceil(this.#trie.vocabularySize / 32));
    if (this.#allowed.size * mask.byteLength > MOST_MASK_BYTES) this.#allowed.clear();
    const open = this.#walk(configuration, 0, this.#trie.bytes.length, 0, mask);
    const allowed = { mask, open };
    this.#allowed.set(configuration, allowed);
    return allowed;
  }

  /** Tokens below nodes at which the rule on top of the stack ends. */
  #addBelow(nodes: readonly number[], stack: number, mask: Uint32Array): void {
    if (stack === BOTTOM || nodes.length === 0) return;
    const { after, depths } = this.#trie;
    for (const { configuration, stack: under } of this.#settled([this.#ended(stack)]).places)
      for (const node of nodes)
        this.#addBelow(this.#walk(configuration, node + 1, after[node]!, depths[node]!, mask), under, mask);
  }

  /** Sets the bits of tokens from `first` to before `end` that a configuration allows; gives the nodes where its rule may end. */
  #walk(from: number, first: number, end: number, depth: number, mask: Uint32Array): number[] {
    const { bytes, depths, after, tokensAt, tokens, deepest } = this.#trie;
    const at = new Int32Array(deepest - depth + 1);
    at[0] = from;
    const open: number[] = [];
    for (let node = first; node < end; ) {
      const below = depths[node]! - depth;
      const next = this.#configurations.step(at[below - 1]!, bytes[node]!);
      if (next === DEAD) {
        node = after[node]!;
        continue;
      }
      for (let i = tokensAt[node]!; i < tokensAt[node + 1]!; i++) mask[tokens[i]! >> 5]! |= 1 << (tokens[i]! & 31);
      if (after[node]! > node + 1 && this.#configurations.ends(next)) open.push(node);
      at[below] = next;
      node++;
    }
    return open;
  }
}

class Matcher implements GrammarMatcher {
  readonly #grammar: Compiled;
  readonly #vocabulary: readonly (Uint8Array | undefined)[];
  readonly #positions: Position[];

  constructor(grammar: Compiled, vocabulary: readonly (Uint8Array | undefined)[]) {
    this.#grammar = grammar;
    this.#vocabulary = vocabulary;
    this.#positions = [grammar.start];
  }

  get complete(): boolean {
    return this.#now.complete;
  }
  get length(): number {
    return this.#positions.length - 1;
  }
  get #now(): Position {
    return this.#positions.at(-1)!;
  }

  addAllowed(mask: Uint32Array): void {
    this.#grammar.addAllowed(this.#now, mask);
  }

  accept(token: number): void {
    const bytes = this.#vocabulary[token];
    const next = bytes && bytes.length > 0 ? this.#grammar.after(this.#now, bytes) : undefined;
    if (!next) throw new GrammarError(`grammar: token ${token} may not come after ${this.length} tokens`);
    this.#positions.push(next);
  }

  truncate(length: number): void {
    if (!(length >= 0 && length <= this.length))
      throw new GrammarError(`grammar: has ${this.length} tokens, cannot go back to ${length}`);
    this.#positions.length = length + 1;
  }
}
