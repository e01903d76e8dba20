import { expect, test } from 'vitest';
import { isHeddleError } from '../checks/errors.ts';
import { compile } from '../compile/compile.ts';
import type { Tensor } from '../graph/tensor.ts';
import { concat } from '../ops/movement/concat.ts';
import { openWebGpu } from '../webgpu.ts';
import { recordingGpu } from './recording-gpu.ts';

test('the text of a fused chain', async () => {
  const gpu = recordingGpu();
  const device = await openWebGpu({ device: gpu.device });
  const x = device.tensor([1, 2, 3, 4]);
  await x.mul(2).add(1).relu().data();
  expect(gpu.dispatches.map(({ label, workgroups }) => [label, ...workgroups])).toEqual([['relu', 1, 1, 1]]);
  expect(gpu.shaders[0]!.code).toMatchInlineSnapshot(`
    "struct Params { count: u32 }
    @group(0) @binding(0) var<storage, read_write> b0: array<vec4<f32>>;
    @group(0) @binding(1) var<storage, read> b1: array<vec4<f32>>;
    @group(0) @binding(2) var<uniform> params: Params;
    fn b0_set4(i: u32, v: vec4<f32>) { b0[i] = v; }
    fn b1_at4(i: u32) -> vec4<f32> { return b1[i]; }
    fn is_nan(x: f32) -> bool {
      return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
    }
    fn safe_max(a: f32, b: f32) -> f32 {
      return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
    }
    fn element(base: u32, lane: u32, v_b1: f32) -> f32 {
      let i = base + lane;
      let t0 = f32(2.0);
      let t1 = (v_b1 * t0);
      let t2 = f32(1.0);
      let t3 = (t1 + t2);
      let t4 = safe_max(t3, 0.0);
      return t4;
    }
    @compute @workgroup_size(64)
    fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
      let k = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
      let base = k * 4u;
      if (base >= params.count) { return; }
      let b1_4 = b1_at4(k);
      let e0 = element(base, 0u, b1_4[0]);
      let e1 = element(base, 1u, b1_4[1]);
      let e2 = element(base, 2u, b1_4[2]);
      let e3 = element(base, 3u, b1_4[3]);
      b0_set4(k, vec4<f32>(e0, e1, e2, e3));
    }"
  `);
  await device.dispose();
});

test('replaying a step makes nothing and dispatches the same', async () => {
  const gpu = recordingGpu();
  const device = await openWebGpu({ device: gpu.device });
  const weight = device.variable(new Float32Array(64), { shape: [8, 8], name: 'weight' });
  const step = compile((x: Tensor) => x.matmul(weight).softmax(-1).sum(0), {
    device,
    inputs: [{ shape: ['T', 8] }],
    symbols: { T: 16 },
  });
  await step(new Float32Array(40));
  const first = [...gpu.dispatches];
  expect(gpu.made()).toMatchObject({ createComputePipelineAsync: first.length });
  await step(new Float32Array(48));
  expect(gpu.made()).toEqual({});
  expect(gpu.dispatches.slice(first.length).map(({ label }) => label)).toEqual(first.map(({ label }) => label));
  await device.dispose();
});

test('nothing is left when everything is disposed of', async () => {
  const gpu = recordingGpu();
  const device = await openWebGpu({ device: gpu.device });
  const x = device.variable(new Float32Array(100), { name: 'x' });
  const step = compile((y: Tensor) => ({ z: y.add(x).softmax(-1), update: x.assign(x.add(y)) }), {
    device,
    inputs: [{ shape: [100] }],
  });
  await step(new Float32Array(100));
  await (await x.add(1).realize()).data();
  expect(gpu.buffers.filter(({ destroyed }) => !destroyed).length).toBeGreaterThan(0);
  step.dispose();
  x.dispose();
  await device.dispose();
  expect(gpu.buffers.filter(({ destroyed }) => !destroyed)).toEqual([]);
});

test('values read as zeros, and the least limits are kept or broken loudly', async () => {
  const gpu = recordingGpu();
  const device = await openWebGpu({ device: gpu.device });
  const parts = Array.from({ length: 12 }, (_, i) => device.tensor([i]));
  expect(await concat(parts, 0).data()).toEqual(new Float32Array(12));
  expect(Math.max(...gpu.dispatches.map(({ bindings }) => bindings.length))).toBeLessThanOrEqual(9);
  await device.dispose();
  expect(() => gpu.device.createBuffer({ size: 2 ** 29, usage: 128 })).toThrow(/over maxBufferSize/);
});

test('a device that is lost rejects what comes', async () => {
  const gpu = recordingGpu();
  const device = await openWebGpu({ device: gpu.device });
  const x = device.tensor([1, 2]);
  gpu.lose('the driver went away');
  const error: unknown = await x
    .add(1)
    .data()
    .then(
      () => undefined,
      (cause: unknown) => cause,
    );
  expect(isHeddleError(error, 'ERR_DEVICE_LOST')).toBe(true);
  expect(String(error)).toContain('the driver went away');
  await device.dispose();
});
