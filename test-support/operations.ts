import { operationContract } from '@heddle/tensor/testing';
import { expect } from 'vitest';
import type { Case } from './cases.ts';
import { conformance, test } from './suite.ts';

/** Runs the contract of operations over a table of cases on the project's back end. */
export function operations(title: string, cases: readonly Case[]): void {
  conformance(title, (device) => {
    for (const { name, run } of operationContract(cases, device)) test(name, run);
  });
}

/** Values agree within `tolerance` of their own magnitude or of the mean magnitude, whichever is larger. */
export function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const finite = expected.filter(Number.isFinite);
  const scale = finite.reduce((sum, value) => sum + Math.abs(value), 0) / Math.max(finite.length, 1);
  const off = expected.flatMap((value, i) => {
    const got = actual[i]!;
    const same = Object.is(got, value) || got === value;
    const close = Math.abs(got - value) <= tolerance * Math.max(Math.abs(value), scale);
    return same || (Number.isFinite(value) && close) ? [] : [`[${i}] expected ${value}, got ${got}`];
  });
  if (off.length > 0)
    expect.fail(
      `${off.length} of ${expected.length} values are off by more than ${tolerance}:\n${off.slice(0, 8).join('\n')}`,
    );
}
