import { isHeddleError } from '@heddle/tensor';
import { GrammarError } from './errors.ts';
import { type CompiledGrammar, compileGrammar, type GrammarMatcher } from './matcher.ts';
import { formatGrammar } from './output-format.ts';
import { type TokenTrie, tokenTrie } from './token-trie.ts';
import type { Next, PackedVocabulary, Refusal, SequenceStep, WorkerAnswer, WorkerRequest } from './worker-messages.ts';

const MOST_GRAMMARS = 64;

/** Compiles grammars and follows sequences in them: what a worker does with the messages that it gets. */
export class GrammarService {
  #vocabulary: readonly (Uint8Array | undefined)[] = [];
  #trie: TokenTrie = tokenTrie([]);
  /** The last used last. */
  readonly #grammars = new Map<string, CompiledGrammar>();
  readonly #matchers = new Map<number, GrammarMatcher>();

  handle(request: WorkerRequest): WorkerAnswer {
    try {
      return this.#do(request);
    } catch (error) {
      return { refusal: refusal(error) };
    }
  }

  #do(request: WorkerRequest): WorkerAnswer {
    switch (request.kind) {
      case 'vocabulary':
        this.#vocabulary = unpacked(request.vocabulary);
        this.#trie = tokenTrie(this.#vocabulary);
        return {};
      case 'open': {
        const matcher = this.#compiled(request).matcher();
        for (const token of request.tokens) matcher.accept(token);
        this.#matchers.set(request.sequence, matcher);
        return { next: [this.#next(matcher)] };
      }
      case 'step':
        return { next: request.steps.map((step) => this.#step(step)) };
      case 'close':
        this.#matchers.delete(request.sequence);
        return {};
    }
  }

  #compiled({ key, format }: WorkerRequest & { readonly kind: 'open' }): CompiledGrammar {
    const known = this.#grammars.get(key);
    const grammar = known ?? compileGrammar(formatGrammar(format), this.#trie, this.#vocabulary);
    this.#grammars.delete(key);
    this.#grammars.set(key, grammar);
    // sequences that follow one keep it
    if (this.#grammars.size > MOST_GRAMMARS) this.#grammars.delete(this.#grammars.keys().next().value!);
    return grammar;
  }

  #step({ sequence, length, accept }: SequenceStep): Next | Refusal {
    try {
      const matcher = this.#matchers.get(sequence);
      if (!matcher) throw new GrammarError(`grammar: there is no sequence ${sequence}`);
      matcher.truncate(length);
      for (const token of accept) matcher.accept(token);
      return this.#next(matcher);
    } catch (error) {
      return refusal(error);
    }
  }

  #next(matcher: GrammarMatcher): Next {
    const mask = new Uint32Array(Math.ceil(this.#trie.vocabularySize / 32));
    matcher.addAllowed(mask);
    if (!matcher.complete && mask.every((word) => word === 0))
      throw new GrammarError(`grammar: no token of the vocabulary may come after ${matcher.length} tokens`);
    return { mask, complete: matcher.complete };
  }
}

function unpacked({ bytes, offsets }: PackedVocabulary): (Uint8Array | undefined)[] {
  return Array.from({ length: offsets.length - 1 }, (_, id) =>
    offsets[id]! < offsets[id + 1]! ? bytes.subarray(offsets[id]!, offsets[id + 1]!) : undefined,
  );
}

function refusal(error: unknown): Refusal {
  if (isHeddleError(error)) return { message: error.message, code: error.code };
  // a schema may be deeper than the stack, in places that count otherwise
  if (error instanceof RangeError) return { message: `grammar: too deep: ${error.message}`, code: 'ERR_GRAMMAR_LIMIT' };
  throw error;
}
