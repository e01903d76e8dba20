import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

/** A run with dropout and several batches a step; prints its losses and weights as bits. */
const program = `
import { dropout, foldKey, randomKey, randomNormal } from '@heddle/tensor';
import { openOnnx } from '@heddle/tensor/onnx';
import { adamw, createTrainStep } from '@heddle/trainer';
const device = await openOnnx();
const w = device.zeroVariable([16, 16], { name: 'w' });
await device.realize([], [w.assign(randomNormal(device, [16, 16], randomKey(device, 5)).mul(0.3))]);
const step = createTrainStep({
  model: { parameters: { w }, forward: ({ x }) => dropout(x.matmul(w).tanh(), 0.2, foldKey(randomKey(device, 1), 2)) },
  loss: (y) => y.pow(2).mean(),
  optimizer: adamw({ learningRate: 0.01 }),
});
const batch = (i) => ({ x: { data: Float32Array.from({ length: 64 }, (_, j) => Math.sin(i * 64 + j)), shape: [4, 16] } });
const losses = [];
for (let i = 0; i < 4; i++) losses.push((await step([batch(2 * i), batch(2 * i + 1)])).loss);
const values = new Float32Array([...losses, ...(await w.data())]);
process.stdout.write(Buffer.from(values.buffer).toString('hex'));
process.exit();
`;

test('two fresh processes take the same steps, bit for bit', async () => {
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const args = ['--import', 'tsx', '--conditions=@heddle/source', '--input-type=module', '--eval', program];
  const run = async () => (await promisify(execFile)(process.execPath, args, { cwd })).stdout;
  const [first, second] = [await run(), await run()];
  expect(first).toHaveLength(8 * (4 + 256));
  expect(second).toBe(first);
}, 120_000);
