import { type Fault, faultsOf } from './fault.ts';

const stages = 'stages.backend.test.ts';
const grammar = 'grammar/matcher.test.ts';
const hub = 'pull-model.test.ts';
const experts = 'expert-matmul.backend.test.ts';
const routing = 'routing.backend.test.ts';
const recurrences = 'recurrences.backend.test.ts';

const onDevice = faultsOf(
  ['reference'],
  [
    {
      breaks: 'a repetition penalty raises negative logits',
      file: 'stages/penalties.ts',
      find: 'where(logits.less(0), logits.mul(penalty!), logits.div(penalty!))',
      put: 'logits.div(penalty!)',
      tests: [stages],
    },
    {
      breaks: 'a presence penalty counts every time',
      file: 'stages/penalties.ts',
      find: 'presence!.mul(count.minimum(1))',
      put: 'presence!.mul(count)',
      tests: [stages],
    },
    {
      breaks: 'top-p keeps by weights of one',
      file: 'stages/truncation.ts',
      find: 'thresholds(logits, softmax(logits, -1), mass)',
      put: 'thresholds(logits, full(logits.device, logits.shape, 1), mass)',
      tests: [stages],
    },
    {
      breaks: 'min-p is taken of the likeliest twice over',
      file: 'stages/truncation.ts',
      find: '.add(log(p!))',
      put: '.add(log(p!).mul(2))',
      tests: [stages],
    },
    {
      breaks: 'tokens of a word of a mask are allowed in reverse',
      file: 'stages/tokens.ts',
      find: 'bit.equal(0)), out, logits)',
      put: 'bit.equal(1)), out, logits)',
      tests: [stages],
    },
    {
      breaks: 'a repeated n-gram is looked for one token further back',
      file: 'stages/tokens.ts',
      find: 'const place = lengths.sub(1 + back);',
      put: 'const place = lengths.sub(2 + back);',
      tests: [stages],
    },
    {
      breaks: 'rows take the matrix of the expert before theirs',
      file: 'experts/expert-matmul.ts',
      find: 'const matrix = Math.min(Math.max(experts!.data[row]!, 0), N - 1) * K * M;',
      put: 'const matrix = Math.min(Math.max(experts!.data[row]! - 1, 0), N - 1) * K * M;',
      tests: [experts],
    },
    {
      breaks: 'the gradient of experts reads matrices the same way round',
      file: 'experts/expert-matmul.ts',
      find: '{ inFirst: !inFirst }',
      put: '{ inFirst }',
      tests: [experts],
    },
    {
      breaks: 'the correction of a router counts in the weights',
      file: 'experts/routing.ts',
      find: 'takeAlongAxis(scores, experts, 1)',
      put: 'takeAlongAxis(ranked, experts, 1)',
      tests: [routing],
    },
    {
      breaks: 'groups of experts are ranked by their best one alone',
      file: 'experts/routing.ts',
      find: 'topK(apart, Math.min(2, size))',
      put: 'topK(apart, 1)',
      tests: [routing],
    },
    {
      breaks: 'a delta rule does not take off what the state holds',
      file: 'recurrence/chunks.ts',
      find: 'held && state ? own.sub(matmul(chunkOf(held, at, C, Dk), state)) : own',
      put: 'own',
      tests: [recurrences],
      projects: ['onnx'],
    },
    {
      breaks: 'the state of a recurrence does not decay over a chunk',
      file: 'recurrence/chunks.ts',
      find: 'state.mul(chunkOf(factors, at, 1, 1)).add(added)',
      put: 'state.add(added)',
      tests: [recurrences],
      projects: ['onnx'],
    },
    {
      breaks: 'a recurrence adds to its state without its query seeing it, in the reference',
      file: 'recurrence/reference.ts',
      find: 'state[at + i * Dv]! += k.data[key + i]! * taken;\n          sum += q.data[key + i]! * state[at + i * Dv]!;',
      put: 'sum += q.data[key + i]! * state[at + i * Dv]!;\n          state[at + i * Dv]! += k.data[key + i]! * taken;',
      tests: [recurrences],
    },
    {
      breaks: 'the history of a short convolution is that of one row earlier',
      file: 'recurrent/short-convolution.ts',
      find: '.slice(1, L, addDims(L, width - 1))',
      put: '.slice(1, 0, width - 1)',
      tests: ['short-convolution.backend.test.ts'],
    },
    {
      breaks: 'integers of quantised rows are half as many',
      file: 'quantized-pages.ts',
      find: 'const most = 2 ** (bits - 1) - 1;',
      put: 'const most = 2 ** (bits - 2) - 1;',
      tests: ['quantized-pages.backend.test.ts'],
    },
  ],
);

const onHost = faultsOf(
  ['unit'],
  [
    {
      breaks: 'a generated token of the prompt counts in a penalty of the host',
      file: 'sampling/repetition.ts',
      find: 'for (let i = tokens.length - generated; i < tokens.length; i++)',
      put: 'for (let i = 0; i < tokens.length; i++)',
      tests: ['sampling/repetition.test.ts', 'sampling/transformers.test.ts'],
    },
    {
      breaks: 'n-grams of the host are compared without their first token',
      file: 'sampling/repetition.ts',
      find: 'for (let j = 0; same && j < size - 1; j++)',
      put: 'for (let j = 1; same && j < size - 1; j++)',
      tests: ['sampling/repetition.test.ts', 'sampling/transformers.test.ts'],
    },
    {
      breaks: 'characters whose first byte varies miss those of the last one',
      file: 'grammar/utf8-ranges.ts',
      find: 'under(end, end, split(lowest, last.slice(1)))',
      put: 'under(end, end, split(last.slice(1), last.slice(1)))',
      tests: [grammar, 'grammar/regex.test.ts'],
    },
    {
      breaks: 'tokens that end a rule in their middle are never allowed',
      file: 'grammar/matcher.ts',
      find: 'this.#addBelow(allowed.open, stack, mask);',
      put: '',
      tests: [grammar],
    },
    {
      breaks: 'a grammar keeps a token that was taken back',
      file: 'grammar/matcher.ts',
      find: 'this.#positions.length = length + 1;',
      put: 'this.#positions.length = length + 2;',
      tests: [grammar],
    },
    {
      breaks: 'a text may end in the middle of a called rule',
      file: 'grammar/matcher.ts',
      find: 'if (stack === BOTTOM) complete = true;',
      put: 'complete = true;\n      if (stack === BOTTOM) continue;',
      tests: [grammar],
    },
    {
      breaks: 'a model of a hub may be named by a path that leaves its folder',
      file: 'hub/hub-id.ts',
      find: "segment !== '' && !/[. ]$/.test(segment)",
      put: "segment !== ''",
      tests: ['hub/hub-id.test.ts', hub],
    },
    {
      breaks: 'a file of a hub counts as right by its length',
      file: 'hub/unfinished-file.ts',
      find: "this.#length === this.#file.size && this.#hash.digest('hex') === this.#file.digest",
      put: 'this.#length === this.#file.size',
      tests: [hub],
    },
    {
      breaks: 'a file that was broken off is hashed without what was there',
      file: 'hub/unfinished-file.ts',
      find: 'this.#hash.update(buffer.subarray(0, bytesRead));',
      put: '',
      tests: [hub],
    },
    {
      breaks: 'an index of a hub whose shard is missing is taken',
      file: 'hub/needed-files.ts',
      find: 'if (!file) throw missing(id, `has no ${JSON.stringify(name.slice(0, 100))}, which its index names`, files);\n    return file;',
      put: 'return file!;',
      tests: [hub],
    },
    {
      breaks: 'a head keeps four bits as other matrices',
      file: 'quantize/stored-type.ts',
      find: "isHead && fourBits.has(dtype) ? 'q6_k' : dtype",
      put: 'dtype',
      tests: ['quantize/stored-type.test.ts'],
    },
    {
      breaks: 'rows of no whole blocks are stored in the wanted blocks',
      file: 'quantize/stored-type.ts',
      find: 'if (length % blockSizes[wanted].values === 0) return wanted;',
      put: 'return wanted;',
      tests: ['quantize-model.test.ts'],
    },
    {
      breaks: 'a signed block counts whatever its tag is',
      file: 'tiers/signed-tier.ts',
      find: 'return fits ? content : undefined;',
      put: 'return content;',
      tests: ['tiers/stores.test.ts'],
    },
    {
      breaks: 'a damaged block of a store is read',
      file: 'tiers/block-file.ts',
      find: '  if (sum.some((byte, i) => byte !== own[end + i])) return undefined;\n',
      put: '',
      tests: ['tiers/block-file.test.ts'],
    },
    {
      breaks: 'a block of another store is read as this one',
      file: 'tiers/block-file.ts',
      find: '  if (header.some((byte, i) => byte !== own[i])) return undefined;\n',
      put: '',
      tests: ['tiers/block-file.test.ts'],
    },
  ],
);

/** What models are made of and come from, and what chooses their tokens. */
export const modelFaults: readonly Fault[] = [...onDevice, ...onHost];
