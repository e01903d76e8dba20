import { FileFormatError } from '../checks/errors.ts';

/** The part of `node:fs/promises` that reading and writing files takes. */
interface NodeFiles {
  open(path: string, flags: 'r' | 'w'): Promise<NodeFile>;
  stat(path: string): Promise<{ isDirectory(): boolean }>;
  readFile(path: string, encoding: 'utf8'): Promise<string>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly force: boolean }): Promise<void>;
}

interface NodeFile {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  write(from: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  stat(): Promise<{ readonly size: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Node's file system.
 *
 * Asked of the process rather than imported: no bundler for browsers sees a module that it lacks. The types are written
 * here so that the package needs none of Node's.
 *
 * @throws FileFormatError `ERR_FILE_ACCESS` where there is none.
 */
export function nodeFiles(): NodeFiles {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const files = process?.getBuiltinModule?.('node:fs/promises');
  if (files) return files as NodeFiles;
  throw new FileFormatError('open file: paths need a runtime with node:fs; pass a Blob or bytes instead', {
    code: 'ERR_FILE_ACCESS',
  });
}

/** The typed form of an error of Node's file system. */
export function fileError(operation: string, path: string, cause: unknown): FileFormatError {
  const { code } = cause as { code?: unknown };
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new FileFormatError(`${operation}: no file at ${path}`, { code: 'ERR_FILE_NOT_FOUND', cause });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FileFormatError(`${operation}: cannot read ${path}: ${reason}`, { code: 'ERR_FILE_ACCESS', cause });
}
