import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { generate } from './generate.ts';
import { parseGenerate } from './options/generate-options.ts';

test('an interruption while the weights are read ends the reading', async () => {
  const model = await mkdtemp(join(tmpdir(), 'heddle-generate-'));
  try {
    for (const name of ['config.json', 'model.safetensors'])
      await writeFile(join(model, name), (await tinyLlama().open(name)) as Uint8Array);
    const interrupted = new AbortController();
    // longer than the context, which only a model that was read can tell
    const prompt = Array.from({ length: 40 }, () => 1).join(',');
    const command = parseGenerate(['--model', model, '--prompt-tokens', prompt, '--device', 'reference']);
    const running = generate(command, interrupted.signal).catch((error: Error) => error.name);
    await turn(); // the device is open, the first file is being read
    interrupted.abort();
    expect(await running).toBe('AbortError');
  } finally {
    await rm(model, { recursive: true });
  }
});
