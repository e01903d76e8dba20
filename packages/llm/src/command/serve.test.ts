import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { times } from '../../../../test-support/properties.ts';
import { parseServe } from './options/serve-options.ts';
import { UsageError } from './options/usage.ts';
import { hostsOf } from './serve.ts';

const bin = fileURLToPath(new URL('../../bin/heddle.js', import.meta.url));
const prose = fileURLToPath(new URL('../../../../examples/models/prose4m', import.meta.url));

test('a server that is started, asked, and stopped while it answers', async () => {
  const args = [
    'serve',
    '--model',
    `prose=${prose}`,
    '--port',
    '0',
    '--device',
    'onnx',
    '--context',
    '400',
    '--grace',
    '60',
    '--json',
  ];
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  await expect
    .poll(() => /http:\/\/127\.0\.0\.1:\d+\/v1/.exec(out)?.[0], { timeout: 120_000, message: err })
    .toBeTruthy();
  const { models, url, page } = JSON.parse(out) as { models: string[]; url: string; page: string };
  expect([models, `${page}v1`]).toEqual([['prose'], url]);
  const body = JSON.stringify({
    model: 'prose',
    prompt: 'Once upon a time',
    max_tokens: 40,
    temperature: 0,
    stream: true,
  });
  const response = await fetch(`${url}/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  child.kill('SIGTERM');
  const text = await response.text();
  expect(text).toContain('[DONE]');
  expect(await ended).toBe(0);
  // a line for each request, without what was said
  expect(err).toContain('"path":"/v1/completions","status":200');
  expect(err).not.toContain('Once');
}, 180_000);

/** In `npm run soak`: processes take long to start. */
test.runIf(times >= 10)(
  'a second signal cuts off what is under way, and the exit code says so',
  async () => {
    const args = ['serve', '--model', `prose=${prose}`, '--port', '0', '--device', 'onnx', '--grace', '600', '--quiet'];
    const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await expect.poll(() => /http:\/\/127\.0\.0\.1:\d+\/v1/.exec(out)?.[0], { timeout: 120_000 }).toBeTruthy();
    const url = `${/http:\/\/127\.0\.0\.1:\d+\/v1/.exec(out)![0]}/completions`;
    const body = JSON.stringify({ model: 'prose', prompt: 'It was', max_tokens: 480, ignore_eos: true, stream: true });
    const ask = () => fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const answers = await Promise.all(Array.from({ length: 16 }, ask));
    child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 700));
    child.kill('SIGTERM');
    const texts = await Promise.all(answers.map((answer) => answer.text().catch(() => 'cut')));
    expect(texts.some((text) => !text.includes('[DONE]'))).toBe(true);
    expect(await ended).toBe(1);
  },
  180_000,
);

test.for([
  [[], /serve needs --model/],
  [['--model', 'a', '--host', '0.0.0.0'], /needs --api-key KEY/],
  [['--model', 'a', '--api-key', 'short'], /at least 8 characters/],
  [['--model', 'x/a', '--model', 'y/a'], /two models are called 'a'/],
  [['--model', 'a', '--port', '70000'], /up to 65535/],
  [['--model', 'a', '--idel', '3'], /no option --idel, perhaps --idle is meant/],
  [['--model', 'a', '--adapter', 'b'], /NAME=FOLDER/],
  [['--model', 'a', '--adapter', 'b@c=d'], /no model 'c' that generates text/],
  [['--model', 'a', '--model', 'b', '--adapter', 'c=d'], /say which as NAME@MODEL=FOLDER/],
  [['--model', 'a', '--adapter', 'a=d'], /two models are called 'a'/],
  [['--model', 'a', '--adapter', 'b=c', '--adapter', 'b=d'], /two adapters are called 'b'/],
  [['--model', 'a', '--cache-dir-size', '5 bananas'], /--cache-dir-size takes bytes with a unit/],
  [['--model', 'a', '--drop-line', '('], /--drop-line: .*regular expression/],
] as const)('%j is wrong use', ([args, message]) => {
  expect(() => parseServe(args, {})).toThrow(UsageError);
  expect(() => parseServe(args, {})).toThrow(message);
});

test('under which names it answers', () => {
  const own = ['localhost', '127.0.0.1', '[::1]'];
  expect(hostsOf({ host: 'fe80::1', hosts: ['box.lan'], keys: [] })).toEqual([...own, '[fe80::1]', 'box.lan']);
  expect(hostsOf({ host: '0.0.0.0', hosts: ['box.lan'], keys: [] })).toEqual([...own, 'box.lan']);
  expect(hostsOf({ host: '0.0.0.0', hosts: [], keys: ['a-long-key'] })).toBe('*');
  expect(hostsOf({ host: '::', hosts: [], keys: [] })).toEqual([...own, '<address>']);
});

test('names, keys and hosts', () => {
  const args = [
    '--model',
    'small=models/a',
    '--model',
    'owner/b',
    '--model',
    'c/d.gguf',
    '--host',
    '0.0.0.0',
    '--api-key',
    'one-long-key',
  ];
  expect(parseServe(args, { HEDDLE_API_KEY: 'other-long-key' })).toMatchObject({
    models: [
      { id: 'small', source: 'models/a' },
      { id: 'b', source: 'owner/b' },
      { id: 'd', source: 'c/d.gguf' },
    ],
    keys: ['one-long-key', 'other-long-key'],
    port: 8080,
  });
  expect(parseServe(['--model', 'a', '--host', '0.0.0.0', '--insecure'], {}).keys).toEqual([]);
  const several = [
    '--model',
    'a',
    '--model',
    'b',
    '--adapter',
    'c@b=d/e',
    '--cache-dir',
    'f',
    '--cache-dir-size',
    '2GiB',
  ];
  expect(parseServe(several, {})).toMatchObject({
    models: [{ adapters: {} }, { adapters: { c: 'd/e' } }],
    cacheFolder: 'f',
    memoryBytes: undefined,
    cacheFolderBytes: 2 ** 31,
  });
});
