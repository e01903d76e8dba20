import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The same weights as a model that can be served: with a tokenizer whose every token is a word, and a longer context.
 * @returns the folder, beside the one with the weights, to which it links
 */
export async function withTokenizer(weights: string, vocabulary: number, positions: number): Promise<string> {
  const folder = `${weights}-served`;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  for (const name of await readdir(weights))
    if (name.includes('safetensors')) await symlink(join(weights, name), join(folder, name));
  const config = JSON.parse(await readFile(join(weights, 'config.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: positions }));
  const vocab = Object.fromEntries(Array.from({ length: vocabulary }, (_, id) => [`w${id} `, id]));
  await writeFile(
    join(folder, 'tokenizer.json'),
    JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: 'Fuse' },
      model: { type: 'BPE', vocab, merges: [], unk_token: null, byte_fallback: false, fuse_unk: false },
    }),
  );
  await writeFile(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast' }),
  );
  return folder;
}
