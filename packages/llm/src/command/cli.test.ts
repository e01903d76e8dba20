import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sharedMissing } from '../../../../test-support/shared.ts';

const bin = fileURLToPath(new URL('../../bin/heddle.js', import.meta.url));
const path = 'models/stories260K';
const model = fileURLToPath(new URL(`../../../../../shared/${path}`, import.meta.url));
const seconds = 180_000;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command; `onOutput` may signal it. */
function heddle(args: readonly string[], onOutput?: (kill: (signal: NodeJS.Signals) => void) => void): Promise<Ended> {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += chunk;
    onOutput?.((signal) => child.kill(signal));
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}

/** A line on standard error, nothing on standard output. */
async function fails(args: readonly string[], code: number, message: RegExp): Promise<void> {
  const ended = await heddle(args);
  expect(ended).toMatchObject({ code, out: '' });
  expect(ended.err.trimEnd().split('\n')).toHaveLength(1);
  expect(ended.err).toMatch(message);
}

describe('the heddle command', () => {
  test(
    'help and version',
    async () => {
      expect(await heddle(['--help'])).toMatchObject({ code: 0, err: '' });
      expect((await heddle(['--version'])).out).toMatch(/^\d+\.\d+\.\d+/);
    },
    seconds,
  );

  test(
    'wrong use: one line, exit code 2',
    async () => {
      await fails([], 2, /a command is needed/);
      await fails(['frobnicate'], 2, /no command 'frobnicate'/);
      await fails(['generate'], 2, /needs --model MODEL/);
    },
    seconds,
  );

  test(
    'a missing folder: one line, exit code 1',
    async () => {
      await fails(
        ['generate', '--model', '/no/such/model', '--device', 'reference'],
        1,
        /no folder at \/no\/such\/model/,
      );
    },
    seconds,
  );

  test(
    'devices are listed with what they are',
    async () => {
      const { code, out } = await heddle(['devices', '--json']);
      expect(code).toBe(0);
      const names = (JSON.parse(out) as { device: string; description: string }[]).map(({ device }) => device);
      expect(names).toEqual(expect.arrayContaining(['webgpu', 'onnx', 'reference']));
    },
    seconds,
  );
});

test(
  'an output that cannot be written: one line, exit code 1',
  async (context) => {
    if (!existsSync('/dev/full')) context.skip('there is no /dev/full');
    const child = spawn('sh', ['-c', `"${process.execPath}" "${bin}" --help > /dev/full`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(err).toMatch(/^heddle: standard output: ENOSPC.*\n$/);
    expect(code).toBe(1);
  },
  seconds,
);

describe('the heddle command on a real model', () => {
  beforeEach((context) => {
    if (!existsSync(model)) context.skip(sharedMissing(path));
  });
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'heddle-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const damaged = (name: string, change: (copy: string) => void): string => {
    const copy = join(folder, name);
    cpSync(model, copy, { recursive: true });
    change(copy);
    return copy;
  };

  test(
    'writes the text that transformers writes, as one JSON object',
    async () => {
      const golden = JSON.parse(readFileSync(join(model, 'golden-greedy.json'), 'utf8')) as Record<
        string,
        { prompt: number[]; tokens: number[] }
      >;
      const { prompt, tokens } = golden['Once upon a time']!;
      const line = [
        'generate',
        '--model',
        model,
        '--prompt',
        'Once upon a time',
        '--max-tokens',
        '100',
        '--temperature',
        '0',
        '--json',
        '--device',
        'onnx',
      ];
      const { code, out, err } = await heddle(line);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      const report = JSON.parse(out) as Record<string, unknown>;
      expect(report).toMatchObject({ prompt_tokens: prompt, tokens: tokens.slice(0, 100), finish_reason: 'length' });
      expect(report['text']).toMatch(/^, there was a little girl named Lily\. She loved to play/);
      expect(report['timings']).toMatchObject({
        load_ms: expect.any(Number),
        decode_tokens_per_s: expect.any(Number),
      });
    },
    seconds,
  );

  test(
    'follows what the files say of generating, and says what it does not apply',
    async () => {
      const settings = { max_new_tokens: 4, num_beams: 2, top_k: -1 };
      const told = damaged('told', (copy) => {
        rmSync(join(copy, 'generation_config.json'));
        writeFileSync(join(copy, 'generation_config.json'), JSON.stringify(settings));
      });
      const line = ['generate', '--model', told, '--prompt', 'Once', '--device', 'reference', '--seed', '1', '--json'];
      const { out, err } = await heddle(line);
      expect((JSON.parse(out) as { tokens: number[] }).tokens).toHaveLength(4);
      expect(err.trimEnd().split('\n')).toEqual([
        expect.stringMatching(/^heddle: .*num_beams 2 is not applied$/),
        expect.stringMatching(/^heddle: .*top_k is left out: .* got -1$/),
        expect.stringMatching(/^heddle: --seed has no effect/),
      ]);
    },
    seconds,
  );

  test(
    'reads a GGUF file',
    async () => {
      const gguf = join(model, 'stories260K-q8_0.gguf');
      const { out, err } = await heddle([
        'generate',
        '--model',
        gguf,
        '--prompt',
        'Once upon a time',
        '--max-tokens',
        '4',
        '--device',
        'reference',
        '--json',
      ]);
      expect(err).toBe('');
      expect(JSON.parse(out)).toMatchObject({ prompt_tokens: [1, 403, 407, 261, 378], tokens: [432, 383, 286, 261] });
    },
    seconds,
  );

  test(
    'figures that nobody reads are no failure',
    async () => {
      const line = ['generate', '--model', model, '--prompt', 'Once', '--max-tokens', '3', '--device', 'reference'];
      const child = spawn(process.execPath, [bin, ...line], { stdio: ['ignore', 'ignore', 'pipe'] });
      child.stderr.destroy();
      expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(0);
    },
    seconds,
  );

  test(
    'works without a tokenizer',
    async () => {
      const bare = damaged('no-tokenizer', (copy) => rmSync(join(copy, 'tokenizer.json')));
      const line = ['generate', '--model', bare, '--max-tokens', '3', '--device', 'reference'];
      const { out } = await heddle([...line, '--prompt-tokens', '1,403,407,261,378', '--json']);
      expect(JSON.parse(out)).toMatchObject({ tokens: [432, 383, 286], text: null });
      await fails([...line, '--prompt', 'Once'], 1, /no tokenizer\.json: give the prompt as --prompt-tokens/);
    },
    seconds,
  );

  test(
    'files that are damaged, and a prompt longer than the context',
    async () => {
      const cut = damaged('cut', (copy) => truncateSync(join(copy, 'model.safetensors'), 300_000));
      await fails(['generate', '--model', cut, '--device', 'reference'], 1, /safetensors/);
      const unknown = damaged('unknown', (copy) =>
        writeFileSync(join(copy, 'config.json'), '{"architectures":["MambaForCausalLM"]}'),
      );
      await fails(
        ['generate', '--model', unknown, '--device', 'reference'],
        1,
        /unknown architecture: expected one of LlamaForCausalLM, .*, got MambaForCausalLM/,
      );
      const long = Array.from({ length: 600 }, () => 5).join(',');
      await fails(
        ['generate', '--model', model, '--prompt-tokens', long, '--device', 'reference'],
        1,
        /prompt has 600 tokens.*context of 512/,
      );
    },
    seconds,
  );

  test(
    'Ctrl-C stops the generation and prints what there is',
    async () => {
      let sent = false;
      const { code, out } = await heddle(
        [
          'generate',
          '--model',
          model,
          '--prompt',
          'Once',
          '--max-tokens',
          '400',
          '--ignore-eos',
          '--device',
          'reference',
        ],
        (kill) => {
          if (!sent) kill('SIGINT');
          sent = true;
        },
      );
      expect(code).toBe(130);
      expect(out.length).toBeGreaterThan(4);
    },
    seconds,
  );
});
