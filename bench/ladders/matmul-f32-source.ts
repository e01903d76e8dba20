/** A variant of the f32 matrix product by tiles in workgroup memory and blocks in registers. Every size is a parameter. */
export interface F32MatmulVariant {
  /** Tile of a workgroup, and how much of the depth at a time. */
  readonly BM: number;
  readonly BN: number;
  readonly BK: number;
  /** Fours of rows and of columns that an invocation computes. */
  readonly TM: number;
  readonly TN: number;
  /** Invocations of a subgroup's block, along rows and columns (their product is 32); undefined: one after the other along a row. */
  readonly lanes?: readonly [down: number, across: number] | undefined;
  /** Tiles in workgroup memory: 1 with two barriers for each, or 2 in turns with one. */
  readonly buffers: 1 | 2;
  /** How the next tile is read ahead: within a branch, or from a place that is held within the matrix. */
  readonly prefetch: 'branch' | 'capped';
  /** Steps of the depth within a tile that stand in the text; a loop goes over the rest. */
  readonly unroll: number;
  /** Whether the operands of a step are read from workgroup memory before the products of the step before it. */
  readonly ahead: boolean;
  /** A as [M, K], or as [K, M] ('TN'); B as [K, N], or as [N, K] ('NT'). */
  readonly layout: 'NN' | 'NT' | 'TN';
  /** Workgroups of a band of rows that run one after the other. */
  readonly band: number;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** WGSL of C[M,N] = A[M,K] * B, all f32; M, N, K multiples of the tile. */
export function f32MatmulSource(v: F32MatmulVariant): string {
  const { BM, BN, BK, TM, TN, layout } = v;
  const [rows, columns] = [BM / (4 * TM), BN / (4 * TN)];
  const threads = rows * columns;
  const [pitchA, pitchB] = [BM / 4 + 1, BN / 4 + 1];
  const depth = v.ahead && v.unroll < BK ? BK + 1 : BK;
  const [sizeA, sizeB] = [pitchA * depth, pitchB * depth];
  const [loadsA, loadsB] = [(BM * BK) / 4 / threads, (BN * BK) / 4 / threads];
  if (!Number.isInteger(loadsA) || !Number.isInteger(loadsB)) throw new Error('threads do not divide the tiles');
  const of = {
    a: {
      lines: BM,
      line: 'row0',
      loads: loadsA,
      pitch: pitchA,
      size: sizeA,
      inner: layout !== 'TN',
      across: 'params.M',
    },
    b: {
      lines: BN,
      line: 'column0',
      loads: loadsB,
      pitch: pitchB,
      size: sizeB,
      inner: layout === 'NT',
      across: 'params.N',
    },
  };
  const read = (name: 'a' | 'b', k: string) => {
    const { lines, line, loads, inner, across } = of[name];
    return range(loads).map((i) => {
      const x = `(l + ${i * threads}u)`;
      return inner
        ? `r${name}${i} = ${name}[((${line} + ${x} / ${BK / 4}u) * params.K + ${k}) / 4u + ${x} % ${BK / 4}u];`
        : `r${name}${i} = ${name}[((${k} + ${x} / ${lines / 4}u) * ${across} + ${line}) / 4u + ${x} % ${lines / 4}u];`;
    });
  };
  const write = (name: 'a' | 'b', tile: string) => {
    const { lines, loads, pitch, size, inner } = of[name];
    return range(loads).flatMap((i) => {
      const x = `(l + ${i * threads}u)`;
      if (!inner)
        return [
          `t${name}[${tile} * ${size}u + ${x} / ${lines / 4}u * ${pitch}u + ${x} % ${lines / 4}u] = r${name}${i};`,
        ];
      const at = `${x} / ${BK / 4}u`;
      return range(4).map(
        (j) =>
          `t${name}[${tile} * ${size}u + (${x} % ${BK / 4}u * 4u + ${j}u) * ${pitch}u + ${at} / 4u][${at} % 4u] = r${name}${i}[${j}];`,
      );
    });
  };
  // fours of an invocation: within its subgroup's block those of neighbours lie side by side
  const [down, across] = v.lanes ?? [1, columns];
  const [warpsDown, warpsAcross] = v.lanes ? [rows / down, columns / across] : [rows, 1];
  if (!Number.isInteger(warpsDown) || !Number.isInteger(warpsAcross)) throw new Error('lanes do not divide the tile');
  const placeA = (i: number) => (v.lanes ? `rowFour + ${i * down}u` : `rowFour + ${i * rows}u`);
  const placeB = (j: number) => (v.lanes ? `columnFour + ${j * across}u` : `columnFour + ${j * columns}u`);
  const places = v.lanes
    ? `let warp = l / 32u; let lane = l % 32u;
  let rowFour = warp / ${warpsAcross}u * ${down * TM}u + lane / ${across}u;
  let columnFour = warp % ${warpsAcross}u * ${across * TN}u + lane % ${across}u;`
    : `let rowFour = l / ${columns}u;
  let columnFour = l % ${columns}u;`;
  const operands = (p: string, tile: string, set: string) => [
    ...range(TM).map((i) => `x${set}${i} = ta[${tile} * ${sizeA}u + (${p}) * ${pitchA}u + ${placeA(i)}];`),
    ...range(TN).map((j) => `z${set}${j} = tb[${tile} * ${sizeB}u + (${p}) * ${pitchB}u + ${placeB(j)}];`),
  ];
  const products = (set: string) =>
    range(4 * TM).flatMap((i) =>
      range(TN).map(
        (j) => `s${i}_${j} = fma(vec4<f32>(x${set}${Math.floor(i / 4)}[${i % 4}]), z${set}${j}, s${i}_${j});`,
      ),
    );
  const names = (set: string) => [
    ...range(TM).map((i) => `var x${set}${i}: vec4<f32>;`),
    ...range(TN).map((j) => `var z${set}${j}: vec4<f32>;`),
  ];
  // read ahead, the last step reads a row behind the tile, whose values nobody uses
  const at = (p: string, i: number) => (v.unroll === BK ? `${i}u` : `${p} + ${i}u`);
  const loop = (body: readonly string[]) =>
    v.unroll === BK ? body : [`for (var p = 0u; p < ${BK}u; p += ${v.unroll}u) {`, ...body, '}'];
  const step = (tile: string) => {
    if (!v.ahead)
      return [
        ...names(''),
        ...loop(range(v.unroll).flatMap((i) => [...operands(at('p', i), tile, ''), ...products('')])),
      ];
    return [
      ...names('0_'),
      ...names('1_'),
      ...operands('0u', tile, '0_'),
      ...loop(
        range(v.unroll).flatMap((i) => [
          ...(v.unroll === BK && i + 1 === BK ? [] : operands(at('p', i + 1), tile, `${(i + 1) % 2}_`)),
          ...products(`${i % 2}_`),
        ]),
      ),
    ];
  };
  const ahead = (k: string) => {
    const reads = (at: string) => [...read('a', at), ...read('b', at)].join('\n    ');
    return v.prefetch === 'branch'
      ? `if (${k} < params.K) {\n    ${reads(k)}\n    }`
      : `{ let held = min(${k}, params.K - ${BK}u);\n    ${reads('held')}\n    }`;
  };
  const writes = (tile: string) => [...write('a', tile), ...write('b', tile)].join('\n    ');
  const body =
    v.buffers === 1
      ? `for (var k = 0u; k < params.K; k += ${BK}u) {
    workgroupBarrier();
    ${writes('0u')}
    workgroupBarrier();
    ${ahead(`(k + ${BK}u)`)}
    ${step('0u').join('\n    ')}
  }`
      : `${writes('0u')}
  workgroupBarrier();
  var tile = 0u;
  for (var k = 0u; k < params.K; k += ${BK}u) {
    ${ahead(`(k + ${BK}u)`)}
    ${step('tile').join('\n    ')}
    tile = 1u - tile;
    ${writes('tile')}
    workgroupBarrier();
  }`;
  const group =
    v.band > 0
      ? `let flat = w.y * n.x + w.x; let inBand = ${v.band}u * n.x;
  let wy = flat / inBand * ${v.band}u + flat % ${v.band}u; let wx = flat % inBand / ${v.band}u;`
      : 'let wy = w.y; let wx = w.x;';
  return `struct Params { M: u32, N: u32, K: u32, none: u32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> params: Params;
var<workgroup> ta: array<vec4<f32>, ${sizeA * v.buffers}>;
var<workgroup> tb: array<vec4<f32>, ${sizeB * v.buffers}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  ${group}
  let row0 = wy * ${BM}u; let column0 = wx * ${BN}u;
  ${places}
  ${range(4 * TM)
    .flatMap((i) => range(TN).map((j) => `var s${i}_${j} = vec4<f32>();`))
    .join(' ')}
  ${range(loadsA)
    .map((i) => `var ra${i}: vec4<f32>;`)
    .join(' ')} ${range(loadsB)
    .map((i) => `var rb${i}: vec4<f32>;`)
    .join(' ')}
  { ${[...read('a', '0u'), ...read('b', '0u')].join('\n    ')} }
  ${body}
  ${range(4 * TM)
    .flatMap((i) =>
      range(TN).map(
        (j) =>
          `c[(row0 + 4u * (${placeA(Math.floor(i / 4))}) + ${i % 4}u) * (params.N / 4u) + column0 / 4u + ${placeB(j)}] = s${i}_${j};`,
      ),
    )
    .join('\n  ')}
}
`;
}
