// Quantises a model into a GGUF file, says what it costs, loads it and streams text from it.
//   npx tsx --conditions=@heddle/source examples/load-gguf.ts [MODEL [DTYPE]] [DEVICE]

import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspectModel, loadModel, openEngine, type QuantizedDType, quantizeModel } from '@heddle/llm';
import { openDevice } from '@heddle/tensor';
import { exampleArguments } from './arguments.ts';

const { args, device: name } = exampleArguments('load-gguf.ts [MODEL [DTYPE]]', 2);
const [source = 'node_modules/@heddle/prose4m', dtype = 'q4_k'] = args;
const file = join(tmpdir(), `heddle-example-${process.pid}.gguf`);
const device = await openDevice(name);
try {
  const { byteLength } = await quantizeModel(source, file, { dtype: dtype as QuantizedDType });
  const { parameters, weightBytes } = await inspectModel(file);
  console.log(`${parameters.total} parameters, ${weightBytes.f16} bytes in f16, a file of ${byteLength} in ${dtype}`);

  const model = await loadModel(file, { device });
  for (const note of model.notes) console.log(note);
  const engine = openEngine(model);
  const tokenizer = model.requireTokenizer();
  const tokens = tokenizer.encode('It was a cold evening, and');
  const text = tokenizer.stream({ after: tokens, skipSpecialTokens: true });
  for await (const token of engine.generate({ tokens, maxTokens: 60, stopTokens: model.config.eosTokenIds }))
    process.stdout.write(text.push(token));
  console.log(text.finish());
  await engine.dispose();
  await model.dispose();
} finally {
  await device.dispose();
  await rm(file, { force: true });
}
