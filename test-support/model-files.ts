import type { ModelFiles } from '@heddle/llm';
import { readModels, readShared } from './shared.ts';

/**
 * The files of a model folder in `../shared`, in Node and in the browser alike; undefined where there is no such model.
 * `rewrite` changes the text of its config.json.
 */
export async function sharedModel(
  path: string,
  rewrite: (config: Record<string, unknown>) => object = (config) => config,
): Promise<ModelFiles | undefined> {
  const config = await readShared(`${path}/config.json`);
  if (!config) return undefined;
  const text = JSON.stringify(rewrite(JSON.parse(new TextDecoder().decode(config)) as Record<string, unknown>));
  return {
    label: path,
    open: (file) => (file === 'config.json' ? new TextEncoder().encode(text) : readShared(`${path}/${file}`)),
  };
}

/** The files of the model that comes with this repository, in Node and in the browser alike. */
export const prose4m: ModelFiles = { label: 'prose4m', open: (file) => readModels(`prose4m/${file}`) };
