import { readFile } from 'node:fs/promises';
import { commands, helpOf } from './options/help-of.ts';
import { nearest } from './options/nearest.ts';
import { help, UsageError } from './options/usage.ts';

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
    console.error(`heddle: ${await lineOf(error)}`);
    if (process.env['HEDDLE_DEBUG']) console.error(error);
    return 1;
  }
}

async function run([name, ...typed]: readonly string[], signal: AbortSignal): Promise<number> {
  if (typed.includes('--help') || typed.includes('-h')) return print(helpOf(name));
  switch (name) {
    case 'help':
    case '--help':
    case '-h':
      return print(typed[0] === undefined ? help : helpOf(typed[0]));
    case '--version':
      return print(`${await version()}\n`);
    case undefined:
      throw new UsageError(`a command is needed: ${commands.join(', ')}`);
  }
  const load = Object.hasOwn(programs, name) ? programs[name] : undefined;
  if (!load) throw new UsageError(unknownCommand(name));
  const { withConfig } = await import('./options/config-file.ts');
  const args = await withConfig(name, typed);
  return (await load())(args, signal);
}

type Program = (args: readonly string[], signal: AbortSignal) => Promise<number> | number;

/** What each command is made of, loaded when it is asked for: loading all of them takes longer than a short answer. */
const programs: Readonly<Record<string, () => Promise<Program>>> = {
  generate: async () => {
    const { parseGenerate } = await import('./options/generate-options.ts');
    return async (args, signal) => {
      const command = parseGenerate(args);
      return (await import('./generate.ts')).generate(command, signal);
    };
  },
  chat: async () => {
    const { parseChat } = await import('./options/chat-options.ts');
    return async (args, signal) => {
      const command = parseChat(args);
      return (await import('./chat.ts')).chatCommand(command, signal);
    };
  },
  serve: async () => {
    const { parseServe } = await import('./options/serve-options.ts');
    return async (args, signal) => {
      const command = parseServe(args);
      return (await import('./serve.ts')).serveCommand(command, signal);
    };
  },
  bench: async () => {
    const { parseBench } = await import('./options/bench-options.ts');
    return async (args, signal) => {
      const command = parseBench(args);
      return (await import('./bench.ts')).benchCommand(command, signal);
    };
  },
  eval: async () => {
    const { parseEval } = await import('./options/eval-options.ts');
    return async (args, signal) => {
      const command = parseEval(args);
      return (await import('./eval.ts')).evalCommand(command, signal);
    };
  },
  train: async () => {
    const { parseTrain } = await import('./options/training-options.ts');
    return async (args, signal) => {
      const command = parseTrain(args);
      return (await import('./train.ts')).trainCommand(command, signal);
    };
  },
  finetune: async () => {
    const { parseFinetune } = await import('./options/training-options.ts');
    return async (args, signal) => {
      const command = parseFinetune(args);
      return (await import('./finetune.ts')).finetuneCommand(command, signal);
    };
  },
  inspect: async () => {
    const { inspect, parseInspect } = await import('./inspect.ts');
    return (args) => inspect(parseInspect(args));
  },
  pull: async () => {
    const { parsePull, pullCommand } = await import('./pull.ts');
    return (args, signal) => pullCommand(parsePull(args), signal);
  },
  quantize: async () => {
    const { parseQuantize, quantizeCommand } = await import('./quantize.ts');
    return (args, signal) => quantizeCommand(parseQuantize(args), signal);
  },
  'export-onnx': async () => {
    const { exportOnnxCommand, parseExportOnnx } = await import('./export-onnx.ts');
    return (args, signal) => exportOnnxCommand(parseExportOnnx(args), signal);
  },
  devices: async () => {
    const { parseDevices } = await import('./options/generate-options.ts');
    return async (args) => {
      const command = parseDevices(args);
      return (await import('./devices.ts')).devices(command);
    };
  },
  completion: async () => {
    const { completion } = await import('./options/completion.ts');
    return (args) => print(completion(args));
  },
};

function unknownCommand(name: string): string {
  const meant = nearest(name, commands);
  return `there is no command '${name}'${meant === undefined ? '' : `, perhaps ${meant} is meant`}; there are ${commands.join(', ')}`;
}

/** What happened, in one line. Errors that are not ours are defects, and say where they come from. */
async function lineOf(error: unknown): Promise<string> {
  const { isHeddleError } = await import('@heddle/tensor');
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
