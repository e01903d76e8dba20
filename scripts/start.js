// The main job of a checkout: loads the language model that comes with it and streams text. `npm start -- --model PATH` takes
// another model, and any other option of `heddle generate`.
import { fileURLToPath } from 'node:url';

const model = fileURLToPath(new URL('../examples/models/prose4m', import.meta.url));
const given = process.argv.slice(2);
const names = (option) => given.some((arg) => arg === option || arg.startsWith(`${option}=`));

const defaults = [
  ...(names('--model') ? [] : ['--model', model]),
  ...(names('--prompt') || names('--prompt-tokens') ? [] : ['--prompt', 'It was a cold evening, and']),
  ...(names('--max-tokens') ? [] : ['--max-tokens', '200']),
];
// in this process, so that whatever signals it reaches the command
process.argv.splice(2, given.length, 'generate', ...defaults, ...given);
await import('../packages/llm/bin/heddle.js');
