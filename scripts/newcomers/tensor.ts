// What a newcomer writes first with tensors: a loop, a layer, a file, and what goes wrong.
import { readdirSync } from 'node:fs';
import { gradients, openDevice, relu, type Tensor, vmap } from '@heddle/tensor';
import { createLinear, createSequential } from '@heddle/tensor/nn';
import { loadTensors, saveTensors } from '@heddle/tensor/safetensors';

const device = await openDevice('reference');
const x = device.tensor([
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
]);
const y = device.tensor([[0], [1], [1], [2]]);

let w: Tensor = device.zeros([2, 1]);
for (let i = 0; i < 100; i++) {
  const loss = x.matmul(w).sub(y).square().mean();
  const [slope] = gradients(loss, [w]);
  w = w.sub(slope.mul(0.3));
  if (i === 99) console.log('loss', (await loss.item()).toFixed(4));
  else await loss.item();
}
const weights: Float32Array = await w.data('f32');
if (weights.some((value) => Math.abs(value - 1) > 0.01)) throw new Error(`not learned: ${weights}`);

const model = createSequential(
  createLinear(device, { inputs: 2, outputs: 4, seed: 1 }),
  relu,
  createLinear(device, { inputs: 4, outputs: 1, seed: 2 }),
);
await saveTensors('weights.safetensors', model.parameters);
const again = await loadTensors(device, 'weights.safetensors', { like: model.parameters });
const flat = await loadTensors(device, 'weights.safetensors');
console.log(
  Object.keys(flat).join(' '),
  Object.keys(again).join(' '),
  readdirSync('.').includes('weights.safetensors'),
);

console.log(String(x), await vmap((row: Tensor) => row.sum())(x).toArray());
const sum = await device.tidy(async () => x.mul(2).sum());
console.log(await sum.item());
try {
  await openDevice('cuda' as 'auto');
} catch (error) {
  console.log((error as Error).message);
}
await device.dispose();
