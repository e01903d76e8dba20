import { readFile } from 'node:fs/promises';
import { isHeddleError } from '@heddle/tensor';
import { benchCommand } from './bench.ts';
import { chatCommand } from './chat.ts';
import { devices } from './devices.ts';
import { evalCommand } from './eval.ts';
import { exportOnnxCommand, parseExportOnnx } from './export-onnx.ts';
import { finetuneCommand } from './finetune.ts';
import { generate } from './generate.ts';
import { inspect, parseInspect } from './inspect.ts';
import { parseBench } from './options/bench-options.ts';
import { parseChat } from './options/chat-options.ts';
import { completion } from './options/completion.ts';
import { withConfig } from './options/config-file.ts';
import { parseEval } from './options/eval-options.ts';
import { parseDevices, parseGenerate } from './options/generate-options.ts';
import { commands, helpOf } from './options/help-of.ts';
import { nearest } from './options/nearest.ts';
import { parseServe } from './options/serve-options.ts';
import { parseFinetune, parseTrain } from './options/training-options.ts';
import { help, UsageError } from './options/usage.ts';
import { parsePull, pullCommand } from './pull.ts';
import { parseQuantize, quantizeCommand } from './quantize.ts';
import { serveCommand } from './serve.ts';
import { trainCommand } from './train.ts';

/** Runs the command and gives its exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted. */
export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  try {
    return await run(args, signal);
  } catch (error) {
    if (signal.aborted) return 130;
    if (error instanceof UsageError) {
      console.error(`heddle: ${error.message} (see heddle --help)`);
      return 2;
    }
    console.error(`heddle: ${lineOf(error)}`);
    if (process.env['HEDDLE_DEBUG']) console.error(error);
    return 1;
  }
}

async function run([name, ...typed]: readonly string[], signal: AbortSignal): Promise<number> {
  if (typed.includes('--help') || typed.includes('-h')) return print(helpOf(name));
  const args = name === undefined ? [] : await withConfig(name, typed);
  switch (name) {
    case 'generate':
      return generate(parseGenerate(args), signal);
    case 'chat':
      return chatCommand(parseChat(args), signal);
    case 'serve':
      return serveCommand(parseServe(args), signal);
    case 'bench':
      return benchCommand(parseBench(args), signal);
    case 'eval':
      return evalCommand(parseEval(args), signal);
    case 'inspect':
      return inspect(parseInspect(args));
    case 'pull':
      return pullCommand(parsePull(args), signal);
    case 'train':
      return trainCommand(parseTrain(args), signal);
    case 'finetune':
      return finetuneCommand(parseFinetune(args), signal);
    case 'quantize':
      return quantizeCommand(parseQuantize(args), signal);
    case 'export-onnx':
      return exportOnnxCommand(parseExportOnnx(args), signal);
    case 'devices':
      return devices(parseDevices(args));
    case 'completion':
      return print(completion(typed));
    case 'help':
    case '--help':
    case '-h':
      return print(typed[0] === undefined ? help : helpOf(typed[0]));
    case '--version':
      return print(`${await version()}\n`);
    case undefined:
      throw new UsageError(`a command is needed: ${commands.join(', ')}`);
    default:
      throw new UsageError(unknownCommand(name));
  }
}

function unknownCommand(name: string): string {
  const meant = nearest(name, commands);
  return `there is no command '${name}'${meant === undefined ? '' : `, perhaps ${meant} is meant`}; there are ${commands.join(', ')}`;
}

/** What happened, in one line. Errors that are not ours are defects, and say where they come from. */
function lineOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.split('\n')[0]!;
  return isHeddleError(error) || !(error instanceof Error) ? line : `${error.name}: ${line}`;
}

async function version(): Promise<string> {
  const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
