import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { isHeddleError } from '../checks/errors.ts';
import type { Tensor } from '../graph/tensor.ts';
import { compile } from './compile.ts';

const input = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i));
const n = 24;
/** Intermediates that are as large as the argument, and needed after it is. */
const chain = (x: Tensor) =>
  x
    .matmul(x)
    .softmax(-1)
    .matmul(x.sum(0, { keepDims: true }).add(x.mul(0)))
    .softmax(0);
const message = (error: unknown) => (isHeddleError(error, 'ERR_ARGUMENT') ? error.message : String(error));

conformance('donated arguments', (device) => {
  test('are consumed, and their memory holds intermediates', async () => {
    const [plain, donating] = [undefined, [0]].map((donate) =>
      compile(chain, { device: device(), inputs: [{ shape: [n, n] }], ...(donate && { donate }) }),
    ) as [ReturnType<typeof compile<[Tensor], Tensor>>, ReturnType<typeof compile<[Tensor], Tensor>>];
    const expected = [...(await (await plain(input(n * n))).data())];
    for (let run = 0; run < 3; run++) {
      const x = device().tensor(input(n * n), { shape: [n, n] });
      expect([...(await (await donating(x)).data())]).toEqual(expected);
      expect(() => x.add(1)).toThrow(/disposed/);
    }
    expect([...(await (await donating(input(n * n))).data())]).toEqual(expected);
    if (backendName.startsWith('webgpu')) {
      const [whole, saved] = [await plain.report(), await donating.report()];
      // all but the row of sums, which then has nowhere to share
      expect(whole.memory.activations - saved.memory.activations).toBe(4 * n * n - 4 * n);
      expect(saved.kernels.some(({ writes }) => writes.some(({ name }) => name === 'input 0'))).toBe(true);
    }
    plain.dispose();
    donating.dispose();
  });

  test('may be what the function gave before, and lazy', async () => {
    const step = compile((x: Tensor) => x.matmul(x).mul(0.5), {
      device: device(),
      inputs: [{ shape: [2, 2] }],
      donate: [0],
    });
    let x: Tensor = device().ones([2, 2]).mul(1);
    for (let run = 0; run < 3; run++) x = await step(x);
    expect([...(await x.data())]).toEqual([1, 1, 1, 1]);
    step.dispose();
  });

  test('must be given up by nobody else', async () => {
    const v = device().variable([1, 2], { name: 'weight' });
    const x = device().tensor([3, 4]);
    const both = compile((a: Tensor, b: Tensor) => a.add(b).add(x), { donate: [0] });
    expect(message(await both(v, x).catch((error: unknown) => error))).toMatch(
      /argument \[0\] is donated.*variable weight/,
    );
    expect(message(await both(x, v).catch((error: unknown) => error))).toMatch(/uses from outside/);
    const y = device().tensor([5, 6]);
    expect(message(await both(y, y).catch((error: unknown) => error))).toMatch(/another argument too/);
    expect([...(await (await both(y, v)).data())]).toEqual([9, 12]);
    both.dispose();
    for (const donate of [[-1], [0.5], [2]])
      expect(() => compile(chain, { device: device(), inputs: [{ shape: [n, n] }], donate })).toThrow(
        /donate names arguments by index/,
      );
  });
});
