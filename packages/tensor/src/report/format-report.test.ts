import { expect, test } from 'vitest';
import { formatProfile, formatReport } from './format-report.ts';
import type { PlanReport } from './plan-report.ts';

const use = (name: string, type: string, byteLength: number) => ({ name, type, byteLength });
const report: PlanReport = {
  sizes: 'T<=32',
  kernels: [
    {
      kernel: 'matmul',
      workgroups: [4, 1, 1],
      writes: [use('#0', 'f32[T,256]', 32_768)],
      reads: [use('input 0', 'f32[T,64]', 8192), use('weight', 'f32[64,256]', 65_536)],
      bytes: 106_496,
      flops: 1_048_576,
      live: 32_768,
    },
    {
      kernel: 'softmax',
      workgroups: [32, 1, 1],
      writes: [use('output 0', 'f32[T,256]', 32_768)],
      reads: [use('#0', 'f32[T,256]', 32_768)],
      bytes: 65_536,
      flops: undefined,
      live: 8192,
    },
  ],
  memory: {
    total: 74_496,
    activations: 32_768,
    outputs: 32_768,
    inputs: 8192,
    parameters: 768,
    activationsWithoutReuse: 40_960,
    buffers: [32_768],
  },
};

test('a report is a line for each kernel, with a bar for the memory that is alive', () => {
  expect(formatReport(report)).toMatchInlineSnapshot(`
    "plan for T<=32: 2 kernels, 168 KiB moved, 1.05 M FLOP
       kernel   workgroups  writes               reads                                     moved    FLOP      live
    0  matmul   4x1x1       #0 f32[T,256]        input 0 f32[T,64], weight f32[64,256]   104 KiB  1.05 M  32.0 KiB  ############
    1  softmax  32x1x1      output 0 f32[T,256]  #0 f32[T,256]                          64.0 KiB          8.00 KiB  ###
    memory: 74496 bytes: activations 32768 (40960 without reuse), outputs 32768, inputs 8192, parameters 768
    activations in 1 buffers: #0 32.0 KiB"
  `);
});

test('a profile is a line for each kind of kernel, longest first, with rates', () => {
  const times = [
    { kernel: 'softmax', microseconds: 10, bytes: 65_536, flops: undefined },
    { kernel: 'matmul', microseconds: 40, bytes: 106_496, flops: 1_048_576 },
    { kernel: 'matmul', microseconds: 50, bytes: 106_496, flops: 1_048_576 },
  ];
  expect(formatProfile(times)).toMatchInlineSnapshot(`
    "3 kernels, 100.0 us
    kernel   times    us  share     moved  GB/s    FLOP  GFLOP/s
    matmul       2  90.0  90.0%   208 KiB   2.4  2.10 M     23.3
    softmax      1  10.0  10.0%  64.0 KiB   6.6"
  `);
});

test('numbers keep three digits at every size', () => {
  const moved = (bytes: number) =>
    formatReport({ ...report, kernels: [{ ...report.kernels[0]!, bytes, flops: bytes }] }).split('\n')[0];
  expect(moved(1023)).toBe('plan for T<=32: 1 kernels, 1023 B moved, 1.02 k FLOP');
  expect(moved(1_048_000)).toBe('plan for T<=32: 1 kernels, 1023 KiB moved, 1.05 M FLOP');
  expect(moved(999_999)).toBe('plan for T<=32: 1 kernels, 977 KiB moved, 1000 k FLOP');
});
