import { HubError } from './hub-error.ts';
import type { HubId } from './hub-id.ts';
import type { RemoteFile, Repository } from './repository.ts';

/** What a model is fetched for: to be loaded, with what makes vectors of its texts, to have its texts encoded, or to be described. */
export type HubPurpose = 'model' | 'embedding' | 'tokenizer' | 'config';

const configFiles = ['config.json', 'generation_config.json'];
const tokenizerFiles = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'chat_template.json'];
const embeddingFiles = ['modules.json', 'config_sentence_transformers.json', 'sentence_bert_config.json'];
const modules = /^\d+_\w+\/(?:config\.json|model\.safetensors)$/;
const templates = /^additional_chat_templates\/[^/]+\.jinja$/;
export const weightsFile = 'model.safetensors';
export const indexFile = 'model.safetensors.index.json';

/** Files to fetch. What holds an index goes on with `shardsOf`. */
export interface NeededFiles {
  readonly files: readonly RemoteFile[];
  /** The GGUF file, where the model is one: of several parts the first. */
  readonly gguf?: string;
}

/**
 * What is needed of a repository, never more: no code, no other formats.
 * @throws HubError `ERR_HUB_NOT_FOUND` for a repository without what is asked of it, which it then lists
 */
export function neededFiles(id: HubId, { files }: Repository, purpose: HubPurpose): NeededFiles {
  const present = (names: readonly string[]) => names.flatMap((name) => files.get(name) ?? []);
  if (id.file !== undefined || (purpose === 'model' && !hasFolder(files))) return neededGguf(id, files);
  const text = [...present(tokenizerFiles), ...[...files.values()].filter(({ path }) => templates.test(path))];
  if (purpose === 'tokenizer') return { files: text };
  if (!files.has('config.json')) throw missing(id, 'has no config.json', files);
  if (purpose === 'config') return { files: present(configFiles) };
  if (!hasFolder(files)) throw missing(id, 'has no safetensors', files);
  if (purpose === 'embedding')
    text.push(...present(embeddingFiles), ...[...files.values()].filter(({ path }) => modules.test(path)));
  return { files: [...present(configFiles), ...text, files.get(weightsFile) ?? files.get(indexFile)!] };
}

const hasFolder = (files: Repository['files']): boolean =>
  files.has('config.json') && (files.has(weightsFile) || files.has(indexFile));

/** One GGUF file, or all parts of one. */
function neededGguf(id: HubId, files: Repository['files']): NeededFiles {
  const all = [...files.values()].filter(({ path }) => /\.gguf$/i.test(path));
  const heads = all.filter(({ path }) => !/-of-\d{5}\.gguf$/i.test(path) || /-00001-of-\d{5}\.gguf$/i.test(path));
  const head = id.file === undefined ? (heads.length === 1 ? heads[0] : undefined) : files.get(id.file);
  if (!head) {
    const what = id.file === undefined ? 'has no safetensors, and not one GGUF file' : `has no ${id.file}`;
    throw missing(id, what, new Map(heads.map((file) => [file.path, file])));
  }
  const parts = ggufParts(head.path);
  const found = parts.flatMap((path) => files.get(path) ?? []);
  if (found.length < parts.length) throw missing(id, `lacks parts of ${head.path}`, files);
  return { files: found, gguf: head.path };
}

/** Names of all parts of a GGUF file, of which one is named. */
export function ggufParts(path: string): readonly string[] {
  const [, start, count] = /^(.*)-\d{5}-of-(\d{5})\.gguf$/i.exec(path) ?? [];
  if (count === undefined) return [path];
  return Array.from(
    { length: Math.max(1, Number(count)) },
    (_, i) => `${start}-${String(i + 1).padStart(5, '0')}-of-${count}.gguf`,
  );
}

/** Names of the shards that an index lists; an index that cannot be read lists none, and is refused where it is opened. */
export function shardNames(index: string): readonly string[] {
  try {
    const { weight_map: map } = JSON.parse(index) as { weight_map?: Record<string, unknown> };
    return [...new Set(Object.values(map ?? {}).filter((name) => typeof name === 'string'))];
  } catch {
    return [];
  }
}

/** The shards that an index lists. @throws HubError `ERR_HUB_NOT_FOUND` for one that the repository has not */
export function shardsOf(id: HubId, { files }: Repository, index: string): readonly RemoteFile[] {
  return shardNames(index).map((name) => {
    const file = files.get(name);
    if (!file) throw missing(id, `has no ${JSON.stringify(name.slice(0, 100))}, which its index names`, files);
    return file;
  });
}

function missing(id: HubId, what: string, files: Repository['files']): HubError {
  const names = [...files.keys()];
  const some = names.length === 0 ? 'it has none' : names.slice(0, 12).join(', ');
  const hint = id.file === undefined && what.includes('GGUF') && names.length > 1 ? '; name one: owner/name:FILE' : '';
  return new HubError('ERR_HUB_NOT_FOUND', `${id.name} ${what} (${some}${names.length > 12 ? ', ...' : ''}${hint})`);
}
