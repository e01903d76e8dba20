import { type Fault, faultsOf } from './fault.ts';

const cache = 'contiguous-cache.backend.test.ts';

const caches = faultsOf(
  ['reference'],
  [
    {
      breaks: 'tokens are written one slot too far',
      file: 'contiguous-cache.ts',
      find: 'slots[row++] = block * this.blockSize + length + i;',
      put: 'slots[row++] = block * this.blockSize + length + i + 1;',
      tests: [cache],
    },
    {
      breaks: 'a fork shares its length but not its tokens',
      file: 'contiguous-cache.ts',
      find: 'if (tokens > 0) await this.#storage.copy(',
      put: 'if (tokens > 1e9) await this.#storage.copy(',
      tests: [cache],
    },
    {
      breaks: 'a block that was given back is lost',
      file: 'contiguous-cache.ts',
      find: '    this.#free.push(sequence.block);\n',
      put: '',
      tests: [cache],
    },
    {
      breaks: 'room beyond the end of a sequence may be reserved',
      file: 'contiguous-sequence.ts',
      find: 'if (end > this.#cache.maxSequenceTokens) return undefined;',
      put: 'if (end > this.#cache.maxSequenceTokens + 1) return undefined;',
      tests: [cache, 'contiguous-cache.test.ts'],
    },
    {
      breaks: 'a truncated sequence keeps its room',
      file: 'contiguous-sequence.ts',
      find: '    this.#length = length;\n    this.#reserved = length;\n',
      put: '    this.#length = length;\n',
      tests: [cache, 'contiguous-cache.test.ts'],
    },
    {
      breaks: 'values are written where keys belong',
      file: 'layer-storage.ts',
      find: 'writeRows(this.#values[index]!, slots, values)',
      put: 'writeRows(this.#values[index]!, slots, keys)',
      tests: [cache],
    },
    {
      breaks: 'a batch may be advanced after its sequence has changed',
      file: 'contiguous-cache.ts',
      find: 'if (sequence.length !== length)',
      put: 'if (sequence.length < length)',
      tests: [cache, 'contiguous-cache.test.ts'],
    },
  ],
);

const llm = faultsOf(
  ['unit'],
  [
    {
      breaks: 'an engine shares a parent token that is still to be computed',
      file: 'engine/cache-capacity.ts',
      find: 'Math.min(request.promptTokens - 1, parent.kv.length)',
      put: 'Math.min(request.promptTokens, parent.kv.length)',
      tests: ['engine/cache-capacity.test.ts'],
    },
    {
      breaks: 'the cache of a request that found no room stays open',
      file: 'engine/cache-capacity.ts',
      find: '      request.kv.dispose();\n      request.kv = undefined;\n      return',
      put: '      request.kv = undefined;\n      return',
      tests: ['engine/cache-capacity.test.ts', 'engine/engine.test.ts'],
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
