import { availableParallelism } from 'node:os';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type OnnxRuntime, threadsOf } from './runtime.ts';

/** What a runtime says of itself. */
const runtime = (env: OnnxRuntime['env']) => ({ env }) as OnnxRuntime;
const web = (numThreads?: number) => {
  const wasm: { numThreads?: number | undefined } = numThreads === undefined ? {} : { numThreads };
  return { wasm, module: runtime({ versions: { web: '1.30.0' }, wasm }) };
};
afterEach(() => vi.unstubAllGlobals());

describe('threads', () => {
  test('of onnxruntime-node are what is asked for, or one per processor', async () => {
    const native = runtime({ versions: { node: '1.30.0' }, wasm: {} });
    expect(await threadsOf(native, 3)).toBe(3);
    expect(await threadsOf(native, 1)).toBe(1);
    expect(await threadsOf(native, undefined)).toBe(availableParallelism());
    expect(native.env!.wasm).toEqual({});
  });

  test('of onnxruntime-web are told to it, and the first device decides', async () => {
    const { wasm, module } = web();
    expect(await threadsOf(module, 3)).toBe(3);
    expect(wasm.numThreads).toBe(3);
    expect(await threadsOf(module, 5)).toBe(3);
    expect(await threadsOf(web(2).module, undefined)).toBe(2);
  });

  test('are one on a page that may not share memory', async () => {
    vi.stubGlobal('process', undefined);
    vi.stubGlobal('navigator', { hardwareConcurrency: 8 });
    for (const [isolated, asked, expected] of [
      [false, 4, 1],
      [true, 4, 4],
      [true, undefined, 8],
    ] as const) {
      vi.stubGlobal('crossOriginIsolated', isolated);
      expect(await threadsOf(web().module, asked)).toBe(expected);
    }
  });
});
