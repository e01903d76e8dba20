import { type Fault, faultsOf } from './fault.ts';

const server = 'serve/server.test.ts';

const recorded = faultsOf(
  ['reference'],
  [
    {
      breaks: 'ones come into the derivatives of a product instead of zeros',
      file: 'reduce/prod.ts',
      find: 'dual: moved(dual, by, size)',
      put: 'dual: shifted(dual, by, size)',
      tests: ['reduce/prod.backend.test.ts'],
    },
    {
      breaks: 'padding counts in a mean where it should not, and not where it should',
      file: 'convolution/pooling.ts',
      find: 'inside && !countIncludePad',
      put: 'inside && countIncludePad',
      tests: ['convolution/pooling.backend.test.ts'],
    },
    {
      breaks: 'the epsilon of a batch norm is not scaled with the squares',
      file: 'rows/batch-norm.ts',
      find: 'spread.add(epsilon * scale)',
      put: 'spread.add(epsilon)',
      tests: ['rows/batch-norm.backend.test.ts'],
    },
    {
      breaks: 'heads are grouped the other way round where the mass of keys is summed',
      file: 'paged/attention-mass.ts',
      find: '.reshape([R, K, groups, D])\n      .permute([1, 0, 2, 3])',
      put: '.reshape([R, groups, K, D])\n      .permute([2, 0, 1, 3])',
      tests: ['lossy/drops.backend.test.ts'],
    },
    {
      breaks: 'padding behind packed sequences sees itself',
      file: 'dense/segments.ts',
      find: '.and(own.greaterEqual(0))',
      put: '',
      tests: ['dense/segments.backend.test.ts'],
    },
    {
      breaks: 'a block that is not full counts as full where tokens were dropped',
      file: 'blocks/compact-tables.ts',
      find: 'Math.min(blockSize, sequence.length - start)',
      put: 'blockSize',
      tests: ['lossy/drops.backend.test.ts'],
    },
    {
      breaks: 'Adafactor divides by the mean of all matrices of a parameter',
      file: 'optimizers/adafactor.ts',
      find: 'rows.mean(-2, { keepDims: true }).maximum',
      put: 'rows.mean().maximum',
      tests: ['optimizers.backend.test.ts'],
    },
    {
      breaks: 'a constraint is asked for what follows a stop token',
      file: 'constrain.ts',
      find: 'next < 0 || stopTokens.has(next) || (',
      put: 'next < 0 || (',
      tests: ['text/format.backend.test.ts', 'engine/speculation.backend.test.ts'],
    },
    {
      breaks: 'the cache that is kept under an id takes the place of another that stays open',
      file: 'held-sequences.ts',
      find: '    this.#held.get(id)?.kv.dispose();\n    this.#held.set(id, { ...request, kv });',
      put: '    this.#held.set(id, { ...request, kv });',
      tests: ['engine/held-sequences.test.ts'],
      projects: ['unit'],
    },
  ],
);

const wgsl = faultsOf(
  ['webgpu-node'],
  [
    {
      breaks: 'a dispatch is shared by kernels of which only the first was asked whether it depends on them',
      file: 'planning/shared-dispatches.ts',
      find: 'dispatch.steps.some((step) => conflict(step, part.step))',
      put: 'conflict(dispatch.steps[0]!, part.step)',
      tests: ['webgpu/shared-dispatches.backend.test.ts'],
    },
    {
      breaks: 'smoothed losses take off the highest logit once for all classes',
      file: 'rows/cross-entropy-rows.wgsl.ts',
      find: '(values - most * f32(${size.classes})) * ${spread}',
      put: '(values - most) * ${spread}',
      tests: ['rows/loss.backend.test.ts'],
    },
    {
      breaks: 'of four updates of one row the third is that of the second',
      file: 'indexing/scatter-add.wgsl.ts',
      find: "${update(names, 't + 2u')}",
      put: "${update(names, 't + 1u')}",
      tests: ['gather.backend.test.ts'],
    },
  ],
);

const plain = faultsOf(
  ['unit'],
  [
    {
      breaks: 'of several sizes that changed only the last is told',
      file: 'planning/size-cache.ts',
      find: 'changed |= 1 << i;',
      put: 'changed = 1 << i;',
      tests: ['planning/size-cache.test.ts'],
    },
    {
      breaks: 'a sequence that just fits has the frequencies of a longer one',
      file: 'rotary/rotary-frequencies.ts',
      find: 'length > originalMaxPositions',
      put: 'length >= originalMaxPositions',
      tests: ['rotary/rotary-frequencies.test.ts'],
    },
    {
      breaks: 'of equals the beginning of a prompt is forgotten before its end',
      file: 'prefix/eviction-queue.ts',
      find: 'a.node.depth > b.node.depth',
      put: 'a.node.depth < b.node.depth',
      tests: ['prefix/eviction-queue.test.ts'],
    },
    {
      breaks: 'a snapshot may name one token more than it has rows',
      file: 'snapshot/snapshot-file.ts',
      find: 'tokens.length > length!',
      put: 'tokens.length > length! + 1',
      tests: ['snapshot/snapshot-file.test.ts'],
    },
    {
      breaks: 'what the last waiting tenant was served is forgotten with it',
      file: 'policies/fair-share.ts',
      find: '    if (this.#active.size === 0) this.#floor = Math.max(this.#floor, tenant.counter);\n',
      put: '',
      tests: ['policies/policies.test.ts'],
    },
    {
      breaks: 'the cost of items that have left makes batches due',
      file: 'dynamic/batch-queue.ts',
      find: '    group.cost -= item.cost;\n',
      put: '',
      tests: ['dynamic/dynamic-batcher.test.ts'],
    },
    {
      breaks: 'a loss that stays the same counts as better',
      file: 'loop/patience.ts',
      find: 'loss < this.#best - ',
      put: 'loss <= this.#best - ',
      tests: ['loop/evaluation.test.ts'],
    },
    {
      breaks: 'of equally frequent pairs with one beginning the lesser is merged',
      file: 'bpe/merge-pairs.ts',
      find: 'bytes[a.pair.second]! > bytes[b.pair.second]!',
      put: 'bytes[a.pair.second]! < bytes[b.pair.second]!',
      tests: ['bpe/train-byte-pair.test.ts'],
    },
    {
      breaks: 'an attention factor of a GGUF file counts without the one of YaRN',
      file: 'gguf/gguf-rotary.ts',
      find: 'attention * (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1)',
      put: 'attention',
      tests: ['gguf/gguf-families.test.ts'],
    },
    {
      breaks: 'answers are weighed by their characters instead of their bytes',
      file: 'command/eval.ts',
      find: 'score / Buffer.byteLength(choices[i]!)',
      put: 'score / choices[i]!.length',
      tests: ['command/eval.test.ts'],
    },
    {
      breaks: 'a body that does not say its length may have any',
      file: 'serve/guard.ts',
      find: '        if (bytes > maxBodyBytes) tooLarge();\n',
      put: '',
      tests: [server],
    },
    {
      breaks: 'one of several keys may take all requests',
      file: 'serve/admission.ts',
      find: 'keys > 1 ? Math.ceil(maxRequests / 2) : maxRequests',
      put: 'maxRequests',
      tests: [server],
    },
    {
      breaks: 'a guess goes on from the oldest of equal places',
      file: 'speculation/ngram-index.ts',
      find: 'if (same > length)',
      put: 'if (same >= length)',
      tests: ['speculation/prompt-lookup.test.ts'],
    },
    {
      breaks: 'logits of a Cohere 2 that names no scale are not scaled',
      file: 'families/cohere2.ts',
      find: '?? 0.0625)',
      put: '?? 1)',
      tests: ['families/families.test.ts'],
    },
    {
      breaks: 'the layers of a Gemma 2 with and without a window change places',
      file: 'src/families/gemma.ts',
      find: '(i) => i % 2 === 0)',
      put: '(i) => i % 2 === 1)',
      tests: ['families/families.test.ts'],
    },
  ],
);

/** Slips across all packages. */
export const acrossFaults: readonly Fault[] = [...recorded, ...wgsl, ...plain];
