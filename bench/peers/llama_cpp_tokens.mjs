// What llama.cpp generates greedily from a GGUF file: node llama_cpp_tokens.mjs FOLDER MODEL.gguf COUNT ID,ID,...
// FOLDER is where node-llama-cpp 3.22.1 is installed (npm install --ignore-scripts node-llama-cpp@3.22.1).
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , folder, file, count, prompt] = process.argv;
const entry = createRequire(join(resolve(folder), 'index.js')).resolve('node-llama-cpp');
const { getLlama } = await import(pathToFileURL(entry).href);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const context = await model.createContext({ contextSize: 256, batchSize: 256, sequences: 1 });
const tokens = [];
const evaluated = context
  .getSequence()
  .evaluate(prompt.split(',').map(Number), { temperature: 0, yieldEogToken: true });
for await (const token of evaluated) {
  tokens.push(token);
  if (tokens.length >= Number(count)) break;
}
console.log(JSON.stringify(tokens));
process.exit(0);
