import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { type DeviceName, deviceNames } from '@heddle/tensor';
import { type WeightDType, weightDTypes } from '../models/weight-file.ts';
import { flag, number, oneOf, text, wholeNumber } from './option-values.ts';
import { UsageError } from './usage.ts';

/** A model to serve: its name, where it is, and what it does. */
export interface ServedSource {
  readonly id: string;
  readonly source: string;
  readonly kind: 'text' | 'embedding' | 'ranking';
}

export interface ServeCommand {
  /** By the names that requests have. */
  readonly models: readonly ServedSource[];
  readonly host: string;
  readonly port: number;
  readonly keys: readonly string[];
  /** Further names under which the server answers. */
  readonly hosts: readonly string[];
  readonly origins: readonly string[];
  readonly device: DeviceName;
  readonly dtype: WeightDType | undefined;
  readonly maxSequences: number | undefined;
  readonly maxSequenceTokens: number | undefined;
  readonly maxRequests: number | undefined;
  readonly graceSeconds: number;
  readonly quiet: boolean;
}

const many = { type: 'string', multiple: true } as const;
const loopback: readonly string[] = ['127.0.0.1', 'localhost', '::1'];

/** @throws UsageError; another host than this machine needs a key, or `--insecure` */
export function parseServe(args: readonly string[], environment: NodeJS.ProcessEnv = process.env): ServeCommand {
  const values = parsed(args);
  const models = [
    ...(values.model ?? []).map((given) => modelOf('text', given)),
    ...(values['embedding-model'] ?? []).map((given) => modelOf('embedding', given)),
    ...(values['ranking-model'] ?? []).map((given) => modelOf('ranking', given)),
  ];
  if (models.length === 0)
    throw new UsageError('serve needs --model MODEL: a Hugging Face folder, a GGUF file, or owner/name of a hub');
  const twice = models.find(({ id }, i) => models.some((each, j) => j < i && each.id === id));
  if (twice) throw new UsageError(`two models are called '${twice.id}': name one as --model NAME=PATH`);
  const fromEnvironment = environment['HEDDLE_API_KEY'];
  const keys = [...(values['api-key'] ?? []), ...(fromEnvironment ? [fromEnvironment] : [])];
  if (keys.some((key) => key.length < 8)) throw new UsageError('--api-key takes at least 8 characters');
  const host = values.host ?? '127.0.0.1';
  if (!loopback.includes(host) && keys.length === 0 && !values.insecure)
    throw new UsageError(
      `--host ${host} is reachable by others: it needs --api-key KEY (or HEDDLE_API_KEY), or --insecure`,
    );
  const port = wholeNumber('--port', values.port, 0) ?? 8080;
  if (port > 65_535) throw new UsageError(`--port takes a number up to 65535, got '${values.port}'`);
  return {
    models,
    host,
    port,
    keys,
    hosts: values['allow-host'] ?? [],
    origins: values['allow-origin'] ?? [],
    device: oneOf('--device', values.device, deviceNames) ?? 'auto',
    dtype: oneOf('--dtype', values.dtype, weightDTypes),
    maxSequences: wholeNumber('--max-sequences', values['max-sequences'], 1),
    maxSequenceTokens: wholeNumber('--context', values.context, 1),
    maxRequests: wholeNumber('--max-requests', values['max-requests'], 1),
    graceSeconds: number('--grace', values.grace, 0, 3600) ?? 10,
    quiet: values.quiet ?? false,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        model: many,
        'embedding-model': many,
        'ranking-model': many,
        'api-key': many,
        'allow-host': many,
        'allow-origin': many,
        host: text,
        port: text,
        device: text,
        dtype: text,
        'max-sequences': text,
        context: text,
        'max-requests': text,
        grace: text,
        insecure: flag,
        quiet: flag,
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** `NAME=SOURCE`, or a source whose last part is the name. */
function modelOf(kind: ServedSource['kind'], given: string): ServedSource {
  const named = /^([\w.:/-]+)=(.+)$/.exec(given);
  if (named) return { id: named[1]!, source: named[2]!, kind };
  const id = basename(given.replace(/[/\\]+$/, '')).replace(/\.gguf$/, '');
  if (id === '') throw new UsageError(`--model takes a path or a name, got '${given}'`);
  return { id, source: given, kind };
}
