// Tensors, gradients and a compiled training step.
//   npx tsx --conditions=@heddle/source examples/tensor-basics.ts [DEVICE]
import { compile, crossEntropy, grad, gradients, openDevice, type Tensor } from '@heddle/tensor';
import { exampleArguments } from './arguments.ts';

const { device: name } = exampleArguments('tensor-basics.ts', 0);
const device = await openDevice(name);
console.log(`${device.name}: ${device.description}`);

// operations only record; data() computes
const x = device.tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
const y = x.mul(2).add(1).sum(1);
console.log('sums', await y.data());

// the gradient of x^2 y by both
const [byX, byY] = grad((a: Tensor, b: Tensor) => a.mul(a).mul(b).sum(), { argnums: [0, 1] })(
  device.tensor(3),
  device.tensor(5),
);
console.log('gradients', await byX!.item(), await byY!.item());

// a classifier of points by the sign of their product, one plan that is replayed
const points = 256;
const inputs = Float32Array.from({ length: points * 2 }, (_, i) => Math.sin(i * 12.9898) % 1);
const labels = Int32Array.from({ length: points }, (_, i) => Number(inputs[2 * i]! * inputs[2 * i + 1]! > 0));
const random = (rows: number, columns: number, seed: number) =>
  device.variable(
    Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * i * 78.233 + seed) * Math.sqrt(2 / rows)),
    { shape: [rows, columns] },
  );
const weights = [random(2, 32, 1), random(32, 32, 2), random(32, 2, 3)];
const step = compile(
  (batch: { points: Tensor; labels: Tensor }) => {
    const [first, second, last] = weights;
    const logits = batch.points.matmul(first!).maximum(0).matmul(second!).maximum(0).matmul(last!);
    const loss = crossEntropy(logits, batch.labels);
    const slopes = gradients(loss, weights);
    return { loss, updates: weights.map((weight, i) => weight.assign(weight.sub(slopes[i]!.mul(0.2)))) };
  },
  {
    device,
    inputs: [{ points: { shape: ['N', 2] }, labels: { shape: ['N'], dtype: 'i32' } }],
    symbols: { N: 1024 },
    name: 'training step',
  },
);
let start = performance.now();
for (let i = 0; i <= 400; i++) {
  if (i === 1) start = performance.now(); // the first step compiles
  const { loss } = await step({ points: inputs, labels });
  if (i % 100 === 0) console.log(`step ${i}: loss ${(await loss.item()).toFixed(4)}`);
}
console.log(`${((performance.now() - start) / 400).toFixed(2)} ms a step`);
await device.dispose();
