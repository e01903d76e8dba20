import { ArgumentError, checkOptions } from '@heddle/tensor';
import { describe } from '../describe.ts';
import { nodeModules } from './node-modules.ts';

/** How models are fetched; by default as the environment says, with the names that Python's `huggingface_hub` has. */
export interface HubOptions {
  /** Address of the hub. Default `HF_ENDPOINT`, otherwise https://huggingface.co. */
  readonly endpoint?: string;
  /** Sent to the endpoint's origin alone, and never along a redirect. Default `HF_TOKEN`. */
  readonly token?: string;
  /** Default `HF_HUB_CACHE`, otherwise `hub` in `HF_HOME`, by default `~/.cache/huggingface`. */
  readonly cacheFolder?: string;
  /** Use what the cache has, and no network. Default `HF_HUB_OFFLINE`. */
  readonly offline?: boolean;
  /** Files that are downloaded at once. Default 4. */
  readonly maxDownloads?: number;
  /** A transfer of which nothing comes for so long is tried again, in milliseconds. Default 30,000. */
  readonly stallMs?: number;
  /** Tries without progress until a transfer fails. Default 5. */
  readonly tries?: number;
  /** Wait before the second try, in milliseconds; doubled before each further one. Default 500. */
  readonly retryMs?: number;
  readonly onProgress?: (progress: HubProgress) => void;
  readonly signal?: AbortSignal;
}

/** How far a model is fetched; what the cache had counts as loaded. */
export interface HubProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
  readonly loadedFiles: number;
  readonly totalFiles: number;
}

/** Options with the environment's settings. */
export interface HubSettings {
  readonly endpoint: URL;
  readonly token: string | undefined;
  readonly cacheFolder: string;
  readonly offline: boolean;
  readonly maxDownloads: number;
  readonly stallMs: number;
  readonly tries: number;
  readonly retryMs: number;
  readonly onProgress: ((progress: HubProgress) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

const known: readonly (keyof HubOptions)[] = [
  'endpoint',
  'token',
  'cacheFolder',
  'offline',
  'maxDownloads',
  'stallMs',
  'tries',
  'retryMs',
  'onProgress',
  'signal',
];

/** @throws ArgumentError for options that do not exist or do not fit, also those of the environment */
export function hubSettings(operation: string, options: HubOptions): HubSettings {
  checkOptions(operation, options, known);
  const { process } = nodeModules();
  const environment = process.env;
  const { maxDownloads = 4, stallMs = 30_000, tries = 5, retryMs = 500, onProgress, signal } = options;
  for (const [name, count] of Object.entries({ maxDownloads, stallMs, tries, retryMs }))
    if (!(Number.isSafeInteger(count) && count > 0))
      throw new ArgumentError(`${operation}: ${name} must be a positive integer, got ${String(count)}`);
  const token = options.token ?? environment['HF_TOKEN']?.trim();
  if (token !== undefined && !/^[\x21-\x7e]*$/.test(token))
    throw new ArgumentError(`${operation}: the token holds characters that no token has`);
  return {
    endpoint: endpointOf(operation, options.endpoint ?? (environment['HF_ENDPOINT'] || 'https://huggingface.co')),
    token: token || undefined,
    cacheFolder: options.cacheFolder ?? cacheFolderOf(environment),
    offline: options.offline ?? isTrue(environment['HF_HUB_OFFLINE']),
    maxDownloads,
    stallMs,
    tries,
    retryMs,
    onProgress,
    signal,
  };
}

function endpointOf(operation: string, text: string): URL {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.username || url.search || url.hash)
    throw new ArgumentError(
      `${operation}: the endpoint (HF_ENDPOINT) must be an http or https address, got ${describe(text)}`,
    );
  return url;
}

function cacheFolderOf(environment: NodeJS.ProcessEnv): string {
  const { path, os } = nodeModules();
  const named = environment['HF_HUB_CACHE'] || environment['HUGGINGFACE_HUB_CACHE'];
  if (named) return named;
  const home = environment['HF_HOME'];
  if (home) return path.join(home, 'hub');
  return path.join(environment['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache'), 'huggingface', 'hub');
}

const isTrue = (value: string | undefined): boolean => /^(?:1|true|yes|on)$/i.test(value ?? '');
