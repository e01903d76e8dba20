// Loads a model and streams text.
//   npx tsx --conditions=@heddle/source examples/generate-text.ts [MODEL [PROMPT]] [DEVICE]
import { loadModel, openDevice, openEngine, sampler } from '@heddle/llm';
import { exampleArguments } from './arguments.ts';

const { args, device: name } = exampleArguments('generate-text.ts [MODEL [PROMPT]]', 2);
const [path = 'node_modules/@heddle/prose4m', prompt = 'It was a cold evening, and'] = args;
const device = await openDevice(name);
const model = await loadModel(path, { device });
const tokenizer = model.requireTokenizer();

const engine = openEngine(model, { sampler: sampler({ temperature: 0.8, topP: 0.95, seed: 1 }) });
const tokens = tokenizer.encode(prompt);
const text = tokenizer.stream({ after: tokens, skipSpecialTokens: true });
await engine.prepare(tokens.length); // compiles now rather than before the first token

process.stdout.write(prompt);
const times = [performance.now()];
for await (const token of engine.generate({ tokens, maxTokens: 120, stopTokens: model.config.eosTokenIds })) {
  times.push(performance.now());
  process.stdout.write(text.push(token));
}
console.log(text.finish());

const [began, first, last] = [times[0]!, times[1]!, times.at(-1)!];
console.log(`\n${device.name}: ${device.description}`);
console.log(
  `${tokens.length} prompt tokens in ${(first - began).toFixed(1)} ms, then ${(((times.length - 2) / (last - first)) * 1000).toFixed(0)} tokens/s`,
);

await engine.dispose();
await model.dispose();
await device.dispose();
