import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from './usage.ts';

/** Where the file stands: `HEDDLE_CONFIG`, otherwise `heddle/config.json` of the user's configuration folder. */
export function configPath(environment: NodeJS.ProcessEnv): { readonly path: string; readonly isNamed: boolean } {
  const named = environment['HEDDLE_CONFIG'];
  if (named) return { path: named, isNamed: true };
  const folder = environment['XDG_CONFIG_HOME'] || join(homedir(), '.config');
  return { path: join(folder, 'heddle', 'config.json'), isNamed: false };
}

/**
 * Arguments with those that the file has for the command: `{ "serve": { "model": ["a", "b"], "port": 8080, "quiet": true } }`. What was
 * typed goes before it.
 * @throws UsageError for a file that is named and not there, or that is not of this form
 */
export async function withConfig(
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<readonly string[]> {
  const { path, isNamed } = configPath(environment);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!isNamed && (error as NodeJS.ErrnoException).code === 'ENOENT') return args;
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
  const options = optionsOf(path, text, command);
  const typed = new Set(args.map((arg) => /^--([\w-]+)/.exec(arg)?.[1]));
  return [
    ...args,
    ...Object.entries(options).flatMap(([name, value]) => (typed.has(name) ? [] : written(path, name, value))),
  ];
}

function optionsOf(path: string, text: string, command: string): Readonly<Record<string, unknown>> {
  let all: unknown;
  try {
    all = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
  if (!isObject(all)) throw new UsageError(`${path} must be an object of commands`);
  const own = all[command] ?? {};
  if (!isObject(own)) throw new UsageError(`${path}: ${command} must be an object of options`);
  return own;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function written(path: string, name: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((each) => written(path, name, each));
  if (value === true) return [`--${name}`];
  if (value === false) return [];
  if (typeof value === 'string' || typeof value === 'number') return [`--${name}=${value}`];
  throw new UsageError(`${path}: ${name} takes texts, numbers, true or lists of them, got ${JSON.stringify(value)}`);
}
