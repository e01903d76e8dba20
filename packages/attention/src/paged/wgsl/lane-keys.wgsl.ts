import type { KernelNames } from '@heddle/tensor';
import type { FunctionsInKernel } from '../../flex/emit.wgsl.ts';
import { loadHead4 } from '../../tiles/head-access.wgsl.ts';
import { f32, isSeenScore, lowest, seenScore } from '../../tiles/score.wgsl.ts';
import type { PackedAttributes } from '../attributes.ts';
import { joined, type LaneLayout, lines } from './lane-layout.ts';
import { headNames } from './page-table.wgsl.ts';
import { scoreIn } from './scores.wgsl.ts';

/** Some of the keys of a row, for `keyLoop`. */
export interface LaneKeys {
  /** Names in WGSL. */
  readonly from: string;
  readonly to: string;
  /** Declares of key `u` its place, `at{u}`, and whether it is seen, `seen{u}`. */
  place(u: number): string;
  /** A `Place` of key `u` and a head. */
  score(u: number, head: string): string;
  readonly buffers: { readonly keys: string; readonly values: string };
  /** Whether some are not seen: their values are taken as 0. Others are all seen, up to the last one, which stands for those behind it. */
  readonly mixed: boolean;
}

/** Takes keys, `ahead` at a time: no branch stands between the reads, so that all of a lane's keys are under way at once. */
export function keyLoop(
  names: KernelNames,
  attributes: PackedAttributes,
  layout: LaneLayout,
  eights: ReadonlySet<string>,
  { from, to, place, score, buffers, mixed }: LaneKeys,
  functions: FunctionsInKernel | undefined,
): string {
  const { ahead, groups, fours, width } = layout;
  const read = (name: string, u: number, buffer: string) =>
    eights.has(buffer)
      ? readEight(names, layout, name, u, buffer)
      : readFours(names, attributes, layout, name, u, buffer);
  // functions may hide a key from some of the heads, and score in natural units
  const [seen, exp] = functions ? ['shown', 'exp'] : ['seen', 'exp2'];
  const scoresOf = (g: number) =>
    functions ? scoresBy(functions, layout, score, g) : scores(names, attributes, layout, g);
  return `
  for (var tile = ${from}; tile < ${to}; tile += ${groups * ahead}u) {
    ${lines(
      ahead,
      (u) => `let key${u} = tile + ${u * groups}u + group;
    ${place(u)}
    ${read('k', u, buffers.keys)}
    ${read('v', u, buffers.values)}`,
    )}
    ${lines(
      width,
      (g) => `{
    ${scoresOf(g)}
    let new_top = max(top${g}, ${joined(
      ahead,
      (u) => `s${u}`,
      (a, b) => `max(${a}, ${b})`,
    )});
    let scale = ${exp}(top${g} - new_top);
    top${g} = new_top;
    ${lines(ahead, (u) => `let w${u} = select(0.0, ${exp}(s${u} - new_top), ${seen}${u});`)}
    total${g} = total${g} * scale + ${joined(ahead, (u) => `w${u}`)};
    ${fours
      .map((f) => {
        const value = (u: number) =>
          mixed || functions ? `select(vec4<f32>(), v${u}_${f}, ${seen}${u})` : `v${u}_${f}`;
        return `sum${g}_${f} = sum${g}_${f} * scale + ${joined(ahead, (u) => `w${u} * ${value(u)}`)};`;
      })
      .join('\n    ')}
    }`,
    )}
  }`;
}

/** The product of head `g` and key `u`, added up over the lanes that share the key: `s{u}`. */
function product({ lanes, fours }: LaneLayout, g: number, u: number): string {
  const steps = Array.from({ length: Math.log2(lanes) }, (_, i) => 2 ** i);
  return `var s${u} = ${fours.map((f) => `dot(q${g}_${f}, k${u}_${f})`).join(' + ')};
    ${steps.map((step) => `s${u} += subgroupShuffleXor(s${u}, ${step}u);`).join(' ')}`;
}

/** The scores of head `g`, by score functions, and whether it sees the keys: `s{u}` and `shown{u}`. */
function scoresBy(functions: FunctionsInKernel, layout: LaneLayout, placeOf: LaneKeys['score'], g: number): string {
  const { score, seen } = scoreIn(functions);
  return lines(
    layout.ahead,
    (u) => `${product(layout, g, u)}
    let place${u} = ${placeOf(u, `min(head_first + ${g}u, head_end - 1u)`)};
    s${u} = ${seenScore(score(`s${u}`, `place${u}`), seen(`seen${u}`, `place${u}`))};
    let shown${u} = ${isSeenScore(`s${u}`)};`,
  );
}

/** The scores of head `g`: `s{u}`. */
function scores({ prelude }: KernelNames, { softcap }: PackedAttributes, layout: LaneLayout, g: number): string {
  return lines(
    layout.ahead,
    (u) => `${product(layout, g, u)}
    ${softcap === undefined ? '' : `s${u} = ${f32(softcap * Math.LOG2E)} * ${prelude.safe_tanh}(s${u} / ${f32(softcap)});`}
    s${u} = select(${lowest}, s${u}, seen${u});`,
  );
}

/** The fours of key `u` that are this lane's, one by one. */
function readFours(
  names: KernelNames,
  attributes: PackedAttributes,
  { D, fours, inside }: LaneLayout,
  name: string,
  u: number,
  buffer: string,
): string {
  const four = (f: number) => loadHead4(headNames(names, attributes, buffer), buffer, `at${u}`, inside(f), D);
  return fours.map((f) => `let ${name}${u}_${f} = ${four(f)};`).join(' ');
}

/** Both at once, of values in f16. */
function readEight({ array }: KernelNames, { D, lanes }: LaneLayout, name: string, u: number, buffer: string): string {
  const last = lanes === D / 8 ? 'lane' : `min(lane, ${D / 8 - 1}u)`;
  const half = (a: string, b: string) =>
    `vec4<f32>(unpack2x16float(${name}${u}.${a}), unpack2x16float(${name}${u}.${b}))`;
  return `let ${name}${u} = ${array[buffer]}[at${u} * ${D / 8}u + ${last}]; let ${name}${u}_0 = ${half('x', 'y')}; let ${name}${u}_1 = ${half('z', 'w')};`;
}
