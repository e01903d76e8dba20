import { HubError } from './hub-error.ts';

/** What of Node a cache on disk takes. */
interface NodeModules {
  readonly fs: typeof import('node:fs/promises');
  readonly path: typeof import('node:path');
  readonly os: typeof import('node:os');
  readonly crypto: typeof import('node:crypto');
  readonly process: NodeJS.Process;
}

/** Asked of the process rather than imported: no bundler for browsers sees modules that it lacks. */
export function nodeModules(): NodeModules {
  const { process } = globalThis;
  const builtin = process?.getBuiltinModule;
  if (!builtin)
    throw new HubError('ERR_HUB_OFFLINE', 'models are fetched into a folder, which takes a runtime with node:fs');
  return {
    fs: builtin('node:fs/promises'),
    path: builtin('node:path'),
    os: builtin('node:os'),
    crypto: builtin('node:crypto'),
    process,
  };
}
