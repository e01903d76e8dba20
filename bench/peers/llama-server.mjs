// llama.cpp, as node-llama-cpp has it, behind a plain http server: POST { prompt, max_tokens } gives { text }. It takes sequences at once
// as the engine does, batches them, and goes on after the end token.
//   npm install --no-save --ignore-scripts node-llama-cpp@3.22.1
//   node bench/peers/llama-server.mjs MODEL.gguf SEQUENCES CONTEXT THREADS        NODE_LLAMA_CPP=path of its dist/index.js, where it is elsewhere
import { createServer } from 'node:http';

const { getLlama } = await import(process.env.NODE_LLAMA_CPP ?? 'node-llama-cpp');
const [file, sequences, contextSize, threads] = process.argv.slice(2);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({
  contextSize: Number(contextSize),
  sequences: Number(sequences),
  batchSize: 512,
  threads: Number(threads),
  flashAttention: true,
});

// kept and emptied: one that is disposed of is free again only some time later
const free = Array.from({ length: Number(sequences) }, () => context.getSequence());
const waiting = [];
const taken = () => free.pop() ?? new Promise((resolve) => waiting.push(resolve));
const give = (sequence) => {
  const next = waiting.shift();
  if (next) next(sequence);
  else free.push(sequence);
};

async function complete({ prompt, max_tokens: most }) {
  const sequence = await taken();
  try {
    const tokens = [];
    const options = { temperature: 0, yieldEogToken: true };
    for await (const token of sequence.evaluate(model.tokenize(prompt), options)) {
      tokens.push(token);
      if (tokens.length >= most) break;
    }
    return { text: model.detokenize(tokens), tokens: tokens.length };
  } finally {
    await sequence.clearHistory();
    give(sequence);
  }
}

const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', async () => {
    try {
      const answer = await complete(JSON.parse(body));
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    } catch (error) {
      console.error(error);
      response.writeHead(500).end(String(error));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
