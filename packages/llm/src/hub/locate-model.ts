import { ArgumentError } from '@heddle/tensor';
import { HubError } from './hub-error.ts';
import { parseHubId } from './hub-id.ts';
import type { HubOptions } from './hub-options.ts';
import type { HubPurpose } from './needed-files.ts';
import { pull } from './pull-model.ts';

/** Where a model lies on disk, and what to call it. */
export interface LocatedModel {
  readonly path: string;
  readonly label: string;
}

/**
 * Finds a model by what a user calls it: what is there on disk by that name, otherwise a model of a hub, which is fetched.
 * A name that is neither is given back as it is.
 * @throws HubError; ArgumentError for hub options that do not fit
 */
export async function locateModel(
  operation: string,
  source: string,
  purpose: HubPurpose,
  options: HubOptions,
): Promise<LocatedModel> {
  if (source.trim() === '')
    throw new ArgumentError(`${operation}: a model is a folder, a GGUF file, or owner/name of a hub, got ''`);
  const id = parseHubId(source);
  const fs = globalThis.process?.getBuiltinModule?.('node:fs/promises');
  const isThere =
    !id ||
    !fs ||
    (await fs.stat(source).then(
      () => true,
      () => false,
    ));
  if (isThere) return { path: source, label: source };
  try {
    return await pull(operation, id, purpose, options);
  } catch (cause) {
    if (!(cause instanceof HubError)) throw cause;
    const message = cause.message.replace(/^hub: /, '');
    throw new HubError(cause.code, `${message} (nor is there a folder ${source})`, { cause });
  }
}
