import { TrainingError, type TrainingErrorCode } from '../errors.ts';

/** A file that is written or read by position. */
export interface OpenFile {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  write(from: Uint8Array): Promise<unknown>;
  stat(): Promise<{ readonly size: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The part of `node:fs/promises` that this package takes: a test may give another. */
export interface FileSystem {
  open(path: string, flags: 'r' | 'w' | 'a'): Promise<OpenFile>;
  mkdir(path: string, options: { readonly recursive: boolean }): Promise<unknown>;
  readdir(path: string, options: { readonly withFileTypes: true }): Promise<readonly FolderEntry[]>;
  readFile(path: string): Promise<Uint8Array>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly recursive: boolean; readonly force: boolean }): Promise<void>;
  stat(path: string): Promise<{ readonly size: number; isDirectory(): boolean }>;
}

interface FolderEntry {
  readonly name: string;
  isDirectory(): boolean;
  isFile(): boolean;
}

interface Hash {
  update(bytes: Uint8Array): Hash;
  digest(encoding: 'hex'): string;
}

/**
 * Node's file system. Asked of the process rather than imported, so that bundlers for browsers see no module that they lack.
 * @throws TrainingError where there is none
 */
export function nodeFileSystem(code: TrainingErrorCode = 'ERR_DATA'): FileSystem {
  return builtin('node:fs/promises', code) as FileSystem;
}

/** A SHA-256 that is given its bytes piece by piece. */
export function sha256(): Hash {
  const { createHash } = builtin('node:crypto', 'ERR_CHECKPOINT') as { createHash(algorithm: string): Hash };
  return createHash('sha256');
}

/** The reason of a failure, for messages. */
export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function builtin(name: string, code: TrainingErrorCode): unknown {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const found = process?.getBuiltinModule?.(name);
  if (found) return found;
  throw new TrainingError(code, `train: files need a runtime with ${name}`);
}
