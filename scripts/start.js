// The main job of a checkout: loads a language model and streams text from it. `npm start -- --model PATH` takes another
// model, and any other option of `heddle generate`.
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const model = fileURLToPath(new URL('../../shared/models/stories260K', import.meta.url));
const given = process.argv.slice(2);
const names = (option) => given.some((arg) => arg === option || arg.startsWith(`${option}=`));

if (!names('--model') && !existsSync(model)) {
  console.error(`There is no model at ${relative(process.cwd(), model)}. Name one, a Hugging Face folder with config.json,
*.safetensors and tokenizer.json of a Llama:

  npm start -- --model PATH --prompt "Once upon a time"`);
  process.exit(1);
}
const defaults = [
  ...(names('--model') ? [] : ['--model', model]),
  ...(names('--prompt') || names('--prompt-tokens') ? [] : ['--prompt', 'Once upon a time']),
  ...(names('--max-tokens') ? [] : ['--max-tokens', '200']),
];
// in this process, so that whatever signals it reaches the command
process.argv.splice(2, given.length, 'generate', ...defaults, ...given);
await import('../packages/llm/bin/heddle.js');
