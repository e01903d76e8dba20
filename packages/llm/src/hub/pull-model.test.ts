import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors, writeSafetensors } from '@heddle/tensor/safetensors';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Fault, type HubServer, listedFile, serveHub } from '../../../../test-support/hub-server.ts';
import { tinyGguf } from '../../../../test-support/tiny-gguf.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { inspectModel } from '../inspect/inspect-model.ts';
import { loadModel } from '../load-model.ts';
import { loadTokenizer } from '../tokenizer.ts';
import type { HubOptions } from './hub-options.ts';
import { pullModel } from './pull-model.ts';

const commit = '0123456789abcdef0123456789abcdef01234567';
const text = (value: string) => new TextEncoder().encode(value);
const random = (length: number) => Uint8Array.from({ length }, (_, i) => (i * i * 31 + i * 7) & 255);

let cacheFolder: string;
let servers: HubServer[];
beforeEach(() => {
  cacheFolder = mkdtempSync(join(tmpdir(), 'heddle-hub-'));
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  rmSync(cacheFolder, { recursive: true });
});

const modelFile = async (name: string) => (await tinyLlama().open(name)) as Uint8Array<ArrayBuffer>;
const tiny = async (): Promise<Record<string, Uint8Array>> => ({
  'config.json': await modelFile('config.json'),
  'model.safetensors': await modelFile('model.safetensors'),
  'tokenizer_config.json': text('{}'),
  'pytorch_model.bin': random(200),
  'modeling_custom.py': text('import os'),
  'README.md': text('# a model'),
  'onnx/model.onnx': random(300),
});

async function serve(
  files: Record<string, Uint8Array>,
  fault?: (path: string, attempt: number) => Fault | undefined,
): Promise<{ server: HubServer; options: HubOptions }> {
  const server = await serveHub({ 'owner/name': { commit, files } }, fault);
  servers.push(server);
  return { server, options: { endpoint: server.endpoint, cacheFolder, stallMs: 400, retryMs: 1, tries: 3, token: '' } };
}

const fetched = (server: HubServer) =>
  server.requests
    .filter(({ path }) => path.includes('/resolve/'))
    .map(({ path }) => path.split('/').slice(5).join('/'));
const fails = async (run: Promise<unknown>, code: string, message: RegExp) =>
  expect(await run.catch((error: unknown) => error)).toMatchObject({ code, message: expect.stringMatching(message) });
const inside = (...parts: string[]) => join(cacheFolder, 'models--owner--name', ...parts);
describe('a model of a hub', () => {
  test('lies in the cache as Python puts it there, with what is needed and nothing else', async () => {
    const { server, options } = await serve(await tiny());
    const model = await pullModel('owner/name', options);
    expect(model).toEqual({ label: 'owner/name@main', commit, path: inside('snapshots', commit) });
    expect(fetched(server).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer_config.json']);
    expect(readFileSync(inside('refs', 'main'), 'utf8')).toBe(commit);
    for (const name of ['config.json', 'model.safetensors']) {
      const listed = listedFile(name, (await tiny())[name]!) as { oid: string; lfs?: { oid: string } };
      const blob = listed.lfs?.oid ?? listed.oid;
      expect(readlinkSync(inside('snapshots', commit, name))).toBe(join('..', '..', 'blobs', blob));
      expect(readFileSync(inside('blobs', blob))).toEqual(Buffer.from((await tiny())[name]!));
    }
    // what is there is not fetched again; a commit is not even asked for
    const before = server.requests.length;
    await pullModel('owner/name', options);
    expect(server.requests.slice(before).every(({ path }) => path.startsWith('/api/'))).toBe(true);
    const now = server.requests.length;
    await pullModel(`owner/name@${commit}`, options);
    expect(server.requests).toHaveLength(now);
  });

  test('loads, computes what its files compute, and is inspected by its configuration alone', async () => {
    const { server, options } = await serve(await tiny());
    const report = await inspectModel('owner/name', { hub: options });
    expect(fetched(server)).toEqual(['config.json']);
    expect(report).toEqual({ ...(await inspectModel(tinyLlama())), name: 'owner/name@main' });
    await using device = await openReference();
    const [model, expected] = [
      await loadModel('owner/name', { device, hub: options }),
      await loadModel(tinyLlama(), { device }),
    ];
    const ours = await (await model.logits([[1, 2, 3]])).data();
    expect(ours).toEqual(await (await expected.logits([[1, 2, 3]])).data());
    await model.dispose();
    await expected.dispose();
  });

  test('that Python has downloaded is used, offline, also by its branch', async () => {
    const files = await tiny();
    mkdirSync(inside('blobs'), { recursive: true });
    mkdirSync(inside('refs', 'pr'), { recursive: true });
    mkdirSync(inside('snapshots', commit), { recursive: true });
    writeFileSync(inside('refs', 'pr', '7'), commit);
    for (const [index, name] of ['config.json', 'model.safetensors'].entries()) {
      writeFileSync(inside('blobs', `${index}`.repeat(40)), files[name]!);
      symlinkSync(`../../blobs/${`${index}`.repeat(40)}`, inside('snapshots', commit, name));
    }
    const offline = { cacheFolder, offline: true };
    const { path } = await pullModel('owner/name@pr/7', offline);
    expect(path).toBe(inside('snapshots', commit));
    expect((await inspectModel(path)).parameters.total).toBe((await inspectModel(tinyLlama())).parameters.total);
    await fails(pullModel('owner/name', offline), 'ERR_HUB_OFFLINE', /has not all of owner\/name@main/);
    rmSync(inside('snapshots', commit, 'model.safetensors'));
    await fails(pullModel('owner/name@pr/7', offline), 'ERR_HUB_OFFLINE', /HF_HUB_OFFLINE/);
  });

  test('in shards comes in parallel, and no faster than is allowed', async () => {
    const weights = await openSafetensors(await modelFile('model.safetensors'));
    const map: Record<string, string> = {};
    const files: Record<string, Uint8Array> = { 'config.json': await modelFile('config.json') };
    for (const [index, name] of weights.names().entries()) {
      map[name] = `model-${index}.safetensors`;
      const { dtype, shape } = weights.info(name);
      files[map[name]] = writeSafetensors({ [name]: { dtype, shape, data: await weights.read(name) } });
    }
    files['model.safetensors.index.json'] = text(JSON.stringify({ weight_map: map }));
    const { server, options } = await serve(files, (path) => (path.startsWith('model-') ? { delayMs: 20 } : undefined));
    const progress: number[] = [];
    const { path } = await pullModel('owner/name', {
      ...options,
      maxDownloads: 3,
      onProgress: ({ loadedBytes, totalBytes }) => progress.push(loadedBytes / totalBytes),
    });
    expect(server.mostAtOnce).toBeGreaterThan(1);
    expect(server.mostAtOnce).toBeLessThanOrEqual(3);
    expect(progress.at(-1)).toBe(1);
    expect(Math.max(...progress)).toBe(1);
    expect((await inspectModel(path)).parameters).toEqual((await inspectModel(tinyLlama())).parameters);
    // an index that names what is not there
    const lying = {
      ...files,
      'model.safetensors.index.json': text('{"weight_map":{"a":"../x","b":"gone.safetensors"}}'),
    };
    rmSync(inside(), { recursive: true });
    const other = await serve(lying);
    await fails(pullModel('owner/name', other.options), 'ERR_HUB_NOT_FOUND', /has no "\.\.\/x", which its index names/);
  });

  test('as GGUF: the only file, the one that is named, all parts of one', async () => {
    const files = { 'a.gguf': tinyGguf(), 'README.md': text('x') };
    const one = await serve(files);
    expect((await pullModel('owner/name', one.options)).path).toBe(inside('snapshots', commit, 'a.gguf'));
    rmSync(inside(), { recursive: true });
    const parts = { 'b-00001-of-00002.gguf': random(150), 'b-00002-of-00002.gguf': random(160) };
    const several = await serve({ ...files, ...parts });
    await fails(
      pullModel('owner/name', several.options),
      'ERR_HUB_NOT_FOUND',
      /not one GGUF file \(a\.gguf, b-00001-of-00002\.gguf; name one/,
    );
    const named = await pullModel('owner/name:b-00001-of-00002.gguf', several.options);
    expect(named.path).toBe(inside('snapshots', commit, 'b-00001-of-00002.gguf'));
    expect(readdirSync(inside('snapshots', commit)).sort()).toEqual(Object.keys(parts));
    await fails(pullModel('owner/name:c.gguf', several.options), 'ERR_HUB_NOT_FOUND', /has no c\.gguf/);
    // found again without the network
    expect(await pullModel('owner/name:a.gguf', several.options)).toMatchObject({ commit });
    expect(await pullModel('owner/name:a.gguf', { cacheFolder, offline: true })).toMatchObject({ commit });
  });

  test('has its tokenizer fetched alone, with its chat templates', async () => {
    const template = 'additional_chat_templates/tool.jinja';
    const { server, options } = await serve({ ...(await tiny()), [template]: text('{{ 1 }}') });
    expect((await loadTokenizer('owner/name', { hub: options })).reason).toMatch(
      /owner\/name@main has no tokenizer\.json/,
    );
    expect(fetched(server).sort()).toEqual([template, 'tokenizer_config.json']);
  });

  test('is fetched twice at once without harm', async () => {
    const { options } = await serve({ ...(await tiny()), 'model.safetensors': await modelFile('model.safetensors') });
    const [a, b] = await Promise.all([pullModel('owner/name', options), pullModel('owner/name', options)]);
    expect(a).toEqual(b);
    expect(readFileSync(join(a.path, 'model.safetensors'))).toEqual(Buffer.from(await modelFile('model.safetensors')));
    expect(readdirSync(inside('blobs')).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });
});

describe('a transfer', () => {
  const big = random(300_000);
  const files = async () => ({ 'config.json': await modelFile('config.json'), 'model.safetensors': big });
  const whole = () => expect(readFileSync(inside('snapshots', commit, 'model.safetensors')).equals(big)).toBe(true);
  const ranges = ({ requests }: HubServer) =>
    requests.filter(({ path }) => path.endsWith('.safetensors')).map(({ headers }) => headers.range);

  test('that is cut goes on where it was', async () => {
    const { server, options } = await serve(await files(), (path, attempt) =>
      path === 'model.safetensors' && attempt < 3 ? { cutAfter: 70_000 } : undefined,
    );
    await pullModel('owner/name', options);
    whole();
    const from = ranges(server).map((range) => Number(/\d+/.exec(range ?? '0')));
    expect(from).toHaveLength(4);
    expect(from[3]).toBeGreaterThan(0);
    expect(from).toEqual([...from].sort((a, b) => a - b));
  });

  test('that stalls is tried again; one that stalls always fails, and goes on another day', async () => {
    const once = await serve(await files(), (path, attempt) =>
      path === 'model.safetensors' && attempt === 0 ? { stallAfter: 100_000 } : undefined,
    );
    await pullModel('owner/name', once.options);
    whole();
    rmSync(inside(), { recursive: true });
    const always = await serve(await files(), (path) =>
      path === 'model.safetensors' ? { stallAfter: 1000 } : undefined,
    );
    await fails(
      pullModel('owner/name', { ...always.options, stallMs: 60 }),
      'ERR_HUB_UNREACHABLE',
      /model\.safetensors ended after \d+ of 300000 bytes, in 3 tries: nothing came for 60 ms/,
    );
    const [left] = readdirSync(inside('blobs')).filter((name) => name.endsWith('.incomplete'));
    const { size } = statSync(inside('blobs', left!));
    const { server, options } = await serve(await files());
    await pullModel('owner/name', options);
    whole();
    expect(ranges(server)).toEqual([`bytes=${size}-`]);
  });

  test('goes on after what another program left, also where that is damaged', async () => {
    const { lfs } = listedFile('model.safetensors', big) as { lfs: { oid: string } };
    for (const [start, asked] of [
      [big.slice(0, 5000), ['bytes=5000-']],
      [random(9000).reverse(), ['bytes=9000-', undefined]],
      [random(400_000), [undefined]],
    ] as const) {
      mkdirSync(inside('blobs'), { recursive: true });
      writeFileSync(inside('blobs', `${lfs.oid}.0-abc.incomplete`), start);
      const { server, options } = await serve(await files());
      await pullModel('owner/name', options);
      whole();
      expect(ranges(server)).toEqual(asked);
      rmSync(inside(), { recursive: true });
    }
  });

  test('begins anew where the server gives no ranges', async () => {
    const { options } = await serve(await files(), (path, attempt) => {
      if (path !== 'model.safetensors') return undefined;
      return attempt === 0 ? { cutAfter: 100_000 } : { ignoreRange: true };
    });
    const loaded: number[] = [];
    await pullModel('owner/name', { ...options, onProgress: ({ loadedBytes }) => loaded.push(loadedBytes) });
    whole();
    expect(loaded.at(-1)).toBe(Math.max(...loaded));
  });

  test('waits for a server that is busy', async () => {
    const { options } = await serve(await files(), (_, attempt) =>
      attempt < 2 ? { status: attempt === 0 ? 503 : 429, headers: { 'retry-after': '0' } } : undefined,
    );
    await pullModel('owner/name', options);
    whole();
    const busy = await serve(await files(), () => ({ status: 500 }));
    rmSync(inside(), { recursive: true });
    await fails(
      pullModel('owner/name', busy.options),
      'ERR_HUB_UNREACHABLE',
      /was tried 3 times: it answers with status 500/,
    );
  });

  test('ends with the reason of its signal, and keeps what came', async () => {
    const { options } = await serve(await files(), (path) =>
      path === 'model.safetensors' ? { stallAfter: 50_000 } : undefined,
    );
    const stop = new AbortController();
    const run = pullModel('owner/name', {
      ...options,
      stallMs: 10_000,
      signal: stop.signal,
      onProgress: ({ loadedBytes }) => loadedBytes > 20_000 && stop.abort(new Error('enough')),
    });
    await expect(run).rejects.toThrow('enough');
    const { lfs } = listedFile('model.safetensors', big) as { lfs: { oid: string } };
    const [left, ...others] = readdirSync(inside('blobs')).filter((name) => name.startsWith(lfs.oid));
    expect(left).toMatch(/\.0-\w+\.incomplete$/);
    expect(others).toEqual([]);
  });
});

describe('a token', () => {
  test('goes to the endpoint, and not along a redirect or to where a listing leads', async () => {
    const files = await tiny();
    const storage = await serve(files);
    const { server, options } = await serve(files, (path) =>
      path === 'model.safetensors'
        ? { redirect: `${storage.server.endpoint}/owner/name/resolve/${commit}/model.safetensors` }
        : path === 'config.json'
          ? { redirect: `/owner/name/resolve/${commit}/config.json/../config.json?again` }
          : undefined,
    );
    await fails(
      pullModel('owner/name', { ...options, token: 'hf_secret' }),
      'ERR_HUB_CONTENT',
      /leads on more than 5 times/,
    );
    const authorized = (at: HubServer, path: string) =>
      at.requests.filter((request) => request.path.endsWith(path)).map(({ headers }) => headers.authorization);
    expect(authorized(storage.server, '')).toEqual(expect.not.arrayContaining(['Bearer hf_secret']));
    expect(authorized(storage.server, 'model.safetensors').length).toBeGreaterThan(0);
    const [first, ...others] = authorized(server, '/config.json');
    expect(first).toBe('Bearer hf_secret');
    expect(others.length).toBeGreaterThan(0);
    expect(new Set(others)).toEqual(new Set([undefined]));

    const leading = await serve(files, (path) =>
      path.includes('/tree/')
        ? { json: [], headers: { link: `<${storage.server.endpoint}/steal>; rel="next"` } }
        : undefined,
    );
    await pullModel('owner/name', { ...leading.options, token: 'hf_secret' }).catch(() => {});
    expect(authorized(storage.server, '/steal')).toEqual([undefined]);
  });

  test('that is missing or wrong is said', async () => {
    const closed = await serve(await tiny(), () => ({ status: 401 }));
    await fails(
      pullModel('owner/name', closed.options),
      'ERR_HUB_ACCESS',
      /no such public model, or it needs a token \(HF_TOKEN\)/,
    );
    await fails(
      pullModel('owner/name', { ...closed.options, token: 'x' }),
      'ERR_HUB_ACCESS',
      /the token does not open it/,
    );
    const gated = await serve(await tiny(), (path) =>
      path === 'config.json' ? { status: 403, headers: { 'x-error-code': 'GatedRepo' } } : undefined,
    );
    await fails(pullModel('owner/name', gated.options), 'ERR_HUB_ACCESS', /its terms must be accepted/);
    await fails(pullModel('owner/name', { ...gated.options, token: 'two words' }), 'ERR_ARGUMENT', /the token holds/);
  });
});

describe('a hub that lies', () => {
  test('about content is found out, and nothing of it is kept', async () => {
    const other = await modelFile('model.safetensors').then((bytes) => bytes.map((byte) => byte ^ 1));
    const { options } = await serve(await tiny(), (path) =>
      path === 'model.safetensors' ? { bytes: other } : undefined,
    );
    await fails(
      pullModel('owner/name', options),
      'ERR_HUB_CONTENT',
      /model\.safetensors: its sha256 is not the one that is listed/,
    );
    const { lfs } = listedFile('model.safetensors', (await tiny())['model.safetensors']!) as { lfs: { oid: string } };
    expect(readdirSync(inside('blobs')).filter((name) => name.startsWith(lfs.oid))).toEqual([]);
    expect(readdirSync(inside())).not.toContain('refs');
    rmSync(inside(), { recursive: true });
    const small = await serve(await tiny(), (path) => (path === 'config.json' ? { bytes: text('{}') } : undefined));
    await fails(
      pullModel('owner/name', small.options),
      'ERR_HUB_CONTENT',
      /the server gives 2 bytes from 0 on, \d+ bytes are listed/,
    );
  });

  test.each([
    '../../outside',
    '/etc/outside',
    '..\\outside',
    'C:\\outside',
    'a/../../outside',
    'a//b',
    '.',
    '',
    'a\0b',
  ])('about names (%j) is refused', async (path) => {
    const { options } = await serve(await tiny(), (asked) =>
      asked.includes('/tree/') ? { json: [listedFile(path, text('x'))] } : undefined,
    );
    await fails(pullModel('owner/name', options), 'ERR_HUB_CONTENT', /which leaves its folder/);
    expect(readdirSync(cacheFolder)).toEqual([]);
  });

  const entry = { type: 'file', path: 'config.json', size: 2, oid: 'a'.repeat(40) };
  test.each<[string, Fault]>([
    ['a commit', { json: { id: 'owner/name', sha: '../../x' } }],
    ['no object', { json: [] }],
    ['null', { json: null }],
  ])('about the revision (%s) is refused', async (_, fault) => {
    const { options } = await serve(await tiny(), (path) => (path.includes('/revision/') ? fault : undefined));
    await fails(pullModel('owner/name', options), 'ERR_HUB_CONTENT', /owner\/name/);
  });
  test.each<[string, unknown]>([
    ['a digest', [{ ...entry, oid: '../../../x' }]],
    ['a size', [{ ...entry, size: -1 }]],
    ['a fractional size', [{ ...entry, size: 1.5 }]],
    ['a large file', [{ ...entry, lfs: { oid: 'x', size: 1 } }]],
    ['a path', [{ ...entry, path: 7 }]],
    ['no list', { a: 1 }],
    ['null', null],
    ['nulls', [null]],
  ])('about files (%s) is refused', async (_, json) => {
    const { options } = await serve(await tiny(), (path) => (path.includes('/tree/') ? { json } : undefined));
    await fails(pullModel('owner/name', options), 'ERR_HUB_CONTENT', /owner\/name/);
    expect(readdirSync(cacheFolder)).toEqual([]);
  });

  test('about where a listing ends is left', async () => {
    const { server, options } = await serve(await tiny(), (path) =>
      path.includes('/tree/') ? { json: [], headers: { link: `<${options.endpoint}${path}>; rel="next"` } } : undefined,
    );
    await fails(pullModel('owner/name', options), 'ERR_HUB_CONTENT', /the listing does not end/);
    expect(server.requests.length).toBeLessThan(200);
  });

  test('about what is not there', async () => {
    const { options } = await serve(await tiny(), (path) => (path === 'config.json' ? { status: 404 } : undefined));
    await fails(pullModel('owner/name', options), 'ERR_HUB_NOT_FOUND', /there is no such file, though it is listed/);
    await fails(pullModel('owner/other', options), 'ERR_HUB_NOT_FOUND', /no model owner\/other with revision main/);
    await fails(pullModel('owner/name@v9', options), 'ERR_HUB_NOT_FOUND', /no model owner\/name with revision v9/);
    const empty = await serve({ 'README.md': text('x') });
    await fails(
      pullModel('owner/name', empty.options),
      'ERR_HUB_NOT_FOUND',
      /has no safetensors, and not one GGUF file \(it has none/,
    );
    await using device = await openReference();
    await fails(
      loadModel('owner/gone', { device, hub: options }),
      'ERR_HUB_NOT_FOUND',
      /nor is there a folder owner\/gone/,
    );
  });
});

test('a hub that is gone leaves what the cache has', async () => {
  const { server, options } = await serve(await tiny());
  await fails(
    pullModel('owner/name', { ...options, endpoint: 'http://127.0.0.1:9' }),
    'ERR_HUB_UNREACHABLE',
    /was tried 3 times/,
  );
  const { path } = await pullModel('owner/name', options);
  await server.close();
  servers = [];
  expect((await pullModel('owner/name', options)).path).toBe(path);
});

test('a redirect from https to http is not followed; endpoints and options are checked', async () => {
  await fails(pullModel('owner/name', { endpoint: 'ftp://x' }), 'ERR_ARGUMENT', /must be an http or https address/);
  await fails(pullModel('owner/name', { tries: 0 }), 'ERR_ARGUMENT', /tries must be a positive integer/);
  await fails(pullModel('owner/name', { cache: 'x' } as object), 'ERR_ARGUMENT', /has no option cache/);
  await fails(pullModel('../x'), 'ERR_ARGUMENT', /named owner\/name/);
});

test('the environment says where from and where to', async () => {
  const { server } = await serve(await tiny());
  vi.stubEnv('HF_ENDPOINT', server.endpoint);
  vi.stubEnv('HF_HOME', cacheFolder);
  vi.stubEnv('HF_TOKEN', 'hf_env');
  vi.stubEnv('HF_HUB_CACHE', '');
  vi.stubEnv('HUGGINGFACE_HUB_CACHE', '');
  try {
    const { path } = await pullModel('owner/name');
    expect(path).toBe(join(cacheFolder, 'hub', 'models--owner--name', 'snapshots', commit));
    expect(server.requests[0]!.headers.authorization).toBe('Bearer hf_env');
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const before = server.requests.length;
    expect((await pullModel('owner/name')).path).toBe(path);
    expect(server.requests).toHaveLength(before);
  } finally {
    vi.unstubAllEnvs();
  }
});
