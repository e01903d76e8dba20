// Draws the report of training runs as a picture, in the Chromium that tests use.
//   npx tsx --conditions=@heddle/source scripts/report-picture.ts OUT.png NAME=LOG.jsonl...
// The picture of the trainer's README: two runs of `heddle train --data decisions --log LOG.jsonl` with other learning rates.
import { htmlReport, readLog } from '@heddle/trainer/report';
import { chromium } from 'playwright';
import { softwareGpu } from '../test-support/software-gpu.ts';

const [out, ...logs] = process.argv.slice(2);
if (out === undefined || logs.length === 0) throw new Error('report-picture: takes OUT.png NAME=LOG.jsonl...');
const runs = await Promise.all(
  logs.map(async (log) => {
    const [name, path] = log.split('=') as [string, string];
    return { name, reports: await readLog(path) };
  }),
);
const browser = await chromium.launch({ executablePath: (await softwareGpu()).chromium, args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1000, height: 800 }, colorScheme: 'light' });
await page.setContent(htmlReport(runs));
await page.screenshot({ path: out, fullPage: true });
await browser.close();
