import { afterAll, describe, expect, test } from 'vitest';
import { caseTables } from '../../../../test-support/case-tables.ts';
import type { OperationCase } from '../../../../test-support/cases.ts';
import { gradients } from '../autograd/gradients.ts';
import { f16ToF32 } from '../float16.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { openReference } from '../reference.ts';
import { sizeOf } from '../shape.ts';

const device: Device = await openReference();
afterAll(() => device.dispose());

/** Cases of several operations, whose results are stored between them, or whose products take factors of f16. */
const stored = new Set([
  'linear f16',
  'softmax of f16 with large gradients',
  'logSoftmax of f16 with large gradients',
  'cast of a computed f16 to i32 and bool rounds first',
  'linearCrossEntropy f16',
]);
const tables = await caseTables();
const cases = tables.flatMap(({ cases: own }) => own as readonly OperationCase[]).filter(isOfHalves);

function isOfHalves(row: OperationCase): boolean {
  return 'inputs' in row && row.inputs.some(({ dtype }) => dtype === 'f16') && !stored.has(row.name);
}

/** Operands as they are, or with f32 in place of f16. */
const placed = ({ inputs }: OperationCase, asF32: boolean): Tensor[] =>
  inputs.map(({ shape, dtype, values }) => {
    const tensor = device.tensor(Float64Array.from(values), { shape, dtype });
    return asF32 && dtype === 'f16' ? tensor.cast('f32') : tensor;
  });

/** The result, and the gradients of its weighted sum by what is f16 in the case. */
function resultAndGradients(row: OperationCase, asF32: boolean): Tensor[] {
  const inputs = placed(row, asF32);
  const result = row.f(...inputs);
  if (!['f32', 'f16'].includes(result.dtype) || row.gradient === false) return [result];
  const shape = result.shape as readonly number[];
  const weights = Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.round(128 * Math.sin(i + 1)) / 128);
  const by = inputs.filter((_, i) => row.inputs[i]!.dtype === 'f16');
  const loss = result.mul(device.tensor(weights, { shape, dtype: result.dtype })).sum();
  return [result, ...gradients(loss, by)];
}

const halves = async (tensor: Tensor) => Array.from(f16ToF32((await tensor.cast('f16').data()) as Uint16Array));

describe('f16 on the reference executor is f32 that is rounded once, results and gradients', () => {
  test('there are cases', () => expect(cases.length).toBeGreaterThan(90));

  test.each(cases.map((row) => [row.name, row] as const))('%s', async (_, row) => {
    const [own, right] = [resultAndGradients(row, false), resultAndGradients(row, true)];
    for (const [i, tensor] of own.entries()) {
      const got = await halves(tensor);
      // 0 and -0 are the same
      expect(got.map((x) => x + 0), `${i}`).toEqual((await halves(right[i]!)).map((x) => x + 0)); // biome-ignore format: one line
    }
  });
});
