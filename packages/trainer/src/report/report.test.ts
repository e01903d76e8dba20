import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repeat } from '../loop/batches.ts';
import type { StepReport } from '../loop/step-report.ts';
import { train } from '../loop/train.ts';
import { memoryStatistics } from '../memory/memory-statistics.ts';
import { adamw } from '../optimizers/adam.ts';
import { htmlReport } from './html-report.ts';
import { openLog, readLog } from './log.ts';
import { formatBytes, formatDuration, progressLine } from './progress-line.ts';

let device: Device;
let root: string;
let reports: StepReport[];
beforeAll(async () => {
  device = await openReference();
  root = await mkdtemp(`${tmpdir()}/report-`);
  const w = device.variable([3, 4], { name: 'w' });
  const run = train({
    model: { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x).pow(2).sum() },
    loss: (y) => y,
    optimizer: adamw({ learningRate: 0.01 }),
    data: repeat([{ x: Float32Array.of(1, 2) }]),
    steps: 6,
    tokens: () => 2,
    flops: { perToken: 10, perSecond: 1000 },
    evaluate: { every: 3, data: () => [{ x: Float32Array.of(1, 1) }] },
  });
  reports = [];
  for await (const report of run) reports.push(report);
});
afterAll(async () => {
  await device.dispose();
  await rm(root, { recursive: true });
});

test('reports say where time and memory went', () => {
  for (const { phases, memory, seconds, tokensPerSecond, utilization } of reports) {
    expect(Object.values(phases).every((value) => value >= 0)).toBe(true);
    expect(phases.step).toBe(seconds);
    expect(utilization).toBeCloseTo((tokensPerSecond! * 10) / 1000, 9);
    expect(memory.owners['variables']).toBe(16);
    expect(memory.owners['optimizer']).toBe(32);
    expect(Object.values(memory.owners).reduce((a, b) => a + b)).toBe(memory.live);
  }
  const statistics = memoryStatistics(reports);
  expect(statistics.peakBytes).toBe(reports.at(-1)!.memory.peak);
  expect(statistics.averageBytes).toBeCloseTo(reports.reduce((sum, { memory }) => sum + memory.live, 0) / 6, 6);
  expect(statistics.byOwner['optimizer']).toEqual({ peakBytes: 32, averageBytes: 32 });
  expect(() => memoryStatistics([])).toThrow(/at least one step/);
});

test('a log gives back what was written, also after a crash in the middle of a line and a run that went on', async () => {
  const path = `${root}/log.jsonl`;
  const log = await openLog(path);
  for (const report of reports) await log.write(report);
  await log.close();
  await log.close();
  expect(await readLog(path)).toEqual(reports);
  await appendFile(path, '{"step":6,"lo');
  expect(await readLog(path)).toEqual(reports);
  await writeFile(path, '');
  const again = await openLog(path);
  const odd = { ...reports[2]!, loss: Number.NaN, gradientNorm: Number.POSITIVE_INFINITY };
  await again.write(odd);
  await again.write(reports[0]!);
  await again.write(reports[2]!);
  await again.close();
  expect(await readLog(path)).toEqual([reports[0], reports[2]]);
  await writeFile(path, `{"step":1}\n[\n{"step":2}\n`);
  await expect(readLog(path)).rejects.toThrow(/line 2/);
  await expect(readLog(`${root}/none`)).rejects.toMatchObject({ code: 'ERR_DATA' });
  await expect(openLog(`${root}/none/log`)).rejects.toMatchObject({ code: 'ERR_DATA' });
});

test('a page needs nothing else, and has a line for each run in each plot', () => {
  const odd = reports.map((report, i) => (i === 2 ? { ...report, loss: Number.NaN } : report));
  const page = htmlReport(
    [
      { name: 'plain <b>', reports },
      { name: 'other & co', reports: odd },
    ],
    { title: 'Runs "A"' },
  );
  expect(page).not.toMatch(/https?:|<script|<link|<b>|NaN|undefined/);
  expect(page).toContain('plain &#60;b&#62;');
  expect(page).toContain('<title>Runs &#34;A&#34;</title>');
  expect(page.match(/<figure>/g)).toHaveLength(5);
  expect(page.match(/<polyline/g)).toHaveLength(12); // two of each, and two of evaluations
  expect(page.match(/<tr>/g)).toHaveLength(3);
  const long = Array.from({ length: 5000 }, (_, i) => ({ ...reports[0]!, step: i, loss: 5000 - i }));
  expect(htmlReport([{ name: 'long', reports: long }]).length).toBeLessThan(100_000);
  expect(() => htmlReport([])).toThrow(/at least one run/);
  expect(() => htmlReport([{ name: 'x', reports: [] }])).toThrow(/'x' has no reports/);
});

test('lines for terminals', () => {
  const line = progressLine({ ...reports[2]!, seconds: 2, tokensPerSecond: 12345.6 }, { steps: 6, width: 10 });
  expect(line).toContain('█████░░░░░ 3/6 · 0:06 left · loss ');
  expect(line).toContain(' · evaluation ');
  expect(line).toContain('12,346 tok/s');
  const skipped = progressLine({ ...reports[0]!, applied: false, tokensPerSecond: undefined, seconds: 0.25 });
  expect(skipped).toContain('step 1 · loss ');
  expect(skipped).toContain('(skipped)');
  expect(skipped).toContain('0.250 s');
  expect([0, 1023, 1536, 5 * 2 ** 30, 300 * 2 ** 20].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.5 KiB',
    '5.0 GiB',
    '300 MiB',
  ]);
  expect([5, 65, 3725].map(formatDuration)).toEqual(['0:05', '1:05', '1:02:05']);
});
