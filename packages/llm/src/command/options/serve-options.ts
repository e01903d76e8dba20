import { basename } from 'node:path';
import { type DeviceName, deviceNames } from '@heddle/tensor';
import { type WeightDType, weightDTypes } from '../../models/weight-file.ts';
import { bytes, flag, many, number, oneOf, parse, text, wholeNumber } from './option-values.ts';
import { UsageError } from './usage.ts';

/** A model to serve: its name, where it is, and what it does. */
export interface ServedSource {
  readonly id: string;
  readonly source: string;
  readonly kind: 'text' | 'embedding' | 'ranking';
  /** Folders by names under which the model answers with them. */
  readonly adapters: Readonly<Record<string, string>>;
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
  /** Keeps what prompts begin with. */
  readonly cacheFolder: string | undefined;
  readonly cacheFolderBytes: number | undefined;
  /** Patterns of lines of system messages that are left out. */
  readonly dropLines: readonly RegExp[];
  /** Bytes that all models may take together: then they are opened on demand. */
  readonly memoryBytes: number | undefined;
  /** After so many minutes without a request a model is closed: then they are opened on demand. */
  readonly idleMinutes: number | undefined;
  readonly graceSeconds: number;
  /** Whether there is a page at `/`. */
  readonly page: boolean;
  readonly quiet: boolean;
  /** Says where it listens as JSON. */
  readonly json: boolean;
}

const kinds = {
  model: many,
  'embedding-model': many,
  'ranking-model': many,
  adapter: many,
  'api-key': many,
  'drop-line': many,
  'cache-dir': text,
  'cache-dir-size': text,
  'allow-host': many,
  'allow-origin': many,
  memory: text,
  idle: text,
  host: text,
  port: text,
  device: text,
  dtype: text,
  'max-sequences': text,
  context: text,
  'max-requests': text,
  grace: text,
  insecure: flag,
  'no-page': flag,
  quiet: flag,
  json: flag,
} as const;
const loopback: readonly string[] = ['127.0.0.1', 'localhost', '::1'];

/** @throws UsageError; another host than this machine needs a key, or `--insecure` */
export function parseServe(args: readonly string[], environment: NodeJS.ProcessEnv = process.env): ServeCommand {
  const values = parse(args, kinds);
  const named = [
    ...(values.model ?? []).map((given) => modelOf('text', given)),
    ...(values['embedding-model'] ?? []).map((given) => modelOf('embedding', given)),
    ...(values['ranking-model'] ?? []).map((given) => modelOf('ranking', given)),
  ];
  const models = withAdapters(named, values.adapter ?? []);
  if (models.length === 0)
    throw new UsageError('serve needs --model MODEL: a Hugging Face folder, a GGUF file, or owner/name of a hub');
  const ids = models.flatMap(({ id, adapters }) => [id, ...Object.keys(adapters)]);
  const twice = ids.find((id, i) => ids.indexOf(id) < i);
  if (twice) throw new UsageError(`two models are called '${twice}': name one as --model NAME=PATH`);
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
    cacheFolder: values['cache-dir'],
    cacheFolderBytes: bytes('--cache-dir-size', values['cache-dir-size']),
    dropLines: (values['drop-line'] ?? []).map((pattern) => regularExpression('--drop-line', pattern)),
    memoryBytes: bytes('--memory', values.memory),
    idleMinutes: number('--idle', values.idle, 0.01),
    graceSeconds: number('--grace', values.grace, 0, 3600) ?? 10,
    page: !values['no-page'],
    quiet: values.quiet ?? false,
    json: values.json ?? false,
  };
}

/** `NAME=SOURCE`, or a source whose last part is the name. */
function modelOf(kind: ServedSource['kind'], given: string): ServedSource {
  const named = /^([\w.:/-]+)=(.+)$/.exec(given);
  const adapters = {};
  if (named) return { id: named[1]!, source: named[2]!, kind, adapters };
  const id = basename(given.replace(/[/\\]+$/, '')).replace(/\.gguf$/, '');
  if (id === '') throw new UsageError(`--model takes a path or a name, got '${given}'`);
  return { id, source: given, kind, adapters };
}

/** `NAME=FOLDER` for the only model that generates text, `NAME@MODEL=FOLDER` for one of several. */
function withAdapters(models: readonly ServedSource[], given: readonly string[]): readonly ServedSource[] {
  const adapters = given.map((each) => {
    const parts = /^([\w.:/-]+)(?:@([\w.:/-]+))?=(.+)$/.exec(each);
    if (!parts) throw new UsageError(`--adapter takes NAME=FOLDER, or NAME@MODEL=FOLDER, got '${each}'`);
    const texts = models.filter(({ kind, id }) => kind === 'text' && (parts[2] === undefined || parts[2] === id));
    if (texts.length !== 1)
      throw new UsageError(
        texts.length === 0
          ? `--adapter ${each}: there is no ${parts[2] === undefined ? 'such model' : `model '${parts[2]}'`} that generates text`
          : `--adapter ${each}: there are several models, say which as NAME@MODEL=FOLDER`,
      );
    return { model: texts[0]!.id, name: parts[1]!, folder: parts[3]! };
  });
  const twice = adapters.find(({ name }, i) => adapters.findIndex((each) => each.name === name) < i);
  if (twice) throw new UsageError(`two adapters are called '${twice.name}'`);
  return models.map((model) => ({
    ...model,
    adapters: Object.fromEntries(
      adapters.filter((each) => each.model === model.id).map((each) => [each.name, each.folder]),
    ),
  }));
}

function regularExpression(option: string, pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (error) {
    throw new UsageError(`${option}: ${(error as Error).message}`);
  }
}
