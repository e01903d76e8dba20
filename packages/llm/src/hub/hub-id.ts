import { ArgumentError } from '@heddle/tensor';

/** A model of a hub. */
export interface HubId {
  /** `owner/name` */
  readonly name: string;
  /** Branch, tag or commit. Default `main`. */
  readonly revision: string;
  /** A GGUF file of it, where one is named. */
  readonly file?: string;
}

const part = '[A-Za-z0-9](?:[\\w.-]{0,94}[\\w])?';
const pattern = new RegExp(`^(${part}/${part})(?:@([\\w./-]{1,200}))?(?::([^/\\\\:]{1,200}\\.gguf))?$`, 'i');

/** Reads `owner/name`, `owner/name@revision`, `owner/name:file.gguf`; undefined for what is none, as paths are. */
export function parseHubId(text: string): HubId | undefined {
  const [, name, revision = 'main', file] = pattern.exec(text) ?? [];
  if (name === undefined || name.includes('..') || name.includes('--') || !isPlainPath(revision)) return undefined;
  return { name, revision, ...(file !== undefined && { file }) };
}

/** @throws ArgumentError saying how a model of a hub is named */
export function hubIdOf(operation: string, text: string): HubId {
  const id = typeof text === 'string' ? parseHubId(text) : undefined;
  if (id) return id;
  throw new ArgumentError(
    `${operation}: a model of a hub is named owner/name, owner/name@revision or owner/name:file.gguf, got ${JSON.stringify(text)}`,
  );
}

/** Whether a name, of a file or of a revision, stays within the folder that it is put in. */
export function isPlainPath(path: string): boolean {
  // no drive letters, other separators or control characters either
  if (/[\\:<>"|?*]/.test(path) || [...path].some((character) => character.charCodeAt(0) < 32)) return false;
  // '.' and '..' end with a dot, too
  return path.split('/').every((segment) => segment !== '' && !/[. ]$/.test(segment));
}
