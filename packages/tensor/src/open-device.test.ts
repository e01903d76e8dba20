import { expect, test } from 'vitest';
import { openDevice } from './open-device.ts';

test('opens devices by name, and the best by none', async () => {
  const reference = await openDevice('reference', { debug: true });
  expect([reference.name, await reference.leaks()]).toEqual(['reference', []]);
  await reference.dispose();
  expect(String(reference)).toMatch(/^Device reference \(.+\), disposed of$/);
  const onnx = await openDevice('onnx', { memoryBudget: 1000, onnx: { threads: 1 } });
  expect([onnx.name, onnx.memory().budget]).toEqual(['onnx', 1000]);
  await onnx.dispose();
  const best = await openDevice();
  expect(['webgpu', 'onnx']).toContain(best.name);
  await best.dispose();
});

test('mistakes are named', async () => {
  await expect(openDevice('gpu' as 'webgpu')).rejects.toThrow(
    /^openDevice: takes auto, webgpu, onnx, reference, got the string gpu$/,
  );
  await expect(openDevice('onnx', { budget: 5 } as never)).rejects.toThrow(
    /^openDevice: has no option budget; its options are memoryBudget, debug, webgpu, onnx$/,
  );
});
