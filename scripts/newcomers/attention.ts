// What a newcomer writes first with attention: a call, its gradients, and a module in a model.
import { attention, createAttentionModule } from '@heddle/attention';
import { gradients, openDevice, randomNormal } from '@heddle/tensor';

const device = await openDevice('reference');
const q = randomNormal(device, [1, 5, 4, 8], 1); // [B, L, H, D]
const k = randomNormal(device, [1, 5, 2, 8], 2);
const v = randomNormal(device, [1, 5, 2, 8], 3);
const out = attention(q, k, v, { causal: true });
const [byQ] = gradients(out.square().sum(), [q]);
console.log(out.shape, byQ.shape, await out.square().sum().item());

const first = attention(q.slice(1, 0, 3), k.slice(1, 0, 3), v.slice(1, 0, 3), { causal: true });
const apart = await first
  .sub(out.slice(1, 0, 3))
  .abs()
  .max()
  .item();
if (!(apart < 1e-6)) throw new Error(`later keys change earlier rows by ${apart}`);

const module = await createAttentionModule(device, { width: 32, heads: 4, seed: 1 });
const x = randomNormal(device, [1, 5, 32], 4);
const y = module.forward({ x });
const changed = module.forward({ x: x.mul(device.tensor([[[1], [1], [1], [1], [9]]])) });
const before = await y.sub(changed).slice(1, 0, 4).abs().max().item();
if (before !== 0) throw new Error(`a module is not causal: ${before}`);
console.log(String(y));
await device.dispose();
