import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isHeddleError } from '@heddle/tensor';
import { type FileInput, writeSafetensors } from '@heddle/tensor/safetensors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openModelFolder } from './folder.ts';

const config = JSON.stringify({
  architectures: ['LlamaForCausalLM'],
  vocab_size: 8,
  hidden_size: 4,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  eos_token_id: 2,
});
const tensor = (value: number) => ({ dtype: 'F32', shape: [1], data: new Float32Array([value]) }) as const;
const weights = writeSafetensors({ one: tensor(1), two: tensor(2) });
const shards = {
  'a.safetensors': writeSafetensors({ one: tensor(1) }),
  'b.safetensors': writeSafetensors({ two: tensor(2) }),
};
const index = JSON.stringify({ weight_map: { one: 'a.safetensors', two: 'b.safetensors' } });

type Files = Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>;
const single: Files = { 'config.json': config, 'model.safetensors': weights };

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'heddle-folder-'));
});
afterAll(() => rm(root, { recursive: true }));

let folders = 0;
async function folderOf(files: Files): Promise<string> {
  const path = join(root, `model-${folders++}`);
  await mkdir(path);
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
  return path;
}

/** Files that are in memory, as a browser has them. */
function inMemory(
  files: Files,
  kind: (content: Uint8Array<ArrayBuffer>) => FileInput = (content) => new Blob([content]),
) {
  return {
    label: 'picked files',
    open(name: string) {
      const content = files[name];
      if (content === undefined) return undefined;
      return kind(typeof content === 'string' ? new TextEncoder().encode(content) : content);
    },
  };
}

describe('opens a folder', () => {
  test('with one file of weights', async () => {
    const path = await folderOf(single);
    const folder = await openModelFolder(path);
    expect(folder.label).toBe(path);
    expect(folder.model.config).toMatchObject({ architecture: 'llama', hiddenSize: 4, eosTokenIds: [2] });
    expect(folder.tokenizer).toEqual({ tokenizer: undefined, reason: `${path} has no tokenizer.json` });
    expect(folder.weights.names()).toEqual(['one', 'two']);
    await folder.close();
    await folder.close();
    await expect(folder.weights.read({ stored: ['one'], shape: [] }, 'f32')).rejects.toMatchObject({
      code: 'ERR_DISPOSED',
    });
  });

  test('with shards, and a generation configuration', async () => {
    const generation = JSON.stringify({ eos_token_id: [3, 4] });
    const { 'model.safetensors': _, ...rest } = single;
    const more = { 'model.safetensors.index.json': index, 'generation_config.json': generation, ...shards };
    const folder = await openModelFolder(await folderOf({ ...rest, ...more }));
    expect(folder.model.config.eosTokenIds).toEqual([3, 4]);
    expect((await folder.weights.read({ stored: ['two'], shape: [] }, 'f32')).data[0]).toBe(2);
    await folder.close();
  });

  test('with one file beside an index that is left over, with its shards or without', async () => {
    const old = {
      'a.safetensors': writeSafetensors({ one: tensor(7) }),
      'b.safetensors': writeSafetensors({ two: tensor(8) }),
    };
    for (const left of [{}, old]) {
      const folder = await openModelFolder(
        await folderOf({ ...single, 'model.safetensors.index.json': index, ...left }),
      );
      expect((await folder.weights.read({ stored: ['two'], shape: [] }, 'f32')).data[0]).toBe(2);
      expect(folder.notes.all.join()).toMatch(/model\.safetensors\.index\.json is not used/);
      expect(folder.notes.deviations).toEqual([]);
      await folder.close();
    }
  });

  test('whose JSON Python wrote: numbers that JSON lacks in fields that are not read, and a byte order mark', async () => {
    const { 'model.safetensors': _, ...rest } = single;
    const odd = config.replace(
      '{',
      '\ufeff{"time_step_limit": [0.0, Infinity, {"__float__": "Infinity"}], "x": [NaN, -Infinity, "NaN \\" Infinity"],',
    );
    const files = { ...rest, 'config.json': odd, 'model.safetensors.index.json': `\ufeff${index}`, ...shards };
    for (const source of [await folderOf(files), inMemory(files)]) {
      const folder = await openModelFolder(source);
      expect(folder.model.config.hiddenSize).toBe(4);
      await folder.close();
    }
    for (const [field, value] of [
      ['vocab_size', 'Infinity'],
      ['rms_norm_eps', 'NaN'],
      ['rms_norm_eps', '{"__float__": "Infinity"}'],
    ])
      await expect(
        openModelFolder(
          inMemory({
            ...files,
            'config.json': config
              .replace('{', '{"rms_norm_eps": 1,')
              .replace(new RegExp(`"${field}": ?[0-9]+`), `"${field}": ${value}`),
          }),
        ),
      ).rejects.toThrow(`${field}: expected`);
  });

  const kinds: [string, (content: Uint8Array<ArrayBuffer>) => FileInput][] = [
    ['a Blob', (content) => new Blob([content])],
    ['bytes', (content) => content],
    ['a source', (content) => ({ byteLength: content.length, read: async (at, n) => content.subarray(at, at + n) })],
  ];
  test.each(kinds)('from files that are not on disk: %s', async (_name, kind) => {
    for (const files of [single, { 'config.json': config, 'model.safetensors.index.json': index, ...shards }]) {
      const folder = await openModelFolder(inMemory(files, kind));
      expect(folder.weights.names()).toEqual(['one', 'two']);
      await folder.close();
    }
  });
});

describe('what is missing or damaged is named', () => {
  const { 'model.safetensors': _, ...noWeights } = single;
  const indexed = { ...noWeights, 'model.safetensors.index.json': index };
  const cases: [string, Files, string, RegExp][] = [
    ['no configuration', { 'model.safetensors': weights }, 'ERR_FILE_NOT_FOUND', /has no config\.json/],
    [
      'no weights',
      noWeights,
      'ERR_FILE_NOT_FOUND',
      /has no weights: neither model\.safetensors nor model\.safetensors\.index\.json/,
    ],
    [
      'no shard',
      { ...indexed, 'a.safetensors': shards['a.safetensors'] },
      'ERR_FILE_NOT_FOUND',
      /has no b\.safetensors, which its model\.safetensors\.index\.json names/,
    ],
    [
      'unknown architecture',
      { ...single, 'config.json': '{"architectures":["Novel"]}' },
      'ERR_UNKNOWN_ARCHITECTURE',
      /config\.json: unknown architecture: expected one of LlamaForCausalLM, .*, got Novel/,
    ],
    ['damaged configuration', { ...single, 'config.json': '{' }, 'ERR_CONFIG', /\/config\.json: expected JSON/],
    [
      'damaged generation configuration',
      { ...single, 'generation_config.json': '[]' },
      'ERR_CONFIG',
      /\/generation_config\.json: expected a JSON object/,
    ],
    ['damaged tokenizer', { ...single, 'tokenizer.json': '{}' }, 'ERR_TOKENIZER', /\/tokenizer\.json: /],
    [
      'truncated weights',
      { ...single, 'model.safetensors': weights.slice(0, -1) },
      'ERR_SAFETENSORS_TRUNCATED',
      /truncated: the tensors end at byte \d+, the file at \d+/,
    ],
    ['empty weights', { ...single, 'model.safetensors': '' }, 'ERR_SAFETENSORS_TRUNCATED', /the file at 0/],
    [
      'damaged index',
      { ...indexed, 'model.safetensors.index.json': '{}' },
      'ERR_SAFETENSORS_INDEX',
      /weight_map must be an object/,
    ],
    [
      'truncated shard',
      { ...indexed, ...shards, 'b.safetensors': shards['b.safetensors'].slice(0, 40) },
      'ERR_SAFETENSORS_TRUNCATED',
      /the header ends at/,
    ],
  ];
  test.each(cases)('%s', async (_name, files, code, message) => {
    for (const source of [await folderOf(files), inMemory(files)]) {
      const error = await openModelFolder(source).catch((thrown: unknown) => thrown);
      expect(isHeddleError(error, code), String(error)).toBe(true);
      if (typeof source === 'string') expect((error as Error).message).toMatch(message);
    }
  });

  test('no folder, or a file in its place', async () => {
    const path = await folderOf(single);
    const cases: [string, string][] = [
      [join(root, 'nowhere'), `open model: no folder at ${join(root, 'nowhere')}`],
      [join(path, 'config.json'), `open model: ${join(path, 'config.json')} is a file, not a folder`],
    ];
    for (const [source, message] of cases) {
      await expect(openModelFolder(source)).rejects.toMatchObject({ code: 'ERR_FILE_NOT_FOUND', message });
    }
  });

  test('what is in the place of a file and is none is not read', async () => {
    const path = await folderOf(single);
    await mkdir(join(path, 'tokenizer.json'));
    await expect(openModelFolder(path)).rejects.toThrow(
      expect.objectContaining({
        code: 'ERR_FILE_ACCESS',
        message: `open model: cannot read ${path}/tokenizer.json: it is not a file`,
      }),
    );
  });

  test.skipIf(!existsSync('/proc/self/fd'))('nothing stays open (needs /proc/self/fd)', async () => {
    const before = (await readdir('/proc/self/fd')).length;
    const path = await folderOf({ ...indexed, ...shards, 'b.safetensors': 'damaged' });
    for (let i = 0; i < 20; i++) await openModelFolder(path).catch(() => {});
    expect((await readdir('/proc/self/fd')).length).toBeLessThan(before + 10);
  });
});

const shared = '../shared/models/stories260K';
describe.skipIf(!existsSync(shared))(`a real folder (needs ${shared})`, () => {
  test('opens with everything', async () => {
    const folder = await openModelFolder(shared);
    expect(folder.model.config).toMatchObject({ vocabularySize: 512, layers: 5 });
    expect(folder.tokenizer.tokenizer?.encode('Once upon a time')).toEqual([1, 403, 407, 261, 378]);
    expect(folder.weights.info('model.embed_tokens.weight').shape).toEqual([512, 64]);
    await folder.close();
  });

  test('truncated anywhere in its weights it is refused', async () => {
    const [configText, bytes] = await Promise.all([
      readFile(`${shared}/config.json`, 'utf8'),
      readFile(`${shared}/model.safetensors`),
    ]);
    for (const length of [0, 7, 8, 100, 5000, 100_000, bytes.length - 1]) {
      const files = { 'config.json': configText, 'model.safetensors': Uint8Array.from(bytes.subarray(0, length)) };
      await expect(openModelFolder(inMemory(files))).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_TRUNCATED' });
    }
  });
});
