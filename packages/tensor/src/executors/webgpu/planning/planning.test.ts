import { describe, expect, test } from 'vitest';
import { createDevice } from '../../../create-device.ts';
import { symbolicDim } from '../../../dim.ts';
import { buildGraph } from '../../../graph/build.ts';
import type { Executor, Storage } from '../../../graph/executor.ts';
import { inputOp } from '../../../graph/op.ts';
import { recordOn } from '../../../graph/record.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { type Update, Variable } from '../../../graph/variable.ts';
import type { WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { silu } from '../../../ops/elementwise/activation.ts';
import { matmul } from '../../../ops/matmul/matmul.ts';
import { concat } from '../../../ops/movement/concat.ts';
import type { ConcreteType, Shape } from '../../../shape.ts';
import type { Step } from '../values.ts';
import { boundOf, bucketOf } from './buckets.ts';
import { Fusion } from './fusion.ts';
import { KnownKernels } from './known-kernels.ts';
import { planMemory } from './memory-plan.ts';
import { RunSizes } from './run-sizes.ts';
import { stepsOf } from './steps.ts';
import { KernelSchedule } from './units.ts';

const capabilities: WebGpuCapabilities = {
  shaderF16: true,
  subgroups: false,
  subgroupId: false,
  subgroupMinSize: 4,
  subgroupMaxSize: 128,
  subgroupMatrices: [],
  maxWorkgroupStorageBytes: 16_384,
  maxInvocations: 256,
  maxStorageBuffers: 8,
  maxBindingBytes: 2 ** 27,
};

/** Records for WebGPU without a GPU: nothing is run. */
const recorder: Partial<Executor> = {
  name: 'webgpu',
  compile: () => Promise.reject(new Error('nothing is run')),
  lowers: ({ op, inputs }) => op.lower?.webgpu !== undefined && inputs.length < 8,
};
const device = createDevice(recorder as Executor);
const placeholder = (name: string, shape: Shape, dtype: 'f32' | 'f16' = 'f32') =>
  recordOn(device, inputOp, [], { name, shape, dtype })[0]!;
const variable = (name: string, type: ConcreteType) => new Variable(device, name, type, { type } as Storage, false);

function plan(inputs: readonly Tensor[], outputs: readonly Tensor[], updates: readonly Update[] = [], fuse = true) {
  const { graph } = buildGraph(device.executor, { inputs, outputs, updates }, 'constants');
  const most = Object.fromEntries(graph.symbols.map(({ name, bound }) => [name, bound]));
  const bucket = bucketOf(graph.symbols, most);
  const bound = (dim: Parameters<typeof boundOf>[0]) => boundOf(dim, bucket);
  const schedule = new KernelSchedule(graph, new Fusion(graph, { fuse, maxStorageBuffers: 8, bindingsOf: () => 1 }), {
    capabilities,
    bound,
  });
  return { steps: stepsOf(schedule, { capabilities, bound, fuse }, new KnownKernels()), graph };
}

const labels = (steps: readonly Step[]) => steps.map(({ label }) => label);
const T = symbolicDim('T', 64);

describe('fusion', () => {
  test('a chain of elementwise operations is one kernel without a division', () => {
    const [x, y] = [placeholder('x', [T, 16]), placeholder('y', [T, 16])];
    const { steps } = plan([x, y], [silu(x.add(y)).mul(2).sub(y)]);
    expect(labels(steps)).toEqual(['sub']);
    expect(steps[0]!.source).toMatchInlineSnapshot(`
      "struct Params { count: u32 }
      @group(0) @binding(0) var<storage, read_write> b0: array<vec4<f32>>;
      @group(0) @binding(1) var<storage, read> b1: array<vec4<f32>>;
      @group(0) @binding(2) var<storage, read> b2: array<vec4<f32>>;
      @group(0) @binding(3) var<uniform> params: Params;
      fn b0_set4(i: u32, v: vec4<f32>) { b0[i] = v; }
      fn b1_at4(i: u32) -> vec4<f32> { return b1[i]; }
      fn b2_at4(i: u32) -> vec4<f32> { return b2[i]; }
      fn is_nan(x: f32) -> bool {
        return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
      }
      fn safe_max(a: f32, b: f32) -> f32 {
        return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
      }
      fn safe_exp(x: f32) -> f32 {
        return select(exp(x), x, is_nan(x));
      }
      fn element(base: u32, lane: u32, v_b1: f32, v_b2: f32) -> f32 {
        let i = base + lane;
        let t0 = (v_b1 + v_b2);
        let t1 = f32(-1000.0);
        let t2 = safe_max(t0, t1);
        let t3 = (1.0 / (1.0 + safe_exp(-t2)));
        let t4 = (t2 * t3);
        let t5 = f32(2.0);
        let t6 = (t4 * t5);
        let t7 = (t6 - v_b2);
        return t7;
      }
      @compute @workgroup_size(64)
      fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
        let k = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
        let base = k * 4u;
        if (base >= params.count) { return; }
        let b1_4 = b1_at4(k);
        let b2_4 = b2_at4(k);
        let e0 = element(base, 0u, b1_4[0], b2_4[0]);
        let e1 = element(base, 1u, b1_4[1], b2_4[1]);
        let e2 = element(base, 2u, b1_4[2], b2_4[2]);
        let e3 = element(base, 3u, b1_4[3], b2_4[3]);
        b0_set4(k, vec4<f32>(e0, e1, e2, e3));
      }"
    `);
  });

  test('kernels that differ in sizes alone have one text', () => {
    const text = (rows: number, width: number) => {
      const [x, bias] = [placeholder('x', [rows, width]), placeholder('bias', [width])];
      return plan([x, bias], [x.add(bias)]).steps[0]!.source;
    };
    expect(text(3, 64)).toBe(text(300, 128));
    // but one and many, and fours and not, are structure
    expect(text(1, 64)).not.toBe(text(3, 64));
    expect(text(3, 63)).not.toBe(text(3, 64));
  });

  test('coordinates are divided out only along the axes that something asks for', () => {
    const [x, bias] = [placeholder('x', [4, T, 16]), placeholder('bias', [16])];
    const { source } = plan([x, bias], [x.add(bias)]).steps[0]!;
    expect(source.match(/[/%] params/g)).toHaveLength(1);
  });

  test('a reduction computes its input and what follows', () => {
    const x = placeholder('x', [T, 16]);
    const { steps } = plan([x], [x.mul(x).mean(-1).add(1e-6).rsqrt()]);
    expect(labels(steps)).toEqual(['sum+rsqrt']);
    expect(steps[0]!.bindings).toHaveLength(2);
  });

  test('a product takes bias, activation and residual', () => {
    const [x, w, b, r] = [
      placeholder('x', [T, 16]),
      placeholder('w', [32, 16]),
      placeholder('b', [32]),
      placeholder('r', [T, 32]),
    ];
    const { steps } = plan([x, w, b, r], [silu(matmul(x, w, { transposeB: true }).add(b)).add(r)]);
    expect(steps).toHaveLength(1);
    expect(steps[0]!.label).toMatch(/^matmul.*\+add$/);
    expect(steps[0]!.bindings).toHaveLength(5);
  });

  test('what two kernels need is stored where computing it twice would cost more', () => {
    const x = placeholder('x', [T, 16]);
    const cheap = x.exp();
    expect(labels(plan([x], [cheap.sum(0), cheap.sum(1)]).steps)).toEqual(['sum', 'sum']);
    const costly = x.exp().sin().cos().tanh().mul(x);
    expect(labels(plan([x], [costly.sum(0), costly.sum(1)]).steps)).toEqual(['mul', 'sum', 'sum']);
  });

  test('a reshape shares the buffer of what it reshapes', () => {
    const [x, w] = [placeholder('x', [T, 16]), placeholder('w', [16, 16])];
    const h = matmul(x, w).reshape([T, 4, 4]);
    const { steps } = plan([x, w], [matmul(h, h, { transposeB: true })]);
    expect(steps).toHaveLength(2);
    expect(steps[1]!.bindings[0]!.value).toBe(steps[0]!.bindings[2]!.value);
  });

  test('no kernel binds more buffers than a device allows', () => {
    const inputs = Array.from({ length: 30 }, (_, i) => placeholder(`x${i}`, [T, 16]));
    const sum = inputs.reduce((a, b) => a.add(b));
    for (const outputs of [[sum], [concat(inputs, 0).mul(2)], [sum.sum(0)]]) {
      const { steps } = plan(inputs, outputs);
      expect(Math.max(...steps.map(({ bindings }) => bindings.length))).toBeLessThanOrEqual(8);
      expect(steps.length).toBeLessThan(12);
    }
  });

  test('without fusion each operation is a kernel', () => {
    const x = placeholder('x', [T, 16]);
    expect(labels(plan([x], [x.add(1).mul(2).sum(1)], [], false).steps)).toEqual(['full', 'add', 'full', 'mul', 'sum']);
  });

  test('outputs that are inputs, or equal, are copies', () => {
    const x = placeholder('x', [T, 16]);
    const y = x.add(1);
    const { steps } = plan([x], [x, y, y, y.reshape([16, T])]);
    expect(steps).toHaveLength(4);
    expect(steps.map(({ bindings }) => bindings.filter(({ access }) => access === 'write').length)).toEqual([
      1, 1, 1, 1,
    ]);
  });
});

describe('updates', () => {
  test('come right after the last reader of the old value', () => {
    // of two shapes, since small updates of one share a kernel
    const [a, b] = [variable('a', { shape: [16], dtype: 'f32' }), variable('b', { shape: [1, 16], dtype: 'f32' })];
    const x = placeholder('x', [T, 16]);
    const { steps } = plan([x], [x.add(a).sum(1), x.add(b).sum(0)], [b.assign(b.mul(2)), a.assign(a.mul(2))]);
    expect(labels(steps)).toEqual(['sum', 'mul', 'sum', 'mul']);
  });

  test('of one shape share a kernel, as many as it can bind', () => {
    const all = Array.from({ length: 9 }, (_, i) => variable(`v${i}`, { shape: [16], dtype: 'f32' }));
    const updates = all.map((v) => v.assign(v.mul(2)));
    const { steps } = plan([], [], updates);
    expect(steps.map(({ bindings }) => bindings.length).sort()).toEqual([1, 8]);
    const large = (exponent: number) => [0, 1].map((i) => variable(`l${i}`, { shape: [2 ** exponent], dtype: 'f32' }));
    const doubled = (variables: readonly Variable[]) => variables.map((v) => v.assign(v.mul(2)));
    expect(plan([], [], doubled(large(22))).steps).toHaveLength(1);
    expect(plan([], [], doubled(large(23))).steps).toHaveLength(2);
  });

  test('share a kernel only where no gradient waits for it', () => {
    const shape = [2 ** 10, 2 ** 10];
    const [a, b] = ['a', 'b'].map((name) => variable(name, { shape, dtype: 'f32' })) as [Variable, Variable];
    // a product each, whose result lies in a buffer
    const [p, q] = [matmul(a, a), matmul(b, b)];
    const updatesOf = (plan: { readonly steps: readonly Step[] }) =>
      plan.steps.filter(({ bindings }) =>
        bindings.some(({ access, value }) => access === 'write' && value.kind === 'variable'),
      ).length;
    const alone = [a.assign(p.mul(2)), b.assign(q.mul(2))];
    expect(updatesOf(plan([], [], alone))).toBe(2);
    const norm = p.sum().add(q.sum());
    const waiting = [a.assign(p.mul(norm)), b.assign(q.mul(norm))];
    expect(updatesOf(plan([], [], waiting))).toBe(1);
  });

  test('that read each other go through a buffer', () => {
    const [a, b] = [variable('a', { shape: [16], dtype: 'f32' }), variable('b', { shape: [16], dtype: 'f32' })];
    const { steps } = plan([], [], [a.assign(b.mul(2)), b.assign(a.flatten().slice(0, 0, 1).add(b))]);
    for (const { bindings } of steps) {
      const values = bindings.map(({ value }) => value);
      expect(new Set(values).size).toBe(values.length);
    }
    const writes = steps.map(({ bindings }) => bindings.find(({ access }) => access === 'write')!.value.kind);
    expect(writes.filter((kind) => kind === 'variable')).toHaveLength(2);
    expect(writes).toContain('temporary');
  });
});

describe('memory', () => {
  const bytesOf = ({ shape }: { readonly shape: Shape }) => 4 * (shape[0] as number);

  test('buffers are shared by what lives at different times, and never by what one dispatch touches', () => {
    const x = placeholder('x', [64, 64]);
    let y = x;
    for (let i = 0; i < 10; i++) y = matmul(y, x);
    const { steps } = plan([x], [y]);
    const { slots, slotOf, sum } = planMemory(steps, bytesOf);
    expect(slots).toHaveLength(2);
    expect(sum).toBe(9 * 256);
    for (const { bindings } of steps) {
      const used = bindings.flatMap(({ value }) => (value.kind === 'temporary' ? [slotOf.get(value)] : []));
      expect(new Set(used).size).toBe(
        new Set(bindings.filter(({ value }) => value.kind === 'temporary').map(({ value }) => value)).size,
      );
    }
  });

  test('what lies in a donated input begins after the last step that reads it', () => {
    const type = { shape: [8], dtype: 'f32' } as const;
    const given = { kind: 'input', index: 0, type } as const;
    const early = { kind: 'temporary', name: 'early', type } as const;
    const late = { kind: 'temporary', name: 'late', type } as const;
    const at = (...values: Step['bindings'][number]['value'][]) => ({
      bindings: values.map((value) => ({ value, access: 'read' as const })),
    });
    const steps = [at(given), at(given, early), at(early, late)];
    const { inputOf, slotOf } = planMemory(steps, bytesOf, new Set([0]));
    expect([...inputOf]).toEqual([[late, 0]]);
    expect([...slotOf]).toEqual([[early, 0]]);
    expect(planMemory(steps, bytesOf).inputOf.size).toBe(0);
  });

  test('every value keeps its buffer from its first to its last use, over many drawn lifetimes', () => {
    let seed = 1;
    const random = (n: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % n;
    };
    for (let round = 0; round < 50; round++) {
      const steps: Step[] = Array.from({ length: 30 }, (_, i) => ({
        label: `${i}`,
        source: '',
        bindings: [],
        parameters: [],
        workgroups: () => [1, 1, 1],
      }));
      const values = Array.from({ length: 40 }, (_, i) => {
        const value = { kind: 'temporary', name: `${i}`, type: { shape: [1 + random(1000)], dtype: 'f32' } } as const;
        const first = random(30);
        const last = first + random(30 - first);
        for (const at of new Set([first, last]))
          steps[at] = { ...steps[at]!, bindings: [...steps[at]!.bindings, { value, access: 'write' }] };
        return { value, first, last };
      });
      const { slots, slotOf } = planMemory(steps, bytesOf);
      for (const a of values) {
        expect(slots[slotOf.get(a.value)!]).toBeGreaterThanOrEqual(bytesOf(a.value.type));
        for (const b of values)
          if (a !== b && slotOf.get(a.value) === slotOf.get(b.value))
            expect(a.last < b.first || b.last < a.first).toBe(true);
      }
      expect([...slots].sort((p, q) => q - p)).toEqual(slots);
    }
  });
});

describe('sizes of a run', () => {
  test('are written where they changed, and workgroups follow', () => {
    const S = symbolicDim('S', 1000);
    const [x, y] = [placeholder('x', [T, 16]), placeholder('y', [S, 16])];
    const { steps, graph } = plan([x, y], [x.add(1), y.mul(2)]);
    const sizes = new RunSizes(steps, graph.symbols);
    const counts = () => [sizes.blocks[0]!, sizes.blocks[1]!].map(({ offset }) => sizes.words[offset / 4]);
    expect(sizes.update({ T: 4, S: 100 })).toBe(true);
    expect(counts()).toEqual([64, 1600]);
    const first = [...sizes.workgroups];
    expect(sizes.update({ T: 4, S: 100 })).toBe(false);
    expect(sizes.update({ T: 4, S: 900 })).toBe(true);
    expect(counts()).toEqual([64, 14_400]);
    expect([...sizes.workgroups].slice(0, 3)).toEqual(first.slice(0, 3));
    expect(sizes.workgroups[3]).toBeGreaterThan(first[3]!);
    expect(sizes.blocks.every((block) => block!.offset % 256 === 0)).toBe(true);
  });

  test('of equal kernels share a block', () => {
    const x = placeholder('x', [T, 16]);
    const { steps, graph } = plan([x], [x.add(1), x.mul(2)]);
    const { blocks, words } = new RunSizes(steps, graph.symbols);
    expect(blocks[0]).toBe(blocks[1]);
    expect(words.byteLength).toBe(256);
  });
});
