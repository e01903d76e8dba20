import { type KernelNames, spreadWorkgroups, type WebGpuLowering } from '@heddle/tensor';
import { blockLength, blockwiseSizes } from './blockwise.ts';
import type { Moments8bitAttributes } from './moments-8bit.ts';

/** Invocations of a workgroup: each has the four values of a word of codes. */
const threads = blockLength / 4;

/** One workgroup a block of both moments, which agrees on the two scales in its memory. */
export const moments8bitWebGpu: WebGpuLowering<Moments8bitAttributes> = {
  supports: (_, { maxStorageBuffers }) => maxStorageBuffers >= 7,
  kernels({ inputs: [gradient], attributes }) {
    const count = (gradient!.shape as readonly number[]).reduce((a, b) => a * b, 1);
    const { words, blocks } = blockwiseSizes(count);
    const vector = count % 4 === 0 ? 4 : 1;
    return [
      {
        label: 'moments8bit',
        buffers: [
          { name: 'gradient', input: 0, vector },
          { name: 'codes', input: 1 },
          { name: 'scales', input: 2 },
          { name: 'root', input: 3 },
          { name: 'direction', output: 0, vector },
          { name: 'nextCodes', output: 1 },
          { name: 'nextScales', output: 2 },
        ],
        parameters: { count, words, blocks },
        threads,
        workgroup: { largest: { type: 'vec2<f32>', length: threads } },
        ignoresExtraWorkgroups: true,
        write: (names) => ({ main: body(names, attributes, vector) }),
        workgroups: () => spreadWorkgroups(blocks),
      },
    ];
  },
};

const lanes = [0, 1, 2, 3];
const vec4 = (of: (lane: number) => string) => `vec4<f32>(${lanes.map(of).join(', ')})`;

function body(
  { at, at4, set, set4, size, shared: { largest } }: KernelNames,
  attributes: Moments8bitAttributes,
  vector: 1 | 4,
) {
  const { betas, epsilon } = attributes;
  const [beta1, beta2] = betas;
  const bytes = (word: string) => vec4((lane) => `f32((${word} >> ${8 * lane}u) & 255u)`);
  const read =
    vector === 4
      ? `  if (place < ${size.count}) { g = ${at4.gradient}(place / 4u); }`
      : lanes
          .map((lane) => `  if (place + ${lane}u < ${size.count}) { g[${lane}] = ${at.gradient}(place + ${lane}u); }`)
          .join('\n');
  const write =
    vector === 4
      ? `  if (place < ${size.count}) { ${set4.direction}(place / 4u, direction); }`
      : lanes
          .map(
            (lane) =>
              `  if (place + ${lane}u < ${size.count}) { ${set.direction}(place + ${lane}u, direction[${lane}]); }`,
          )
          .join('\n');
  const packed = (codes: string) => lanes.map((lane) => `(u32(${codes}[${lane}]) << ${8 * lane}u)`).join(' | ');
  return `  let block = (w.z * n.y + w.y) * n.x + w.x;
  if (block >= ${size.blocks}) { return; }
  let word = block * ${threads}u + l;
  let place = 4u * word;
  var g = vec4<f32>(0.0);
${read}
  let firstRoot = (${bytes(`${at.codes}(word)`)} - 128.0) / 127.0;
  let secondRoot = ${bytes(`${at.codes}(${size.words} + word)`)} / 255.0;
  let m = firstRoot * firstRoot * sign(firstRoot) * ${at.scales}(block);
  let square = secondRoot * secondRoot;
  let v = square * square * ${at.scales}(${size.blocks} + block);
  let first = m + (g - m) * f32(${1 - beta1});
  let second = v * f32(${beta2}) + g * g * f32(${1 - beta2});
  let sizes = abs(first);
  ${largest}[l] = vec2<f32>(
    max(max(sizes.x, sizes.y), max(sizes.z, sizes.w)),
    max(max(second.x, second.y), max(second.z, second.w)));
  workgroupBarrier();
  for (var reach = ${threads / 2}u; reach > 0u; reach /= 2u) {
    if (l < reach) { ${largest}[l] = max(${largest}[l], ${largest}[l + reach]); }
    workgroupBarrier();
  }
  let scales = ${largest}[0];
  let inverse = select(vec2<f32>(0.0), 1.0 / scales, scales > vec2<f32>(0.0));
  let levels = round(sqrt(min(sizes * inverse.x, vec4<f32>(1.0))) * 127.0);
  let firstCodes = select(levels, -levels, first < vec4<f32>(0.0)) + 128.0;
  let share = min(second * inverse.y, vec4<f32>(1.0));
  let secondLevels = round(sqrt(sqrt(share)) * 255.0);
  let secondCodes = select(secondLevels, max(secondLevels, vec4<f32>(1.0)), share > vec4<f32>(0.0));
  ${set.nextCodes}(word, ${packed('firstCodes')});
  ${set.nextCodes}(${size.words} + word, ${packed('secondCodes')});
  if (l == 0u) {
    ${set.nextScales}(block, scales.x);
    ${set.nextScales}(${size.blocks} + block, scales.y);
  }
  let direction = first / (sqrt(second) / ${at.root}(0u) + f32(${epsilon}));
${write}`;
}
