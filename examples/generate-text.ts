// Loads a model and streams text: npx tsx --conditions=@heddle/source examples/generate-text.ts [MODEL] [PROMPT]
import { loadModel, openDevice, openEngine, sampler } from '@heddle/llm';

const [path = '../shared/models/stories260K', prompt = 'Once upon a time'] = process.argv.slice(2);
const device = await openDevice('auto');
const model = await loadModel(path, { device });
const tokenizer = model.requireTokenizer();

const engine = openEngine(model, { sampler: sampler({ temperature: 0.8, topP: 0.95, seed: 1 }) });
const tokens = tokenizer.encode(prompt);
const text = tokenizer.stream({ after: tokens, skipSpecialTokens: true });
process.stdout.write(prompt);
for await (const token of engine.generate({ tokens, maxTokens: 120, stopTokens: model.config.eosTokenIds }))
  process.stdout.write(text.push(token));
console.log(text.finish());

await engine.dispose();
await model.dispose();
await device.dispose();
