/** Node takes no TypeScript: where this file is a source, so is the worker, which brings a loader. */
export function workerModule(given: URL | undefined): {
  readonly url: URL;
  readonly options: { readonly execArgv?: string[] };
} {
  if (given) return { url: given, options: {} };
  if (import.meta.url.endsWith('.ts'))
    return {
      url: new URL('./source-worker.js', import.meta.url),
      options: { execArgv: ['--conditions=@heddle/source'] },
    };
  return { url: new URL('./engine-worker.js', import.meta.url), options: {} };
}
