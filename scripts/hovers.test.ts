import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type Hover, hovers } from '../test-support/language-server.ts';

/** What a newcomer writes; every name after `^` is one that the pointer rests on, with the signature that it shows. */
const program: readonly (string | readonly [name: string, signature: string])[] = [
  "import { attention, createAttentionModule } from '@heddle/attention';",
  "import { dynamicBatcher } from '@heddle/batcher';",
  "import { keyValueShape, pagedCache } from '@heddle/kvcache';",
  "import { generateText, openTextModel, streamText } from '@heddle/llm';",
  "import { compile, gradients, openDevice, type Tensor, valueAndGrad, vmap } from '@heddle/tensor';",
  "import { createLinear } from '@heddle/tensor/nn';",
  "import { loadTensors, saveTensors } from '@heddle/tensor/safetensors';",
  "import { adamw, repeat, train } from '@heddle/trainer';",

  'const device = await openDevice();',
  ['device', 'const device: Device'],
  ['openDevice', '(alias) function openDevice(name?: DeviceName, options?: OpenDeviceOptions): Promise<Device>'],
  'const x = device.tensor([[1, 2]]);',
  ['x', 'const x: Tensor'],
  ['tensor', '(method) Device.tensor(data: HostData, options?: TensorOptions): Tensor'],
  "const floats = await x.data('f32');",
  ['floats', 'const floats: Float32Array<ArrayBufferLike>'],
  ['data', '(method) Tensor.data<"f32">(dtype: "f32"): Promise<Float32Array<ArrayBufferLike>>'],
  'const values = await x.data();',
  ['values', 'const values: HostArray'],
  ['data', '(method) Tensor.data(): Promise<HostArray>'],
  'const rows = await x.toArray();',
  ['rows', 'const rows: NestedNumbers'],
  'const twice = await device.tidy(async () => x.mul(2));',
  ['twice', 'const twice: Tensor'],
  'const { value, grads } = valueAndGrad((a: Tensor) => a.sum())(x);',
  ['grads', 'const grads: [Tensor]'],
  'const perRow = vmap((row: Tensor) => row.sum());',
  ['perRow', 'const perRow: (row: Tensor) => Tensor'],
  'const step = compile((a: Tensor) => a.sum());',
  ['step', 'const step: CompiledFunction<[a: Tensor], Tensor>'],
  'const layer = createLinear(device, { inputs: 2, outputs: 3, seed: 1 });',
  ['layer', 'const layer: Layer<WeightAndBias>'],
  ['createLinear', '(alias) function createLinear(device: Device, options: LinearOptions): Layer<WeightAndBias>'],
  "await saveTensors('a.safetensors', layer.parameters);",
  [
    'saveTensors',
    '(alias) function saveTensors(target: TensorTarget, tree: unknown, options?: SaveTensorsOptions): Promise<void>',
  ],
  "const all = await loadTensors(device, 'a.safetensors');",
  ['all', 'const all: Record<string, Tensor>'],

  'const run = async (texts: readonly string[]) => texts.map((text) => text.length);',
  'const lengthOf = dynamicBatcher({ maxBatchSize: 8, maxWaitMs: 1, run });',
  ['lengthOf', 'const lengthOf: DynamicBatcher<string, number>'],
  "const length = await lengthOf('warp');",
  ['length', 'const length: number'],
  "const shape = keyValueShape({ layers: 1, heads: 1, headDim: 16, dtype: 'f32' });",
  'const cache = pagedCache(device, { shape, maxSequences: 1, maxSequenceTokens: 32 });',
  ['pagedCache', '(alias) function pagedCache(device: Device, options: PagedCacheOptions): KvCache'],
  'const out = attention(x, x, x);',
  ['attention', '(alias) function attention(q: Tensor, k: Tensor, v: Tensor, spec?: AttentionSpec): Tensor'],
  'const module = await createAttentionModule(device, { width: 8, heads: 2, seed: 1 });',
  ['module', 'const module: OwningAttentionModule'],

  "const model = await openTextModel('a');",
  [
    'openTextModel',
    '(alias) function openTextModel(source: string | ModelFiles, options?: OpenTextModelOptions): Promise<OpenedTextModel>',
  ],
  "const text = await generateText({ model, prompt: 'a' });",
  ['text', 'const text: GeneratedText'],
  "const stream = streamText({ model, prompt: 'a' });",
  ['streamText', '(alias) function streamText(options: TextOptions): TextStream'],

  'const trained = { parameters: [device.variable([1])], forward: (batch: { readonly x: Tensor }) => batch.x };',
  'const data = repeat([{ x: { data: new Float32Array(1), shape: [1] } }]);',
  'const optimizer = adamw({ learningRate: 1 });',
  ['adamw', '(alias) function adamw(options: AdamOptions): Optimizer<AdamState>'],
  'for await (const report of train({ model: trained, data, loss: (output) => output.sum(), optimizer })) report.loss;',
  ['report', 'const report: StepReport'],
  ['output', '(parameter) output: Tensor'],
];

/** Names that people call, which an editor explains. */
const explained = /^\((?:alias|method)\) /;

test('an editor shows short types, and explains what is called', async () => {
  const lines = program.filter((entry) => typeof entry === 'string');
  let line = 0;
  const at = program.flatMap((entry) => {
    if (typeof entry !== 'string') return [[line, ...entry] as const];
    line++;
    return [];
  });
  const file = fileURLToPath(new URL('./hovers-program.ts', import.meta.url));
  const shown: Hover[] = await hovers(
    file,
    lines.join('\n'),
    at.map(([number, name]) => [number, name] as const),
  );
  expect(shown.map(({ signature }) => signature)).toEqual(at.map(([, , signature]) => signature));
  const silent = at.filter(([, , signature], i) => explained.test(signature) && shown[i]!.text.length < 40);
  expect(silent.map(([, name]) => name)).toEqual([]);
}, 120_000);
