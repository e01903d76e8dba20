import { FileFormatError } from '../errors.ts';

/** The part of `node:fs/promises` that reading files takes. */
interface NodeFiles {
  open(path: string, flags: 'r'): Promise<NodeFile>;
  stat(path: string): Promise<{ isDirectory(): boolean }>;
}

interface NodeFile {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  stat(): Promise<{ readonly size: number }>;
  close(): Promise<void>;
}

/**
 * Node's file system, loaded on first use.
 *
 * The specifier is a variable so that bundlers for browsers leave the import alone, and the types are written here so
 * that the package needs none of Node's.
 */
export async function nodeFiles(): Promise<NodeFiles> {
  const specifier = 'node:fs/promises';
  try {
    return (await import(/* @vite-ignore */ specifier)) as NodeFiles;
  } catch (cause) {
    throw new FileFormatError('open file: paths need a runtime with node:fs; pass a Blob or bytes instead', {
      code: 'ERR_FILE_ACCESS',
      cause,
    });
  }
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
