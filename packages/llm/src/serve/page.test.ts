import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scriptedModel } from '../../../../test-support/scripted-model.ts';
import { softwareGpu, whyNotRunning } from '../../../../test-support/software-gpu.ts';
import { createServer, type HeddleServer, readPage, type ServedModel } from '../serve.ts';

let app: HeddleServer;
const answers = [
  'Some **bold** text, `code`, a [link](https://example.com) and <img src=x onerror=alert(1)>\n\n1. one\n2. two\n\n```js\nlet a = 1;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |~',
  'Another answer.~',
];
/** Calls a tool when there are tools, and answers from its result. */
const caller: ServedModel = {
  id: 'caller',
  ready: true,
  maxSequenceTokens: 400,
  async *generate(request, signal) {
    const usage = { inputTokens: 20, outputTokens: 3, totalTokens: 23, cachedTokens: 16, reasoningTokens: 1 };
    yield { type: 'start', tokens: [1] };
    yield { type: 'reasoning', text: 'It needs the weather.', tokens: [2] };
    const said = request.messages!.at(-1)!;
    if (request.tools && said.role !== 'tool') {
      yield { type: 'tool-call', index: 0, id: 'call_1', name: 'weather', tokens: [3] };
      yield { type: 'tool-arguments', index: 0, text: '{"city": "Oslo"}', tokens: [4] };
    } else if (said.content === 'slowly') {
      for (let i = 0; i < 400; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        signal.throwIfAborted();
        yield { type: 'text', text: `${i} `, tokens: [3] };
      }
    } else yield { type: 'text', text: `format ${request.format?.kind ?? 'none'}, after ${said.content}`, tokens: [3] };
    yield { type: 'finish', finishReason: request.tools ? 'tool-calls' : 'stop', stop: undefined, usage };
  },
  tokens: async () => [],
  text: async () => '',
  stats: async () => ({
    running: 1,
    waiting: 0,
    cacheUsage: 0.25,
    memoryBytes: 2 ** 30,
    tiers: [{ name: 'cold', tokens: 4096, bytes: 1 }],
  }),
};

let server: Server;
let browser: Browser | undefined;
let context: BrowserContext;
let page: Page;
let url: string;
let why: string | undefined;
const asked: string[] = [];
const faults: string[] = [];
beforeAll(async () => {
  const { chromium: bundled } = await softwareGpu();
  const executablePath = process.env['CHROMIUM_PATH'] ?? bundled;
  why = await whyNotRunning(executablePath);
  if (why) return;
  const { localModel } = await import('../serve.ts');
  app = createServer([localModel('scripted', scriptedModel(answers)), caller], { page: await readPage() });
  server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
  browser = await chromium.launch({ executablePath });
  context = await browser.newContext({ viewport: { width: 1100, height: 800 }, reducedMotion: 'reduce' });
  page = await context.newPage();
  page.on('request', (request) => asked.push(request.url()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  await page.goto(url);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  server?.close();
});

const say = async (text: string) => {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
};
const picture = async (name: string) => {
  const folder = process.env['PAGE_PICTURES'];
  if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
};

test('a conversation: markdown that is no HTML, branches, another try, what is kept', async (context_) => {
  if (why) return context_.skip(why);
  await say('Hello there');
  const answer = page.locator('#turns > .assistant').last();
  await answer.locator('table').waitFor();
  await page.getByRole('button', { name: 'Try again' }).waitFor();
  expect(await answer.locator('strong').innerText()).toBe('bold');
  expect(await answer.locator('pre').innerText()).toBe('let a = 1;');
  expect(await answer.locator('a').getAttribute('rel')).toBe('noopener noreferrer');
  expect([await answer.locator('img').count(), await answer.innerText()]).toEqual([
    0,
    expect.stringContaining('<img src=x onerror=alert(1)>'),
  ]);
  await picture('page-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture('page-dark');
  await page.emulateMedia({ colorScheme: 'light' });

  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('The message').fill('Hello again');
  await page.getByRole('button', { name: 'Send' }).first().click();
  await page.getByText('Another answer.').waitFor();
  await page.getByText('2 of 2').waitFor();
  await page.getByRole('button', { name: 'The branch before' }).click();
  await page.getByText('Hello there').first().waitFor();
  expect(await page.locator('#turns').innerText()).not.toContain('Another answer.');
  // a stopped answer stays as far as it came
  await page.getByLabel('Model').selectOption('caller');
  await say('slowly');
  await page.locator('.assistant', { hasText: '0 1 2 ' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('Stopped').waitFor();
  await expect.poll(() => app.running).toBe(0);
  await page.reload();
  expect(await page.locator('#turns').innerText()).toMatch(/Hello there[\s\S]*0 1 2/);
}, 60_000);

test('tools, JSON, thoughts, attachments, live figures, a narrow window', async (context_) => {
  if (why) return context_.skip(why);
  await page.getByRole('button', { name: 'New conversation' }).click();
  await page.getByLabel('Model').selectOption('caller');
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Tools, as a list of functions').fill('[{ "name": ');
  await page.getByRole('button', { name: 'Done' }).click();
  expect(await page.locator('#settings-fault').innerText()).toMatch(/^Tools: /);
  await page.getByLabel('Tools, as a list of functions').fill('[{ "name": "weather" }]');
  await picture('page-settings');
  await page.getByRole('button', { name: 'Done' }).click();
  await page
    .locator('#files')
    .setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('rain') });
  await page.getByRole('button', { name: 'Leave out notes.txt' }).waitFor();
  await say('How is it?');
  expect(await page.locator('.user .said').innerText()).toContain('notes.txt:\n```\nrain\n```');
  await page.getByLabel('Result of weather').fill('sun');
  await page
    .getByRole('button', { name: 'Show' })
    .or(page.getByRole('button', { name: 'Live' }))
    .first()
    .click();
  await page.getByText('Tokens cold').waitFor();
  expect(await page.locator('#live').innerText()).toMatch(/4,096[\s\S]*1\.00 GiB/);
  await picture('page-tools');
  await page.getByRole('button', { name: 'Give to the model' }).click();
  await page.getByText('format none, after sun').waitFor();
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Tools, as a list of functions').fill('');
  await page.getByLabel('Answer').selectOption('json');
  await page.getByRole('button', { name: 'Done' }).click();
  await say('And now?');
  await page.getByText(/format json.*, after And now/).waitFor();
  await page.setViewportSize({ width: 390, height: 780 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(390);
  await picture('page-narrow');
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page.getByRole('button', { name: 'Hello there', exact: true }).click();
  await page.locator('#turns .user', { hasText: 'Hello there' }).waitFor();

  expect(asked.every((each) => each.startsWith(url))).toBe(true);
  expect(faults).toEqual([]);
}, 60_000);

test('every control has a name, and the page runs nothing but its own', async (context_) => {
  if (why) return context_.skip(why);
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll('button, input:not([hidden]), select, textarea')]
      .filter((each) => {
        const { labels } = each as HTMLInputElement;
        const name = each.getAttribute('aria-label') ?? each.textContent?.trim() ?? '';
        return (labels?.length ?? 0) === 0 && name === '';
      })
      .map((each) => each.outerHTML),
  );
  expect(nameless).toEqual([]);
  const response = await fetch(url);
  expect(response.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'self'/);
  expect((await fetch(new URL('page/../../package.json', url))).status).toBe(404);
});
