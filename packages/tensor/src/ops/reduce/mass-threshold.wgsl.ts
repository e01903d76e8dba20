import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { KernelNames, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import { type RowReduction, reduceRow, teamReductions } from '../rows/row-team.wgsl.ts';

/** Passes after which an interval of values is down to one: each second one leaves a quarter of the bit patterns at most. */
const maxPasses = 34;
/** Values of an interval that are few enough to be weighed against each other in the memory of a workgroup: a power of two. */
const fewValues = 512;

/** Floats in the order of their values as u32 and back, the next float below, and what stands for zeros and subnormals. */
const helpers = ({ own }: KernelNames) => `fn ${own.key}(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  return bits ^ select(0x80000000u, 0xffffffffu, bits > 0x7fffffffu);
}
fn ${own.value}(key: u32) -> f32 {
  let x = bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, key > 0x7fffffffu));
  return select(x, 0.0, abs(x) < 1.17549435e-38);
}
fn ${own.below}(x: f32) -> f32 {
  return select(${own.value}(${own.key}(x) - 1u), -1.17549435e-38, x == 0.0);
}
// above low, at most high
fn ${own.point}(low: f32, high: f32, turn: u32, j: u32) -> f32 {
  if ((turn & 1u) == 1u && abs(low) < 1e38 && abs(high) < 1e38) {
    let p = low + (high - low) * (0.25 * f32(j));
    if (p > low && p <= high && abs(p) >= 1.17549435e-38) { return p; }
  }
  let first = ${own.key}(low);
  let span = ${own.key}(high) - first;
  let p = ${own.value}(first + max(1u, (span / 4u) * j + ((span % 4u) * j) / 4u));
  return select(high, p, p > low && p <= high);
}`;

/**
 * One workgroup a row. The answer lies in an interval of values, at first all of them. Each pass weighs what lies above three
 * points in it, takes the quarter that has the answer, and shrinks it to values that are there; points are even steps of values
 * in one pass and of bit patterns in the next, so that it ends soon for logits and always. Rows stay in the cache of the GPU;
 * weights are read only inside of the interval. Where few values are left, they are gathered, in the order of the invocations that
 * have them, and each is weighed with those above it.
 */
export const massThresholdWebGpu: WebGpuLowering<null> = {
  kernels({ inputs: [x], capabilities }) {
    const { shape } = x!;
    const width = shape.at(-1)!;
    const rows = sizeOf(shape.slice(0, -1));
    const inFours = typeof width === 'number' && width % 4 === 0;
    const steps = typeof width === 'number' ? Math.max(32, width / 4) : 1024;
    // 16 bytes of each lane for the reductions, 8 for each of the few values
    const spared = (capabilities.maxWorkgroupStorageBytes - 8 * fewValues - 16) / 16;
    const lanes =
      2 ** Math.floor(Math.log2(Math.min(1024, spared, capabilities.maxInvocations, 2 ** Math.ceil(Math.log2(steps)))));
    const reductions: RowReduction[] = ['row_sum', 'row_sum2', 'row_max'];
    const { functions, workgroup, ...team } = teamReductions(reductions, lanes, capabilities);
    return [
      {
        label: 'massThreshold',
        buffers: [
          { name: 'x', input: 0, vector: inFours ? 4 : 1 },
          { name: 'weights', input: 1, vector: inFours ? 4 : 1 },
          { name: 'mass', input: 2 },
          { name: 'y', output: 0, epilogue: true },
        ],
        parameters: { rows, width },
        threads: lanes,
        ...team,
        workgroup: {
          ...workgroup,
          state: { type: 'u32', length: 1 },
          few: { type: 'vec2<f32>', length: fewValues },
        },
        write: (names) => {
          const { at, at4, set, size, own, shared } = names;
          const reduce = (name: RowReduction, value: string) => reduceRow(name, value, names, capabilities);
          const read = (name: 'x' | 'weights') =>
            inFours
              ? `${at4[name]}(row * (${size.width} / 4u) + i)`
              : `vec4<f32>(${at[name]}(row * ${size.width} + i)${name === 'x' ? '' : ', 0.0, 0.0, 0.0'})`;
          const end = inFours ? `${size.width} / 4u` : size.width;
          const most = (v: string) => `max(max(${v}.x, ${v}.y), max(${v}.z, ${v}.w))`;
          const places = shared.row_sum_parts;
          const loadInside = `let raw = ${read('x')};
      let v = select(raw, vec4<f32>(), abs(raw) < vec4<f32>(1.17549435e-38));
      let inside = (v >= vec4<f32>(low)) & (v <= vec4<f32>(high))${inFours ? '' : ' & vec4<bool>(true, false, false, false)'};`;
          return {
            functions: `${helpers(names)}\n${functions(names)}`,
            main: `  let row = (w.z * n.y + w.y) * n.x + w.x;
  if (row >= ${size.rows}) { return; }
  let wanted = ${at.mass}(row);
  // closed interval; what lies above it weighs too little
  let lowest = ${own.value}(0x007fffffu);
  var low = lowest;
  var high = ${own.value}(0xff800000u);
  var above = 0.0;
  // 0: the interval is to be narrowed, 1: it is one value, 2: it has few
  var reached = 0u;
  var own = 0.0;
  for (var turn = 0u; turn < ${maxPasses}u; turn++) {
    let points = vec3<f32>(${own.point}(low, high, turn, 1u), ${own.point}(low, high, turn, 2u), ${own.point}(low, high, turn, 3u));
    var weigh = vec3<f32>();
    var largest = lowest;
    var least = lowest;
    own = 0.0;
    for (var i = l; i < ${end}; i += ${lanes}u) {
      ${loadInside}
      if (any(inside)) {
        own += dot(select(vec4<f32>(), vec4<f32>(1.0), inside), vec4<f32>(1.0));
        let heavy = select(vec4<f32>(), ${read('weights')}, inside);
        weigh += vec3<f32>(
          dot(heavy, select(vec4<f32>(), vec4<f32>(1.0), v >= vec4<f32>(points.x))),
          dot(heavy, select(vec4<f32>(), vec4<f32>(1.0), v >= vec4<f32>(points.y))),
          dot(heavy, select(vec4<f32>(), vec4<f32>(1.0), v >= vec4<f32>(points.z))));
        let kept = select(vec4<f32>(lowest), v, inside);
        let turned = select(vec4<f32>(lowest), -v, inside);
        largest = max(largest, ${most('kept')});
        least = max(least, ${most('turned')});
      }
    }
    let pair = ${reduce('row_sum2', 'weigh.xy')} + vec2<f32>(above);
    let last = ${reduce('row_sum', 'weigh.z')} + above;
    let count = ${reduce('row_sum', 'own')};
    let most = ${reduce('row_max', 'largest')};
    let fewest = -${reduce('row_max', 'least')};
    if (l == 0u) {
      ${shared.state}[0] = select(select(0u, 2u, count <= ${fewValues}.0), 1u, !(fewest < most));
    }
    reached = workgroupUniformLoad(&${shared.state}[0]);
    if (reached != 0u) {
      low = fewest;
      high = most;
      break;
    }
    if (turn == 0u) {
      low = fewest;
      high = most;
      continue;
    }
    if (last >= wanted) { low = points.z; }
    else if (pair.y >= wanted) { low = points.y; high = ${own.below}(points.z); above = last; }
    else if (pair.x >= wanted) { low = points.x; high = ${own.below}(points.y); above = pair.y; }
    else { high = ${own.below}(points.x); above = pair.x; }
    low = max(low, fewest);
    high = min(high, most);
  }
  if (reached == 2u) {
    workgroupBarrier();
    ${places}[l] = own;
    for (var reach = 1u; reach < ${lanes}u; reach *= 2u) {
      workgroupBarrier();
      var before = 0.0;
      if (l >= reach) { before = ${places}[l - reach]; }
      workgroupBarrier();
      ${places}[l] += before;
    }
    workgroupBarrier();
    let total = u32(${places}[${lanes - 1}u]);
    var place = u32(${places}[l] - own);
    for (var i = l; i < ${end}; i += ${lanes}u) {
      ${loadInside}
      if (any(inside)) {
        let heavy = ${read('weights')};
        for (var j = 0u; j < 4u; j++) {
          if (inside[j]) {
            ${shared.few}[place] = vec2<f32>(v[j], heavy[j]);
            place++;
          }
        }
      }
    }
    workgroupBarrier();
    var best = low;
    for (var i = l; i < total; i += ${lanes}u) {
      let value = ${shared.few}[i].x;
      var weight = above;
      for (var j = 0u; j < total; j++) {
        let other = ${shared.few}[j];
        if (other.x >= value) { weight += other.y; }
      }
      if (weight >= wanted) { best = max(best, value); }
    }
    high = ${reduce('row_max', 'best')};
  }
  if (l == 0u) { ${set.y}(row, high); }`,
          };
        },
        workgroups: (size) => spreadWorkgroups(size(rows)),
      },
    ];
  },
};
