import { openReference } from '@heddle/tensor/reference';
import { afterAll, expect, test } from 'vitest';
import type { AttentionKernel } from './attention-kernel.ts';
import { firstSupported } from './first-supported.ts';
import { kernelContract, packedTensors } from './kernel-contract.ts';
import { naive } from './naive.ts';
import { prefillDecode } from './prefill-decode.ts';
import { packedCase } from './testing/packed-case.ts';

const device = await openReference();
afterAll(() => device.dispose());

/** `naive` under another name, counted, that may refuse windows. */
function counted(name: string, refuses?: string): AttentionKernel & { calls: number } {
  const kernel = {
    ...naive(),
    name,
    calls: 0,
    supports: (spec: { window?: number }) => (spec.window === undefined ? undefined : refuses),
    attend(...args: Parameters<AttentionKernel['attend']>) {
      kernel.calls++;
      return naive().attend(...args);
    },
  };
  return kernel;
}
const inputs = (options: Parameters<typeof packedCase>[0]) => {
  const { q, k, v, kv, spec } = packedTensors(device, packedCase(options));
  return [q, k, v, kv, spec] as const;
};

test('the first that supports a spec is taken', () => {
  const [a, b] = [counted('a', 'knows no window'), counted('b')];
  const kernel = firstSupported([a, b]);
  kernel.attend(...inputs({ rows: [2], before: [1] }));
  kernel.attend(...inputs({ rows: [2], before: [1], spec: { window: 3 } }));
  expect([a.calls, b.calls]).toEqual([1, 1]);
});

test('the cheapest, where costs are given', () => {
  const [a, b] = [counted('a'), counted('b')];
  const kernel = firstSupported([a, b], { cost: ({ name }, q) => (name === 'a' ? Number(q.shape[0]) : 4) });
  kernel.attend(...inputs({ rows: [8], before: [0] }));
  kernel.attend(...inputs({ rows: [4], before: [0] }));
  expect([a.calls, b.calls]).toEqual([1, 1]);
});

test('where none does, the reasons are told', () => {
  const kernel = firstSupported([counted('a', 'knows no window'), counted('b', 'neither')]);
  const args = inputs({ rows: [2], before: [1], spec: { window: 3 } });
  expect(kernel.supports(args[4])).toBe('a: knows no window; b: neither');
  expect(() => kernel.attend(...args)).toThrow(/no kernel supports this: a: knows no window; b: neither/);
  expect(() => firstSupported([])).toThrow(/at least one/);
});

test('one kernel prefills, another decodes', () => {
  const [prefill, decode] = [counted('p'), counted('d', 'knows no window')];
  const kernel = prefillDecode(prefill, decode);
  kernel.attend(...inputs({ rows: [1, 1], before: [4, 2] }));
  kernel.attend(...inputs({ rows: [2, 1], before: [4, 2] }));
  kernel.attend(...inputs({ rows: [2], before: [0], cached: false }));
  expect([prefill.calls, decode.calls]).toEqual([2, 1]);
  expect(kernel.supports(inputs({ rows: [1], before: [1], spec: { window: 2 } })[4])).toBe('d: knows no window');
});

test('the contract finds a kernel out that is wrong', async () => {
  const wrong: AttentionKernel = {
    ...naive(),
    name: 'one position too far',
    attend: (q, k, v, kv, spec) => naive().attend(q, k, v, kv, { ...spec, positions: spec.positions.mul(0) }),
  };
  const outcomes = await Promise.allSettled(kernelContract(wrong, () => device).map(({ run }) => run()));
  expect(outcomes.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(3);
});
