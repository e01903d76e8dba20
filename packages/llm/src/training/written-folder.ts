import { FileFormatError } from '@heddle/tensor';

/** Writes files of a folder, each as a whole or not at all. */
export interface FolderWriter {
  /** Replaces the file of that name once all of its bytes are on the disk. @throws FileFormatError; then the old file stays */
  write(name: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>;
}

/** Opens a folder for writing, and makes it where it is not there. @throws FileFormatError `ERR_FILE_ACCESS` */
export async function openWriter(operation: string, folder: string): Promise<FolderWriter> {
  const { mkdir, open, rename, rm } = nodeFiles(operation);
  const failed = (path: string) => (cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileFormatError(`${operation}: cannot write ${path}: ${reason}`, { code: 'ERR_FILE_ACCESS', cause });
  };
  await mkdir(folder, { recursive: true }).catch(failed(folder));
  return {
    async write(name, pieces) {
      const path = `${folder}/${name}`;
      const partial = `${path}.partial`;
      const file = await open(partial, 'w').catch(failed(path));
      try {
        try {
          for await (const piece of pieces) await file.writeFile(piece).catch(failed(path));
          await file.sync().catch(failed(path));
        } finally {
          await file.close();
        }
        await rename(partial, path).catch(failed(path));
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      }
    },
  };
}

/** Asked of the process rather than imported: no bundler for browsers sees a module that it lacks. */
function nodeFiles(operation: string): typeof import('node:fs/promises') {
  const files = globalThis.process?.getBuiltinModule?.('node:fs/promises');
  if (files) return files;
  throw new FileFormatError(`${operation}: folders need a runtime with node:fs`, { code: 'ERR_FILE_ACCESS' });
}
