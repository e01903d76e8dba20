import { openReference } from '@heddle/tensor/reference';
import { afterAll, expect, test } from 'vitest';
import { kernelContract } from '../testing/kernel-contract.ts';
import { packedCase } from '../testing/packed-case.ts';
import { packedTensors } from '../testing/packed-tensors.ts';
import type { AttentionKernel } from './attention-kernel.ts';
import { firstSupported } from './first-supported.ts';
import { measuredCost } from './measured-cost.ts';
import { naive } from './naive.ts';
import { prefillDecode } from './prefill-decode.ts';

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

test('what is no kernel is refused', () => {
  expect(() => firstSupported([naive as never])).toThrow(/kernels\[0\] must be an object/);
  expect(() => firstSupported([naive()], { cost: 3 } as never)).toThrow(/cost must be a function/);
});

test('the cheapest, where costs are given', () => {
  const [a, b] = [counted('a'), counted('b')];
  const kernel = firstSupported([a, b], { cost: ({ name }, q) => (name === 'a' ? Number(q.shape[0]) : 4) });
  kernel.attend(...inputs({ rows: [8], before: [0] }));
  kernel.attend(...inputs({ rows: [4], before: [0] }));
  expect([a.calls, b.calls]).toEqual([1, 1]);
});

test('each choice is told, with the reasons against the others', () => {
  const told: unknown[] = [];
  const [a, b, c] = [counted('a', 'knows no window'), counted('b'), counted('c')];
  const onChoice = (choice: unknown) => told.push(choice);
  firstSupported([a, b, c], { onChoice }).attend(...inputs({ rows: [2], before: [1], spec: { window: 3 } }));
  const cost = ({ name }: { name: string }) => (name === 'c' ? 1 : 2);
  firstSupported([a, b, c], { cost, onChoice }).attend(...inputs({ rows: [2], before: [1] }));
  const over = (kernel: string, reason: string) => ({ kernel, reason });
  expect(told).toEqual([
    { kernel: 'b', passedOver: [over('a', 'knows no window'), over('c', 'b comes first')] },
    { kernel: 'c', passedOver: [over('a', 'costs 2, c 1'), over('b', 'costs 2, c 1')] },
  ]);
});

test('costs that were measured, by the nearest number of rows', async () => {
  const [a, b] = [counted('a', 'knows no window'), counted('b')];
  const call = (rows: number, window?: number) => {
    const [q, k, v, kv, spec] = inputs({ rows: [rows], before: [4], spec: window === undefined ? {} : { window } });
    return { q, k, v, kv, spec };
  };
  const cost = await measuredCost([a, b], [call(1), call(64), call(2, 3)], { runs: 3 });
  const of = (kernel: AttentionKernel, rows: number) => cost(kernel, call(rows).q, call(rows).kv, call(rows).spec);
  // a does not support the sample of 2 rows
  expect(of(a, 2)).toBe(of(a, 1));
  expect(of(b, 60)).toBe(of(b, 64));
  expect(of(b, 64)).toBeGreaterThan(of(b, 1));
  expect(cost(a, call(1).q, undefined, call(1).spec)).toBe(Infinity);
  await expect(measuredCost([a], [])).rejects.toThrow(/at least one sample/);
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
