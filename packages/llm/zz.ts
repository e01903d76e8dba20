import { crossEntropy } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { openOnnx } from '@heddle/tensor/onnx';
import { adamw, chain, clipByGlobalNorm, train, createTrainStep } from '@heddle/trainer';
import { loadModel } from '@heddle/llm';
const device = process.env.ONNX ? await openOnnx() : await openWebGpu({ vulkanLoader: process.env.VULKAN_LOADER, toggles: ['disable_workgroup_init'] } as any);
console.log(device.description);
const model = await loadModel('../shared/' + (process.env.M ?? 'fixtures/models/llama-mqa'), { device, trainable: true });
const tokens = Int32Array.from({ length: 257 }, (_, i) => (i * 7 + i * i) % 200 + 3);
const batch = { tokens: { data: tokens.slice(0, 256), shape: [4, 64] }, targets: { data: tokens.slice(1), shape: [4, 64] } };
const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-3 }));
const step = createTrainStep({ model, loss: ({ logits }: any, { targets }: any) => crossEntropy(logits, targets), optimizer } as any);
for (let i = 0; i < 6; i++) { const t = performance.now(); const s = await step.submit(batch as any); const t2 = performance.now(); const r = await s.result; console.log(i, r.loss, 'submit', (t2 - t).toFixed(1), 'total', (performance.now() - t).toFixed(1)); }
console.log(device.memory());
step.dispose(); await model.dispose(); await device.dispose();
