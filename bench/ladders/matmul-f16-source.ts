/** A variant of the f16 matrix product with f32 accumulation by subgroup matrices. Every size is a parameter. */
export interface MatmulVariant {
  /** Tile of a workgroup. */
  readonly BM: number;
  readonly BN: number;
  readonly BK: number;
  /** Subgroups along M and N. */
  readonly SM: number;
  readonly SN: number;
  /** Halves between rows of a tile in workgroup memory, against bank conflicts; a multiple of 8. */
  readonly pad: number;
  /** Tiles in workgroup memory: 1, or 2 in turns, with one barrier for each; the depth is then a multiple of two tiles. */
  readonly buffers: 1 | 2;
  /**
   * Whether the next tile is read into registers while the present one is used: in a branch, which compilers do not move loads
   * out of, or without one from a place that is held within the matrix.
   */
  readonly prefetch: 'branch' | 'capped' | false;
  /** A as [M, K], or as [K, M] ('TN'); B as [K, N], or as [N, K] ('NT'). */
  readonly layout: 'NN' | 'NT' | 'TN';
  /** Which fragments are held through a step: those of both operands, or of A with one of B at a time. */
  readonly hold: 'both' | 'left';
  /** The adapter's fragment. */
  readonly fragment: { readonly M: number; readonly N: number; readonly K: number };
  readonly subgroupSize: number;
  /** Whether the K loop inside a tile is unrolled in the text. */
  readonly unroll?: boolean;
  /** Workgroups of a band of rows that run one after the other, so that they share columns of B in the cache. */
  readonly band?: number;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** WGSL of C[M,N] f32 = A[M,K] f16 * B f16; M, N, K multiples of the tile. */
export function matmulSource(v: MatmulVariant): string {
  const { BM, BN, BK, SM, SN, pad, fragment: f, layout } = v;
  const threads = SM * SN * v.subgroupSize;
  const [fm, fn, fk] = [BM / SM / f.M, BN / SN / f.N, BK / f.K];
  const [aRows, aWidth] = layout === 'TN' ? [BK, BM] : [BM, BK];
  const aStride = aWidth + pad;
  const [bRows, bWidth] = layout === 'NT' ? [BN, BK] : [BK, BN];
  const bStride = bWidth + pad;
  const [aVectors, bVectors] = [(BM * BK) / 8 / threads, (BN * BK) / 8 / threads];
  if (!Number.isInteger(aVectors) || !Number.isInteger(bVectors)) throw new Error('threads do not divide the tiles');
  const [aTile, bTile] = [(aRows * aStride) / 8, (bRows * bStride) / 8];

  // one vector of eight halves at a time: index -> row and column of the tile
  const at = (width: number, i: number) =>
    `let x = local + ${i * threads}u; let row = x / ${width / 8}u; let col = x % ${width / 8}u;`;
  const readA = (i: number, k: string) =>
    layout === 'TN'
      ? `{ ${at(BM, i)} ra[${i}] = a[((${k}) + row) * (params.M / 8u) + rowA / 8u + col]; }`
      : `{ ${at(BK, i)} ra[${i}] = a[(rowA + row) * (params.K / 8u) + (${k}) / 8u + col]; }`;
  const readB = (i: number, k: string) =>
    layout !== 'NT'
      ? `{ ${at(BN, i)} rb[${i}] = b[((${k}) + row) * (params.N / 8u) + colB / 8u + col]; }`
      : `{ ${at(BK, i)} rb[${i}] = b[(colB + row) * (params.K / 8u) + (${k}) / 8u + col]; }`;
  const writeA = (i: number, tile: string) =>
    `{ ${at(aWidth, i)} ta[${tile} * ${aTile}u + row * ${aStride / 8}u + col] = ra[${i}]; }`;
  const writeB = (i: number, tile: string) =>
    `{ ${at(bWidth, i)} tb[${tile} * ${bTile}u + row * ${bStride / 8}u + col] = rb[${i}]; }`;
  const read = (k: string) =>
    [...range(aVectors).map((i) => readA(i, k)), ...range(bVectors).map((i) => readB(i, k))].join('\n    ');
  const write = (tile: string) =>
    [...range(aVectors).map((i) => writeA(i, tile)), ...range(bVectors).map((i) => writeB(i, tile))].join('\n    ');

  const left = `subgroup_matrix_left<f16, ${f.K}, ${f.M}>`;
  const right = `subgroup_matrix_right<f16, ${f.N}, ${f.K}>`;
  const aOffset = (i: number, k: string) =>
    layout === 'TN' ? `(${k}) * ${aStride}u + warpM + ${i * f.M}u` : `(warpM + ${i * f.M}u) * ${aStride}u + (${k})`;
  const bOffset = (j: number, k: string) =>
    layout === 'NT' ? `(warpN + ${j * f.N}u) * ${bStride}u + (${k})` : `(${k}) * ${bStride}u + warpN + ${j * f.N}u`;
  // offsets and strides count elements of the array: vectors of eight halves
  const loadA = (i: number, tile: string, k: string) =>
    `let a${i} = subgroupMatrixLoad<${left}, ${layout === 'TN' ? 'col_major' : 'row_major'}>(&ta, (${tile} * ${aRows * aStride}u + ${aOffset(i, k)}) / 8u, ${aStride / 8}u);`;
  const loadB = (j: number, tile: string, k: string) =>
    `let b${j} = subgroupMatrixLoad<${right}, ${layout === 'NT' ? 'col_major' : 'row_major'}>(&tb, (${tile} * ${bRows * bStride}u + ${bOffset(j, k)}) / 8u, ${bStride / 8}u);`;
  const multiply = (i: number, j: number) => `c${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, c${i}_${j});`;
  const step = (tile: string, k: string) =>
    v.hold === 'both'
      ? [
          ...range(fm).map((i) => loadA(i, tile, k)),
          ...range(fn).map((j) => loadB(j, tile, k)),
          ...range(fm).flatMap((i) => range(fn).map((j) => multiply(i, j))),
        ].join('\n      ')
      : [
          ...range(fm).map((i) => loadA(i, tile, k)),
          ...range(fn).flatMap((j) => [loadB(j, tile, k), ...range(fm).map((i) => multiply(i, j))]),
        ].join('\n      ');
  const compute = (tile: string) =>
    v.unroll
      ? range(fk)
          .map((k) => `{${step(tile, `${k * f.K}u`)}\n    }`)
          .join('\n    ')
      : `for (var k = 0u; k < ${BK}u; k += ${f.K}u) {${step(tile, 'k')}\n    }`;

  const loop =
    v.buffers === 2
      ? `
    ${read('0u')}
    for (var kt = 0u; kt < params.K; kt += ${2 * BK}u) {
      ${write('0u')}
      workgroupBarrier();
      ${read(`kt + ${BK}u`)}
      ${compute('0u')}
      ${write('1u')}
      workgroupBarrier();
      if (kt + ${2 * BK}u < params.K) { ${read(`kt + ${2 * BK}u`)} }
      ${compute('1u')}
    }`
      : v.prefetch
        ? `
    ${read('0u')}
    for (var kt = 0u; kt < params.K; kt += ${BK}u) {
      ${write('0u')}
      workgroupBarrier();
      ${v.prefetch === 'branch' ? `if (kt + ${BK}u < params.K) { ${read(`kt + ${BK}u`)} }` : read(`min(kt + ${BK}u, params.K - ${BK}u)`)}
      ${compute('0u')}
      workgroupBarrier();
    }`
        : `
    for (var kt = 0u; kt < params.K; kt += ${BK}u) {
      ${read('kt')}
      ${write('0u')}
      workgroupBarrier();
      ${compute('0u')}
      workgroupBarrier();
    }`;
  const band = v.band ?? 0;
  const place = band
    ? `let tilesM = params.M / ${BM}u; let tilesN = params.N / ${BN}u; let flat = w.y * n.x + w.x;
    let first = flat / (${band}u * tilesN) * ${band}u; let rows = min(${band}u, tilesM - first); let inside = flat % (${band}u * tilesN);
    let rowA = (first + inside % rows) * ${BM}u; let colB = inside / rows * ${BN}u;`
    : `let rowA = w.y * ${BM}u; let colB = w.x * ${BN}u;`;

  return `enable f16; enable subgroups; enable chromium_experimental_subgroup_matrix;
struct Params { M: u32, N: u32, K: u32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;
var<workgroup> ta: array<vec4<u32>, ${aTile * v.buffers}>;
var<workgroup> tb: array<vec4<u32>, ${bTile * v.buffers}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32) {
    let warpM = subgroup / ${SN}u * ${BM / SM}u; let warpN = subgroup % ${SN}u * ${BN / SN}u;
    ${place}
    var ra: array<vec4<u32>, ${aVectors}>; var rb: array<vec4<u32>, ${bVectors}>;
    ${range(fm)
      .flatMap((i) => range(fn).map((j) => `var c${i}_${j}: subgroup_matrix_result<f32, ${f.N}, ${f.M}>;`))
      .join('\n    ')}
    ${loop}
    ${range(fm)
      .flatMap((i) =>
        range(fn).map(
          (j) =>
            `subgroupMatrixStore<row_major>(&c, (rowA + warpM + ${i * f.M}u) * params.N + colB + warpN + ${j * f.N}u, c${i}_${j}, params.N);`,
        ),
      )
      .join('\n    ')}
}`;
}
