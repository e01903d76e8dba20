import { openWebGpu } from '@heddle/tensor/webgpu';
import { loadModel } from './src/index.ts';
import { openEngine } from './src/engine/default-engine.ts';
const d = await openWebGpu({ ...(process.env.VULKAN_LOADER ? { vulkanLoader: process.env.VULKAN_LOADER } : {}) });
const model = await loadModel('/work/shared/models/stories260K', { device: d } as never) as any;
const engine = (openEngine as any)(model);
const out: number[] = [];
let t0 = performance.now();
for await (const t of engine.generate({ tokens: [1, 403, 407], maxTokens: 30 })) { out.push(t); if (out.length === 2) t0 = performance.now(); }
console.log(out.join(), 28000 / (performance.now() - t0), 'tok/s');
console.log(engine.explain().split('\n\n')[1]);
await engine.dispose(); console.log(d.memory());
await model.dispose?.(); await d.dispose();
