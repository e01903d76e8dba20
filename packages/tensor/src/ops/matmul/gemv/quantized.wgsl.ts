import { type Dim, multiplyDims } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { type MatmulSpec, productFlops, storeFunction } from '../spec.ts';
import type { WeightCodec } from './dequant.ts';
import { type GemvFusions, gemvLabel } from './fusions.ts';
import { gatedBuffers } from './gated-pair.ts';
import { leftBuffers, normFactor, squaresOf } from './rms-norm-prologue.ts';
import { teamSum } from './rows.wgsl.ts';

/** How the work of a product of few rows is shared out. */
export interface QuantizedGemvShape {
  /** Columns of the result that a team computes: `x` is loaded once for all of them. */
  readonly columns: 4 | 8;
  /** Invocations of a team, which share the chunks of its columns. */
  readonly lanes: number;
  /** Teams of a workgroup; several only where a team is a subgroup. */
  readonly teams: number;
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/**
 * A few rows of `a` times the transpose of storage-only weights `[n, k]`, without dequantising first: each word is read once.
 * `rows` is how many rows of `a` there may be; one where it computes more than the product.
 * What was tried and measured is in `bench/ladders/gemv.ts`.
 */
export function quantizedGemv(
  spec: MatmulSpec,
  codec: WeightCodec,
  rows: number,
  shape: QuantizedGemvShape,
  capabilities: WebGpuCapabilities,
  { norm, gated }: Partial<GemvFusions> = {},
): KernelCall {
  const { m, k, n } = spec;
  const { columns, lanes, teams } = shape;
  // columns that a team goes along: those of a gated come behind the product's own
  const width = gated ? 2 * columns : columns;
  const parameters: Record<string, Dim> = { m, k, n };
  const threads = lanes * teams;
  const isSubgroup = capabilities.subgroupId && lanes === subgroupSize(capabilities);
  const beyond = (slot: number) => (slot & 3) + (slot >> 2) * codec.stride;
  const each = <T>(list: readonly T[], line: (item: T) => string | readonly string[]) => list.flatMap(line);
  const all = range(rows).flatMap((r) => range(width).map((c) => ({ r, c, at: r * width + c })));
  const quads = range(rows).flatMap((r) => range(columns / 4).map((q) => ({ r, q })));
  const team = isSubgroup ? undefined : teamSum(lanes, rows * width + (norm ? 1 : 0), capabilities);
  const builtins = team?.builtins ?? {
    w: 'workgroup_id',
    n: 'num_workgroups',
    l: 'local_invocation_index',
    team: 'subgroup_id',
    lane: 'subgroup_invocation_id',
  };
  return {
    label: gemvLabel('matmul.quantized', { norm, gated }),
    ...(gated && { also: gated.result }),
    flops: gated ? multiplyDims(productFlops(spec), 2) : productFlops(spec),
    buffers: [
      ...leftBuffers(spec.a, norm),
      { name: 'b', ...spec.b.source, vector: 8 },
      ...gatedBuffers(gated, 8),
      { name: 'y', output: 0, epilogue: true, vector: spec.store === 4 ? 4 : 1 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    requires: [...(capabilities.subgroupId ? ['subgroups'] : []), ...(codec.half ? ['f16'] : [])],
    threads,
    builtins,
    workgroup: team?.workgroup ?? {},
    write: (names) => {
      const { at4, array, size, own } = names;
      const xAt = (r: number, slot: number) =>
        `${at4.a}(min(${r}u, last_row) * ${size.k} / 4u + first + ${beyond(slot)}u)`;
      const load = (r: number, slot: number) =>
        norm
          ? `let row = ${xAt(r, slot)}; squares += ${squaresOf(norm, 'row', names)}; let x${r} = row * ${at4.gain}(first + ${beyond(slot)}u);`
          : `let x${r} = ${xAt(r, slot)};`;
      const work = each(codec.groups, ({ slots: own, scale, shift }) => {
        const into = scale ? 'part' : 'sum';
        return [
          '{',
          ...(scale ? all.map(({ at }) => `var part${at} = 0.0;`) : []),
          ...(shift ? range(rows).map((r) => `var total${r} = 0.0;`) : []),
          ...each(own, (slot) => [
            '{',
            ...range(rows).map((r) => load(r, slot)),
            ...(shift ? range(rows).map((r) => `total${r} += x${r}.x + x${r}.y + x${r}.z + x${r}.w;`) : []),
            ...each(range(width), (c) => [
              `let v${c} = ${codec.raw(c, slot, names)};`,
              ...range(rows).map((r) => `${into}${r * width + c} += dot(x${r}, v${c});`),
            ]),
            '}',
          ]),
          ...(scale
            ? each(range(width), (c) => [
                `let scale${c} = ${scale(c)};`,
                ...(shift ? [`let shift${c} = ${shift(c)};`] : []),
                ...range(rows).map((r) => {
                  const at = r * width + c;
                  return `sum${at} += scale${c} * part${at}${shift ? ` + shift${c} * total${r}` : ''};`;
                }),
              ])
            : []),
          '}',
        ];
      });
      const pieces = `${size.k} / ${codec.values}u`;
      const loop = [
        `for (var p = lane; p < pieces; p += ${lanes}u) {`,
        `  let first = ${codec.first};`,
        ...range(width).flatMap((c) =>
          codec.load(c, `row${c % columns}`, (c < columns ? array.b : array.other)!, names),
        ),
        ...work,
        '}',
      ];
      const totals = (plus: number) => `vec4<f32>(${range(4).map((j) => `${own.total}(f + ${plus + j}u)`)})`;
      const out = isSubgroup
        ? [
            ...(norm ? [`let factor = ${normFactor(norm, 'subgroupAdd(squares)', names)};`] : []),
            ...all.map(({ at }) => `let y${at} = subgroupAdd(sum${at})${norm ? ' * factor' : ''};`),
            ...quads.map(({ r, q }, i) => {
              const four = (first: number) => `vec4<f32>(${range(4).map((j) => `y${first + 4 * q + j}`)})`;
              const also = gated ? `, ${four(columns)}` : '';
              // small subgroups have fewer lanes than there are fours
              return `if (lane == ${i % lanes}u && ${r}u < ${size.m} && column < ${size.n}) { ${own.store}(${r}u * ${size.n} + column + ${4 * q}u, column + ${4 * q}u, ${four(r * width)}${also}); }`;
            }),
          ]
        : [
            `var sums = array(${[...all.map(({ at }) => `sum${at}`), ...(norm ? ['squares'] : [])].join(', ')});`,
            team!.combine(names),
            `let factor = ${norm ? normFactor(norm, `${own.total}(${rows * width}u)`, names) : '1.0'};`,
            `if (l < ${quads.length}u) {`,
            `  let r = l / ${columns / 4}u;`,
            `  let at = column + l % ${columns / 4}u * 4u;`,
            `  let f = r * ${width}u + l % ${columns / 4}u * 4u;`,
            `  if (r < ${size.m} && at < ${size.n}) {`,
            `    ${own.store}(r * ${size.n} + at, at, factor * ${totals(0)}${gated ? `, factor * ${totals(columns)}` : ''});`,
            '  }',
            '}',
          ];
      const functions = [
        ...(team ? [team.functions(names)] : []),
        codec.functions(names),
        storeFunction(spec, names, gated !== undefined),
      ].join('\n');
      const main = `  let group = (w.z * n.y + w.y) * n.x + w.x;
  if (group * ${columns * teams}u >= ${size.n}) { return; }
  ${isSubgroup ? '' : 'let lane = l;'}
  let column = ${isSubgroup ? `(group * ${teams}u + team)` : 'group'} * ${columns}u;
  let last_row = ${size.m} - 1u;
  let pieces = ${pieces};
${range(columns)
  .map((c) => `  let row${c} = min(column + ${c}u, ${size.n} - 1u) * ${size.k};`)
  .join('\n')}
${all.map(({ at }) => `  var sum${at} = 0.0;`).join('\n')}
${norm ? '  var squares = 0.0;' : ''}
${loop.map((line) => `  ${line}`).join('\n')}
${out.map((line) => `  ${line}`).join('\n')}`;
      return { functions, main };
    },
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(n) / (columns * teams))),
  };
}

/** Invocations of every subgroup; undefined where they differ. */
export function subgroupSize({ subgroupMinSize, subgroupMaxSize }: WebGpuCapabilities): number | undefined {
  return subgroupMinSize === subgroupMaxSize ? subgroupMinSize : undefined;
}
