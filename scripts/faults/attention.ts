import { type Fault, faultsOf } from './fault.ts';

const dense = 'dense/attention.backend.test.ts';
const rules = 'attention-rules.backend.test.ts';
const packed = 'packed-attention.backend.test.ts';

const numbers = faultsOf(
  ['reference'],
  [
    {
      breaks: 'a query does not see its own key where attention is causal',
      file: 'dense/scores.ts',
      find: 'back.greaterEqual(0)',
      put: 'back.greater(0)',
      tests: [dense, rules],
    },
    {
      breaks: 'a window is one key wider',
      file: 'dense/scores.ts',
      find: 'back.less(window)',
      put: 'back.lessEqual(window)',
      tests: [dense, rules],
    },
    {
      breaks: 'one kept first key too many is seen',
      file: 'dense/scores.ts',
      find: 'key.less(keepFirst)',
      put: 'key.lessEqual(keepFirst)',
      tests: [dense, rules],
    },
    {
      breaks: 'a key beyond the valid length is seen',
      file: 'dense/scores.ts',
      find: 'key.less(keyLengths.reshape([B, 1, 1, 1]))',
      put: 'key.lessEqual(keyLengths.reshape([B, 1, 1, 1]))',
      tests: [dense, rules],
    },
    {
      breaks: 'slopes raise far keys instead of lowering them',
      file: 'dense/scores.ts',
      find: 'scores.sub(distance.mul(slopes',
      put: 'scores.add(distance.mul(slopes',
      tests: [dense, rules],
    },
    {
      breaks: 'sinks take no weight',
      file: 'dense/decomposition.ts',
      find: 'sinks ? total.add(sinks.sub(highest).exp()) : total',
      put: 'total',
      tests: [dense, rules],
    },
    {
      breaks: 'slopes of heads that are no power of two are those of the power below',
      file: 'dense/alibi.ts',
      find: '.mul(-4 / whole)',
      put: '.mul(-8 / whole)',
      tests: ['dense/alibi.backend.test.ts'],
    },
    {
      breaks: 'merged parts have the same share',
      file: 'merge-attention.ts',
      find: '      .div(sum)\n',
      put: '',
      tests: [dense, rules, 'compose.test.ts'],
    },
    {
      breaks: 'the gradient of a rotation turns the same way',
      file: 'rotary/rotary.ts',
      find: 'inverse: !attributes.inverse',
      put: 'inverse: attributes.inverse',
      tests: ['rotary/rotary.backend.test.ts'],
    },
  ],
);

const executors = faultsOf(
  ['onnx'],
  [
    {
      breaks: 'a row sees the key that is just outside its window in the reference',
      file: 'paged/reference.ts',
      find: 'position - at < window ||',
      put: 'position - at <= window ||',
      tests: [packed],
      projects: ['reference'],
    },
    {
      breaks: 'rows see those of other sequences in the reference',
      file: 'paged/reference.ts',
      find: 'segments[other] === sequence && positions[other]! <= position',
      put: 'positions[other]! <= position',
      tests: [packed],
      projects: ['reference'],
    },
    {
      breaks: 'heads read the keys of a neighbouring group in the reference',
      file: 'paged/reference.ts',
      find: 'const group = Math.floor(head / G);',
      put: 'const group = head % K;',
      tests: [packed],
      projects: ['reference'],
    },
    {
      breaks: 'the second half of a rotation has the wrong sign',
      file: 'rotary/rotary.ts',
      find: 'b.mul(c).add(a.mul(s))',
      put: 'b.mul(c).sub(a.mul(s))',
      tests: ['rotary/rotary.backend.test.ts'],
    },
  ],
);

const wgsl = faultsOf(
  ['webgpu-node'],
  [
    {
      breaks: 'the packed kernels see one key more than their window',
      file: 'paged/wgsl/scores.wgsl.ts',
      find: '`position - other < ${window}`',
      put: '`position - other <= ${window}`',
      tests: [packed],
    },
    {
      breaks: 'the decode kernel has no window over the rows of the step',
      file: 'paged/wgsl/decode.wgsl.ts',
      find: '== segment && other <= position && is_near(position, other);',
      put: '== segment && other <= position;',
      tests: [packed],
    },
    {
      breaks: 'the decode kernel of subgroups has no window over the rows of the step',
      file: 'paged/wgsl/decode-subgroup.wgsl.ts',
      find: ' & (position${u} <= position) & is_near(position, position${u});',
      put: ' & (position${u} <= position);',
      tests: [packed],
    },
    {
      breaks: 'the prefill kernel sees later tokens of its sequence',
      file: 'paged/wgsl/prefill.wgsl.ts',
      find: '== query.segment && position <= query.position && is_near',
      put: '== query.segment && is_near',
      tests: [packed],
    },
    {
      breaks: 'the last part of a split decode is left out',
      file: 'paged/wgsl/split-kv.wgsl.ts',
      find: 'let end = min(first + share,',
      put: 'let end = min(first + share - 1u,',
      tests: [packed],
    },
    {
      breaks: 'a tile adds only three of four components',
      file: 'tiles/flash-tile.wgsl.ts',
      find: 'each(4, (k) =>\n      each(2, (r) =>',
      put: 'each(3, (k) =>\n      each(2, (r) =>',
      tests: [dense],
    },
    {
      breaks: 'a tile is read while it is still written',
      file: 'tiles/flash-tile.wgsl.ts',
      find: '    `  }`,\n    `  workgroupBarrier();`,\n    `  for (var c = 0u; c < ${C}u; c++) {`,',
      put: '    `  }`,\n    `  for (var c = 0u; c < ${C}u; c++) {`,',
      tests: [dense],
    },
  ],
);

export const attentionFaults: readonly Fault[] = [...numbers, ...executors, ...wgsl];
