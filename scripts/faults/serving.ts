import { type Fault, faultsOf } from './fault.ts';

const contiguous = 'contiguous-cache.backend.test.ts';
const paged = 'paged-cache.backend.test.ts';

const caches = faultsOf(
  ['reference'],
  [
    {
      breaks: 'tokens are written one slot too far',
      file: 'step-layout.ts',
      find: '* blockSize + (position - column * blockSize);',
      put: '* blockSize + (position - column * blockSize) + 1;',
      tests: [contiguous, paged],
    },
    {
      breaks: 'a fork shares its length but not its tokens',
      file: 'block-cache.ts',
      find: 'this.#holdings.copy(group, from.table[last]!, spare[group]!, open)',
      put: 'this.#holdings.copy(group, from.table[last]!, spare[group]!, 0)',
      tests: [contiguous, paged],
    },
    {
      breaks: 'a block that was given back is lost',
      file: 'block-pool.ts',
      find: 'if (left === 0) this.#free[this.#freeCount++] = block;',
      put: '',
      tests: [contiguous, paged],
    },
    {
      breaks: 'room beyond the end of a sequence may be reserved',
      file: 'block-cache.ts',
      find: 'if (end > this.maxSequenceTokens || ',
      put: 'if (end > this.maxSequenceTokens + 1 || ',
      tests: [contiguous, paged],
    },
    {
      breaks: 'a truncated sequence keeps its room',
      file: 'block-cache.ts',
      find: '    sequence.length = length;\n    sequence.reserved = length;\n',
      put: '    sequence.length = length;\n',
      tests: [contiguous, paged],
    },
    {
      breaks: 'stores are written with the rows of the first',
      file: 'store-pools.ts',
      find: 'variable.scatter(slots[group]!, value.cast(variable.dtype))',
      put: "variable.scatter(slots[group]!, (written['keys'] ?? value).cast(variable.dtype))",
      tests: [contiguous, paged],
    },
    {
      breaks: 'a batch may be advanced after its sequence has changed',
      file: 'block-cache.ts',
      find: 'if (sequence.length !== lengths[b] || sequence.reserved < lengths[b]! + tokens)',
      put: 'if (sequence.length < lengths[b]!)',
      tests: [contiguous, paged],
    },
    {
      breaks: 'a shared block is written without a copy',
      file: 'block-holdings.ts',
      find: 'let shared = end > sequence.length && this.#writesShared(sequence, group);',
      put: 'let shared = false;',
      tests: [paged],
    },
    {
      breaks: 'all of a prompt is found, and nothing is left to compute',
      file: 'prefix-sharing.ts',
      find: 'Math.floor((tokens.length - 1) / this.#blockSize)',
      put: 'Math.floor(tokens.length / this.#blockSize)',
      tests: [paged],
    },
    {
      breaks: 'prefixes are told apart by a hash alone',
      file: 'block-node.ts',
      find: 'if (own[i] !== tokens[start + i]) return false;',
      put: '',
      tests: ['prefixes.test.ts'],
      projects: ['unit'],
    },
    {
      breaks: 'a window gives back one block too many',
      file: 'block-holdings.ts',
      find: 'sequence.length - window + 1 - this.#blockSize) / this.#blockSize',
      put: 'sequence.length - window + 1 + this.#blockSize) / this.#blockSize',
      tests: [paged],
    },
  ],
);

const llm = faultsOf(
  ['unit'],
  [
    {
      breaks: 'an engine shares a parent token that is still to be computed',
      file: 'engine/cache-capacity.ts',
      find: 'Math.min(request.promptTokens - 1, parent.length)',
      put: 'Math.min(request.promptTokens, parent.length)',
      tests: ['engine/cache-capacity.test.ts'],
    },
    {
      breaks: 'the cache of a request that found no room stays open',
      file: 'engine/cache-capacity.ts',
      find: '      kv.dispose();\n',
      put: '',
      tests: ['engine/cache-capacity.test.ts', 'engine/engine.test.ts'],
    },
    {
      breaks: 'a step reads the token that another lane has chosen',
      file: 'engine/step-rows.ts',
      find: ': -1 - lane;',
      put: ': -1;',
      tests: ['engine/steps-in-flight.test.ts'],
    },
    {
      breaks: 'results that a later step could not give take those of an earlier one with them',
      file: 'engine/step-runner.ts',
      find: 'if (request.ended) continue;',
      put: 'if (request.ended || request.stranded) continue;',
      tests: ['engine/steps-in-flight.test.ts'],
    },
    {
      breaks: 'a step takes sequences along that an earlier one has lost',
      file: 'engine/step-runner.ts',
      find: 'request.ended || request.stranded;',
      put: 'false && request.ended;',
      tests: ['engine/steps-in-flight.test.ts'],
    },
    {
      breaks: 'top-k keeps one token too many',
      file: 'sampling/filters.ts',
      find: 'nthLargest(logits.slice(), k - 1)',
      put: 'nthLargest(logits.slice(), k)',
      tests: ['sampling/filters.test.ts', 'src/sampler.test.ts'],
    },
    {
      breaks: 'top-p ends one token early',
      file: 'sampling/filters.ts',
      find: '(equals === 0 || mass < p * total)',
      put: '(equals === 0 || mass + sorted[i]! < p * total)',
      tests: ['sampling/filters.test.ts', 'src/sampler.test.ts'],
    },
    {
      breaks: 'temperature multiplies',
      file: 'sampling/filters.ts',
      find: '(logits[i]! - top) / value',
      put: '(logits[i]! - top) * value',
      tests: ['sampling/filters.test.ts', 'src/sampler.test.ts'],
    },
    {
      breaks: 'a token is drawn one place early',
      file: 'llm/src/sampler.ts',
      find: 'if (sum > target) return id;',
      put: 'if (sum >= target) return Math.max(0, id - 1);',
      tests: ['src/sampler.test.ts'],
    },
    {
      breaks: 'all sequences draw the same numbers',
      file: 'llm/src/sampler.ts',
      find: 'Math.floor(seed / 2 ** 32), step, sequence)',
      put: 'Math.floor(seed / 2 ** 32), step, 0)',
      tests: ['src/sampler.test.ts'],
    },
    {
      breaks: 'an incomplete character is given out',
      file: 'incremental-decoder.ts',
      find: 'text.endsWith(replacement) ? text.length - 1 : text.length',
      put: 'text.length',
      tests: ['incremental-decoder.test.ts'],
    },
    {
      breaks: 'text is repeated when the context of a stream is cut',
      file: 'incremental-decoder.ts',
      find: 'given = decode(context).length - held;',
      put: 'given = Math.max(0, decode(context).length - held - 1);',
      tests: ['incremental-decoder.test.ts'],
    },
    {
      breaks: 'an option that is given twice is taken once',
      file: 'command/options.ts',
      find: 'names.indexOf(name) < i',
      put: 'names.indexOf(name) < 0',
      tests: ['command/options.test.ts'],
    },
    {
      breaks: 'a probability above 1 is taken',
      file: 'command/options.ts',
      find: "number('--top-p', values['top-p'], 0, 1)",
      put: "number('--top-p', values['top-p'], 0)",
      tests: ['command/options.test.ts'],
    },
    {
      breaks: 'a prompt and token ids may be given together',
      file: 'command/options.ts',
      find: 'if (prompt !== undefined && promptTokens !== undefined)',
      put: 'if (prompt !== undefined && promptTokens === null)',
      tests: ['command/options.test.ts'],
    },
    {
      breaks: 'an empty number counts as 0',
      file: 'command/options.ts',
      find: "if (value.trim() === '' || !Number.isSafeInteger(parsed) || parsed < min)",
      put: 'if (!Number.isSafeInteger(parsed) || parsed < min)',
      tests: ['command/options.test.ts'],
    },
  ],
);

export const servingFaults: readonly Fault[] = [...caches, ...llm];
