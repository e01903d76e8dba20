import { afterAll, describe, expect, test } from 'vitest';
import { caseTables } from '../../../../test-support/case-tables.ts';
import { recordCase } from '../../../../test-support/record-case.ts';
import { createDevice } from '../create-device.ts';
import { ReferenceExecutor } from '../executors/reference/executor.ts';
import { f16ToF32 } from '../float16.ts';
import type { Node } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { expectAllClose } from '../testing/all-close.ts';

/** Computes whatever has a decomposition by it, down to operations that have none. */
class DecomposingExecutor extends ReferenceExecutor {
  override lowers(node: Node): boolean {
    // a placement with gaps becomes one without, which is as far as it goes
    const simple = node.op.decompose === undefined || node.op.name === 'place';
    return simple && super.lowers(node);
  }
}

const [direct, decomposed] = [createDevice(new ReferenceExecutor({})), createDevice(new DecomposingExecutor({}))];
afterAll(() => Promise.all([direct.dispose(), decomposed.dispose()]));

const tables = await caseTables();

/** Operations with a lowering on the reference executor as well as a decomposition are computed in two ways. */
describe('decompositions give what the lowerings give', () => {
  for (const { file, cases } of tables)
    test(file, async () => {
      for (const row of cases) {
        const [expected, actual] = [recordCase(direct, row), recordCase(decomposed, row)];
        expect([actual.dtype, actual.shape], row.name).toEqual([expected.dtype, expected.shape]);
        const numbers = async (tensor: Tensor) => {
          const data = await tensor.data();
          return tensor.dtype === 'f16' ? f16ToF32(data as Uint16Array) : data;
        };
        const relative = expected.dtype === 'f16' ? 2e-3 : expected.dtype === 'f32' ? 1e-6 : 0;
        const check = expectAllClose(await numbers(actual), await numbers(expected), { relative });
        await check.catch((error: Error) => {
          throw new Error(`${row.name}: ${error.message}`);
        });
      }
    });
});
