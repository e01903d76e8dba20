import type { TestContext } from 'vitest';

const inNode = typeof process === 'object' && typeof process.versions?.node === 'string';

/**
 * Bytes of `../shared/PATH` (test data that lies beside the repository), in Node and in the browser alike; undefined
 * where it is missing. The caller owns the bytes.
 */
export const readShared = (path: string): Promise<Uint8Array<ArrayBuffer> | undefined> =>
  read(`/shared/${path}`, new URL(`../../shared/${path}`, import.meta.url));

/** Bytes of `examples/models/PATH`, alike. */
export const readModels = (path: string): Promise<Uint8Array<ArrayBuffer> | undefined> =>
  read(`/models/${path}`, new URL(`../examples/models/${path}`, import.meta.url));

/** Bytes of `test-support/checkpoints/PATH`: tiny checkpoints of every family, with what transformers computes for them. */
export const readCheckpoint = (path: string): Promise<Uint8Array<ArrayBuffer> | undefined> =>
  read(`/checkpoints/${path}`, new URL(`./checkpoints/${path}`, import.meta.url));

async function read(served: string, file: URL): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (!inNode) {
    const response = await fetch(served);
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`reading ${served}: HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  }
  const { readFile } = await import('node:fs/promises');
  try {
    return Uint8Array.from(await readFile(file));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

/**
 * The reason for which a test without `../shared/PATH` is skipped.
 * @public
 */
export function sharedMissing(path: string): string {
  return `../shared/${path} is not here`;
}

/** Bytes of `../shared/PATH`; where it is missing, the test ends here, skipped with that reason. */
export async function needShared(context: Pick<TestContext, 'skip'>, path: string): Promise<Uint8Array<ArrayBuffer>> {
  return (await readShared(path)) ?? context.skip(sharedMissing(path));
}

/** The JSON document `../shared/PATH`; where it is missing, the test ends here, skipped with that reason. */
export async function needSharedJson(context: Pick<TestContext, 'skip'>, path: string): Promise<unknown> {
  return JSON.parse(new TextDecoder().decode(await needShared(context, path)));
}
