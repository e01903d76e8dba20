import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { completion } from './completion.ts';
import { configPath, withConfig } from './config-file.ts';
import { UsageError } from './usage.ts';

test('options of the file come after what was typed, which goes before them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'heddle-config-'));
  try {
    const file = join(folder, 'config.json');
    const environment = { HEDDLE_CONFIG: file };
    await writeFile(file, JSON.stringify({ serve: { model: ['a', 'b'], port: 9000, quiet: true, insecure: false } }));
    expect(await withConfig('serve', ['--port', '1'], environment)).toEqual([
      '--port',
      '1',
      '--model=a',
      '--model=b',
      '--quiet',
    ]);
    expect(await withConfig('serve', ['--model=c'], environment)).toEqual(['--model=c', '--port=9000', '--quiet']);
    expect(await withConfig('pull', [], environment)).toEqual([]);
    for (const text of ['{', '[]', '{"serve": 1}', '{"serve": {"model": {}}}']) {
      await writeFile(file, text);
      await expect(withConfig('serve', [], environment)).rejects.toThrow(UsageError);
    }
    await expect(withConfig('serve', [], { HEDDLE_CONFIG: join(folder, 'none') })).rejects.toThrow(UsageError);
    expect(await withConfig('serve', ['x'], { XDG_CONFIG_HOME: folder })).toEqual(['x']);
    expect(configPath({ XDG_CONFIG_HOME: '/c' })).toEqual({ path: '/c/heddle/config.json', isNamed: false });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.for(['bash', 'zsh', 'fish'])('%s completes commands and options', (shell) => {
  const script = completion([shell]);
  for (const word of ['generate', 'serve', 'chat', 'max-tokens', 'api-key']) expect(script).toContain(word);
  expect(() => completion(['sh'])).toThrow(UsageError);
});
