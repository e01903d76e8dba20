import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@heddle/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MeasuringParts, measuredDevice } from './measured-device.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'heddle-devices-'));
});
afterAll(() => rm(root, { recursive: true }));

/** Devices that take so many seconds; undefined for one that is not there. */
function parts(name: string, seconds: Partial<Record<'webgpu' | 'onnx', number>>) {
  const measured: number[] = [];
  const disposed: string[] = [];
  const found: MeasuringParts = {
    memory: join(root, name, 'devices.json'),
    open: async (of) => {
      if (seconds[of] === undefined) return undefined;
      // nothing but these is asked of one here
      return { description: of, dispose: async () => void disposed.push(of) } as unknown as Device;
    },
    measure: async (_, { description }) => {
      const taken = seconds[description as 'webgpu' | 'onnx']!;
      measured.push(taken);
      if (!Number.isFinite(taken)) throw new Error('does not fit');
      return taken;
    },
    say: () => {},
  };
  return { found, measured, disposed };
}
const never = new AbortController().signal;
const choose = (of: ReturnType<typeof parts>, source = 'm') => measuredDevice('auto', { source }, never, of.found);

test('measures once which device is faster, for each model, and remembers it', async () => {
  const both = parts('a', { webgpu: 2, onnx: 1 });
  expect([await choose(both), await choose(both), both.measured]).toEqual(['onnx', 'onnx', [2, 1]]);
  expect(both.disposed).toEqual(['webgpu', 'onnx', 'webgpu', 'onnx']);
  await choose(both, 'another');
  expect(await measuredDevice('auto', { source: 'm', dtype: 'f16' }, never, both.found)).toBe('onnx');
  expect(both.measured).toHaveLength(6);
  expect(await choose(parts('b', { webgpu: 1, onnx: 2 }))).toBe('webgpu');
});

test('with one device, or a name, there is nothing to measure', async () => {
  const one = parts('c', { onnx: 1 });
  expect([await choose(one), one.measured]).toEqual(['auto', []]);
  expect(await measuredDevice('onnx', { source: 'm' }, never, one.found)).toBe('onnx');
});

test('a device that the model does not fit on is not taken; a memory that is damaged is made anew', async () => {
  const none = parts('d', { webgpu: Number.POSITIVE_INFINITY, onnx: 9 });
  expect(await choose(none)).toBe('onnx');
  await writeFile(none.found.memory, '[damaged');
  expect([await choose(none), JSON.parse(await readFile(none.found.memory, 'utf8'))]).toEqual([
    'onnx',
    { 'm\ndefault\nwebgpu\nonnx': 'onnx' },
  ]);
  const neither = parts('e', { webgpu: Number.POSITIVE_INFINITY, onnx: Number.POSITIVE_INFINITY });
  expect(await choose(neither)).toBe('auto');
});
