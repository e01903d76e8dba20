import type { KernelBuffer, KernelCall, KernelContext, WebGpuCapabilities } from '@heddle/tensor';
import { gridBuiltins, gridOf } from '../../tiles/grid.wgsl.ts';
import { loadHead4, storeHead4 } from '../../tiles/head-access.wgsl.ts';
import { f32, lowest } from '../../tiles/score.wgsl.ts';
import { named, type PackedAttributes } from '../attributes.ts';
import { valueBuffers } from './buffers.wgsl.ts';
import { headNames, pageText, slotText } from './page-table.wgsl.ts';
import { packedScoreText } from './scores.wgsl.ts';
import { type DecodeShape, type DecodeSizes, decodeBuffers, decodePlaces, partsOf } from './split-kv.wgsl.ts';

/**
 * Lanes that share a key, each with two fours of it; undefined where subgroups are too small for that, or values of another
 * width.
 */
export function lanesOf(
  { D, V }: Pick<DecodeSizes, 'D' | 'V'>,
  { subgroups, subgroupMinSize }: WebGpuCapabilities,
): number | undefined {
  const lanes = 2 ** Math.ceil(Math.log2(Math.max(1, D / 8)));
  return subgroups && D === V && D % 8 === 0 && lanes <= subgroupMinSize ? lanes : undefined;
}

/**
 * Decoding where subgroups can shuffle: neighbouring lanes read a key in one go and add up their parts of its score, each group
 * of lanes keeps a softmax of its own over every so many keys, and the groups are joined at the end. The heads of a group of
 * queries share each read.
 */
export function decodeLanes(
  { inputs, attributes, capabilities }: KernelContext<PackedAttributes>,
  { T, H, K, G, D, splits, keys, single }: DecodeSizes,
  parts: KernelBuffer | undefined,
  lanes: number,
  { threads: W, heads, ahead, ...shape }: DecodeShape,
): KernelCall {
  const { scale, softcap, window, keepFirst, inputs: inputNames } = attributes;
  const cache = attributes.cache!;
  // where a window leaves out keys between others, values of those are taken as 0; otherwise the loop begins behind them
  const gaps = window !== undefined && (keepFirst !== undefined || inputNames.includes('keyPositions'));
  const from = valueBuffers(inputs, attributes);
  const wide = shape.wide && capabilities.shaderF16;
  const buffers = decodeBuffers(inputs, attributes, wide);
  const rounds = Math.ceil(G / heads);
  const width = Math.min(G, heads);
  const D4 = D / 4;
  const groups = W / lanes;
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  const each = (text: (g: number) => string) => numbers(width).map(text).join('\n');
  const keysOf = (text: (u: number) => string) => numbers(ahead).map(text).join('\n');
  // fours of a lane that are read one by one lie apart, so that neighbours read what lies together
  const fours = [0, 1];
  const column = (f: number) => (wide ? `(2u * lane + ${f}u)` : f === 0 ? 'lane' : `(lane + ${lanes}u)`);
  const guard = D4 === fours.length * lanes ? () => '' : (f: number) => ` && ${column(f)} < ${D4}u`;
  const steps = numbers(Math.log2(lanes)).map((i) => 2 ** i);
  const unit = softcap === undefined ? f32(scale * Math.LOG2E) : f32(scale);
  /** Behind the head's end q is 0, so what is read there does not matter. */
  const inside = (f: number) => (guard(f) ? `min(${column(f)}, ${D4 - 1}u)` : column(f));
  const eights = new Set(buffers.flatMap(({ name, vector }) => (vector === 8 ? [name] : [])));
  return {
    label: 'packedAttention.lanes',
    buffers: [...buffers, parts ?? { name: 'out', output: 0, vector: 4 }],
    parameters: { T, N: named(inputs, attributes).table!.shape[1]!, block_size: cache.blockSize, longest: keys },
    requires: ['subgroups'],
    threads: W,
    builtins: gridBuiltins,
    workgroup: {
      tops: { type: 'f32', length: groups * width },
      totals: { type: 'f32', length: groups * width },
      sums: { type: 'vec4<f32>', length: groups * width * D4 },
    },
    write: (names) => {
      const { array, at, set4, shared, size, prelude } = names;
      /** The fours of key `u` that are this lane's. */
      const read = (name: string, u: number, buffer: string) => {
        if (!eights.has(buffer))
          return fours
            .map(
              (f) =>
                `let ${name}${u}_${f} = ${loadHead4(headNames(names, attributes, buffer), buffer, `at${u}`, inside(f), D)};`,
            )
            .join(' ');
        const last = lanes === D / 8 ? 'lane' : `min(lane, ${D / 8 - 1}u)`;
        const half = (a: string, b: string) =>
          `vec4<f32>(unpack2x16float(${name}${u}.${a}), unpack2x16float(${name}${u}.${b}))`;
        return `let ${name}${u} = ${array[buffer]}[at${u} * ${D / 8}u + ${last}]; let ${name}${u}_0 = ${half('x', 'y')}; let ${name}${u}_1 = ${half('z', 'w')};`;
      };
      /**
       * Takes the keys from `from` up to `to`; `place` says for each which it is and whether it is seen. Of keys that are `mixed` some
       * are not: their values are taken as 0. Others are all seen, up to the last one, which stands for those behind it.
       */
      const loop = (
        [from, to]: readonly [string, string],
        place: (u: number) => string,
        [keyBuffer, valueBuffer]: readonly [string, string],
        mixed: boolean,
      ) => `
  for (var tile = ${from}; tile < ${to}; tile += ${groups * ahead}u) {
    ${keysOf(
      (u) => `let key${u} = tile + ${u * groups}u + group;
    ${place(u)}
    ${read('k', u, keyBuffer)}
    ${read('v', u, valueBuffer)}`,
    )}
    ${each(
      (g) => `{
    ${keysOf(
      (u) => `var s${u} = ${fours.map((f) => `dot(q${g}_${f}, k${u}_${f})`).join(' + ')};
    ${steps.map((step) => `s${u} += subgroupShuffleXor(s${u}, ${step}u);`).join(' ')}
    ${softcap === undefined ? '' : `s${u} = ${f32(softcap * Math.LOG2E)} * ${prelude.safe_tanh}(s${u} / ${f32(softcap)});`}
    s${u} = select(${lowest}, s${u}, seen${u});`,
    )}
    let new_top = max(top${g}, ${numbers(ahead)
      .map((u) => `s${u}`)
      .reduce((a, b) => `max(${a}, ${b})`)});
    let scale = exp2(top${g} - new_top);
    top${g} = new_top;
    ${keysOf((u) => `let w${u} = select(0.0, exp2(s${u} - new_top), seen${u});`)}
    total${g} = total${g} * scale + ${numbers(ahead)
      .map((u) => `w${u}`)
      .join(' + ')};
    ${fours
      .map(
        (f) =>
          `sum${g}_${f} = sum${g}_${f} * scale + ${numbers(ahead)
            .map((u) => `w${u} * ${mixed ? `select(vec4<f32>(), v${u}_${f}, seen${u})` : `v${u}_${f}`}`)
            .join(' + ')};`,
      )
      .join('\n    ')}
    }`,
    )}
  }`;
      const functions = `const G = ${G}u;
const H = ${H}u;
const K = ${K}u;
var<private> kv_head: u32;
var<private> sequence: i32;
${slotText(names, cache.blockSize)}
${pageText(names, inputs, attributes)}
${packedScoreText(names, { ...attributes, inputs: inputNames.filter((name) => name !== 'sinks') })}`;
      const main = `  ${decodePlaces(names, splits, K, rounds, heads, single)}
  let lane = local % ${lanes}u;
  let group = local / ${lanes}u;
  ${each((g) => fours.map((f) => `var q${g}_${f} = vec4<f32>();${guard(f) ? `\n  if (true${guard(f)}) {` : ''} q${g}_${f} = ${loadHead4(names, 'q', `row * H + min(head_first + ${g}u, head_end - 1u)`, column(f), D)} * ${unit};${guard(f) ? ' }' : ''}`).join('\n'))}
  ${each((g) => `var top${g} = ${lowest}; var total${g} = 0.0; ${fours.map((f) => `var sum${g}_${f} = vec4<f32>();`).join(' ')}`)}
  // no branch stands between the reads, so that all of a lane's keys are under way at once
  let cached_end = min(end, before);
  var begin = 0u;
  if (segment >= 0) { begin = first_cached(position, segment); }
  ${loop(
    ['max(first, begin)', 'cached_end'],
    (u) => `let last${u} = min(key${u}, cached_end - 1u);
    let seen${u} = (key${u} < cached_end)${gaps ? ` & is_near(position, cached_position(last${u}))` : ''};
    let at${u} = slot_of(last${u}) * K + kv_head;`,
    ['keys', from.pool],
    gaps,
  )}
  ${loop(
    ['max(first, before)', 'end'],
    (u) => `let own${u} = ${single ? 'row' : `min(key${u}, end - 1u) - before`};
    let position${u} = ${at.positions}(own${u});
    var seen${u} = (key${u} < end) & (${at.segments}(own${u}) == segment) & (position${u} <= position) & is_near(position, position${u});
    let at${u} = own${u} * K + kv_head;`,
    ['k', from.own],
    true,
  )}
  ${each(
    (
      g,
    ) => `if (lane == 0u) { ${shared.tops}[group * ${width}u + ${g}u] = top${g}; ${shared.totals}[group * ${width}u + ${g}u] = total${g}; }
  ${fours.map((f) => `${guard(f) ? `if (true${guard(f)}) { ` : ''}${shared.sums}[(group * ${width}u + ${g}u) * ${D4}u + ${column(f)}] = sum${g}_${f};${guard(f) ? ' }' : ''}`).join('\n  ')}`,
  )}
  workgroupBarrier();
  for (var i = local; i < ${width * D4}u; i += ${W}u) {
    let g = i / ${D4}u;
    let c = i % ${D4}u;
    if (head_first + g < head_end) {
      var top = ${lowest};
      for (var j = 0u; j < ${groups}u; j++) { top = max(top, ${shared.tops}[j * ${width}u + g]); }
      var total = 0.0;
      var value = vec4<f32>();
      for (var j = 0u; j < ${groups}u; j++) {
        let weight = exp2(${shared.tops}[j * ${width}u + g] - top);
        total += weight * ${shared.totals}[j * ${width}u + g];
        value += weight * ${shared.sums}[(j * ${width}u + g) * ${D4}u + c];
      }
      ${
        parts
          ? `let at = ((w.z * ${size.T} + row) * H + head_first + g) * ${D4 + 1}u;
      ${set4.parts}(at + c, value);
      if (c == 0u) { ${set4.parts}(at + ${D4}u, vec4<f32>(top * ${f32(Math.LN2)}, total, 0.0, 0.0)); }`
          : `value = value * select(0.0, 1.0 / total, total > 0.0);
      ${storeHead4(names, 'out', 'row * H + head_first + g', 'c', 'value', D)}`
      }
    }
  }`;
      return { functions, main };
    },
    workgroups: (size) => gridOf(size(T), K * rounds, partsOf(size(keys), splits)),
  };
}
