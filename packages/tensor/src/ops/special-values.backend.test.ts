/// <reference types="vite/client" />
import { openReference } from '@heddle/tensor/reference';
import { afterAll, expect } from 'vitest';
import type { Case, Operand, OperationCase } from '../../../../test-support/cases.ts';
import { recordCase } from '../../../../test-support/record-case.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { isFloat } from '../dtype.ts';
import { f16ToF32 } from '../float16.ts';
import type { Tensor } from '../graph/tensor.ts';

const tables = import.meta.glob<Record<string, readonly Case[]>>('./**/*.cases.ts', { eager: true });

const specials: Readonly<Record<string, readonly number[]>> = {
  'not-a-number': [Number.NaN],
  infinities: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  'all of them and zeros': [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0],
};

function withSpecials(operand: Operand, among: readonly number[], salt: number): Operand {
  if (!isFloat(operand.dtype)) return operand;
  let state = salt * 7919 + 17;
  const draw = (n: number) => {
    state = (state * 48271) % 2147483647;
    return state % n;
  };
  return { ...operand, values: operand.values.map((value) => (draw(4) === 0 ? among[draw(among.length)]! : value)) };
}

async function numbers(tensor: Tensor): Promise<readonly number[]> {
  const data = await tensor.data();
  return [...(tensor.dtype === 'f16' ? f16ToF32(data as Uint16Array) : data)];
}

/** Where kernels compile slowly, those that could lose such values by themselves, once. */
const delicate =
  backendName === 'webgpu-browser'
    ? /(comparison|extremum)\.cases/
    : /(activation|comparison|elementwise|extremum|rounding|softmax|sort)\.cases/;
const hardest = 'all of them and zeros';

conformance('values that are no finite numbers', (device) => {
  const reference = openReference();
  afterAll(async () => (await reference).dispose());

  for (const [kind, among] of Object.entries(specials))
    test(`${kind} are what they are on the reference`, { timeout: 240_000 }, async (context) => {
      const isSlow = /swiftshader/i.test(device().description);
      if (isSlow && kind !== hardest) context.skip('one kind is enough where kernels compile slowly');
      const wrong: string[] = [];
      for (const [path, module] of Object.entries(tables))
        if (!isSlow || delicate.test(path)) wrong.push(...(await compare(Object.values(module).flat(), among)));
      expect(wrong).toEqual([]);
    });

  /** Failures of the cases of one table, which are computed together. */
  async function compare(cases: readonly Case[], among: readonly number[]): Promise<string[]> {
    const rows = cases
      .filter((row): row is OperationCase => 'inputs' in row && row.inputs.some(({ dtype }) => isFloat(dtype)))
      // integers have nothing for them; massThreshold takes neither NaN nor weights that are not finite
      .filter(({ name }) => !/^cast .*[iu]32|^massThreshold/.test(name))
      .map((row) => ({ ...row, inputs: row.inputs.map((input, i) => withSpecials(input, among, i + 1)) }));
    const actual = rows.map((row) => recordCase(device(), row));
    const expected = await Promise.all(rows.map(async (row) => recordCase(await reference, row)));
    await device().realize(actual);
    await (await reference).realize(expected);
    const wrong: string[] = [];
    for (const [i, row] of rows.entries()) {
      const [got, want] = [await numbers(actual[i]!), await numbers(expected[i]!)];
      const scale = Math.max(...want.filter(Number.isFinite).map(Math.abs), 0);
      const off = want.findIndex((w, k) => {
        const g = got[k]!;
        return !(Object.is(g, w) || g === w || Math.abs(g - w) <= 4e-3 * Math.max(scale, Math.abs(w)));
      });
      if (off >= 0) wrong.push(`${row.name} [${off}]: expected ${want.slice(0, 12)}, got ${got.slice(0, 12)}`);
    }
    for (const tensor of [...actual, ...expected]) tensor.dispose();
    return wrong;
  }
});
