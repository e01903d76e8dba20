import { ArgumentError, FileFormatError } from '@heddle/tensor';
import type { FileInput } from '@heddle/tensor/safetensors';
import { describe } from './describe.ts';
import type { HubOptions } from './hub/hub-options.ts';
import { locateModel } from './hub/locate-model.ts';
import type { HubPurpose } from './hub/needed-files.ts';

/** The files of a model by name, wherever they are: a folder, files that a user picked, a cache. */
export interface ModelFiles {
  /** Names the model in messages. */
  readonly label: string;
  /** The file of that name, undefined if there is none. */
  open(file: string): FileInput | undefined | Promise<FileInput | undefined>;
}

/**
 * The files of a folder on disk, where there is `node:fs`.
 *
 * @throws FileFormatError `ERR_FILE_NOT_FOUND` if there is no folder at the path.
 */
export async function modelFolder(path: string, label: string = path): Promise<ModelFiles> {
  const { stat } = nodeFiles();
  const found = await stat(path).catch((cause: unknown) => {
    throw accessError(`no folder at ${path}`, cause);
  });
  if (!found.isDirectory()) throw accessError(`${path} is a file, not a folder`, { code: 'ENOTDIR' });
  return {
    label,
    async open(file) {
      const inside = `${path}/${file}`;
      try {
        // reading from a pipe might wait for ever
        if ((await stat(inside)).isFile()) return inside;
      } catch (cause) {
        if (isNotFound(cause)) return undefined;
        throw accessError(`cannot read ${inside}`, cause);
      }
      throw accessError(`cannot read ${inside}`, 'it is not a file');
    },
  };
}

/** What a model of a hub would be fetched for, and how. */
export interface FromHub {
  readonly purpose: HubPurpose;
  readonly hub?: HubOptions | undefined;
}

/**
 * The files of a folder, those of a model of a hub where `fromHub` says for what, or those that were given.
 * @throws ArgumentError for what is none of them; HubError; as `modelFolder`
 */
export async function modelFiles(
  operation: string,
  source: string | ModelFiles,
  fromHub?: FromHub,
): Promise<ModelFiles> {
  if (typeof source === 'string') {
    if (!fromHub) return modelFolder(source);
    const { path, label } = await locateModel(operation, source, fromHub.purpose, fromHub.hub ?? {});
    return modelFolder(path, label);
  }
  if (typeof source === 'object' && source !== null && typeof source.open === 'function') return source;
  throw new ArgumentError(`${operation}: takes a path or { label, open(file) }, got ${describe(source)}`);
}

/** A file as it was opened. @throws ArgumentError where `open` gave something else than a file */
export async function openModelFile(files: ModelFiles, file: string): Promise<FileInput | undefined> {
  const input: unknown = await files.open(file);
  if (input === undefined || typeof input === 'string' || input instanceof Uint8Array || input instanceof Blob)
    return input as FileInput | undefined;
  if (typeof input === 'object' && input !== null && 'byteLength' in input && 'read' in input)
    return input as FileInput;
  throw new ArgumentError(
    `open model: ${files.label}: open('${file}') must give a path, a Blob, a Uint8Array, { byteLength, read } or undefined, gave ${describe(input)}`,
  );
}

/** What to call a file of a model in messages. */
export function fileLabel(files: ModelFiles, file: string): string {
  return `${files.label}/${file}`;
}

/** A small file as text, undefined if there is none. */
export async function readTextFile(files: ModelFiles, file: string): Promise<string | undefined> {
  const input = await openModelFile(files, file);
  if (input === undefined) return undefined;
  if (typeof input === 'string') {
    const { readFile } = nodeFiles();
    const bytes = await readFile(input).catch((cause: unknown) => {
      throw accessError(`cannot read ${fileLabel(files, file)}`, cause);
    });
    return decode(bytes);
  }
  if (input instanceof Uint8Array) return decode(input);
  if ('text' in input) return input.text();
  try {
    return decode(await input.read(0, input.byteLength));
  } finally {
    await input.close?.();
  }
}

/** UTF-8, without the byte order mark that may stand before it. */
function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Asked of the process rather than imported: no bundler for browsers sees a module that it lacks. */
function nodeFiles(): typeof import('node:fs/promises') {
  const files = globalThis.process?.getBuiltinModule?.('node:fs/promises');
  if (files) return files;
  throw new FileFormatError('open model: paths need a runtime with node:fs; pass files instead', {
    code: 'ERR_FILE_ACCESS',
  });
}

function isNotFound(cause: unknown): boolean {
  const { code } = cause as { code?: unknown };
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function accessError(message: string, cause: unknown): FileFormatError {
  if (isNotFound(cause)) return new FileFormatError(`open model: ${message}`, { code: 'ERR_FILE_NOT_FOUND', cause });
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FileFormatError(`open model: ${message}: ${reason}`, { code: 'ERR_FILE_ACCESS', cause });
}
