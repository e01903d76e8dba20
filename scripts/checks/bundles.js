/**
 * `tsx scripts/checks/bundles.js`, of the built packages: a page that imports every entry for browsers, bundled by Vite, esbuild and
 * webpack with nothing set, and once with an import map alone. No bundle asks for a module of Node, and each page computes in Chromium.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { builtinModules } from 'node:module';
import { extname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build as esbuild } from 'esbuild';
import { chromium } from 'playwright';
import { build as vite } from 'vite';
import webpack from 'webpack';
import { softwareGpu, whyNotRunning } from '../../test-support/software-gpu.ts';
import { closeRun } from '../report.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Answers over HTTP and starts processes. */
const onlyInNode = ['@heddle/llm/serve'];
/** Beside what a person's project has, so that names are found as there. */
const folder = mkdtempSync(join(root, 'node_modules/.cache/bundles-'));

const files = new Map(
  readdirSync(join(root, 'packages')).flatMap((name) => {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'));
    return Object.entries(manifest.exports).map(([entry, { default: file }]) => [
      manifest.name + entry.slice(1),
      `/${join('packages', name, file)}`,
    ]);
  }),
);
const entries = [...files.keys()].filter((name) => !onlyInNode.includes(name));
const program = `${entries.map((name, i) => `import * as entry${i} from '${name}';`).join('\n')}
import { gradients, openDevice } from '@heddle/tensor';
const entries = [${entries.map((_, i) => `entry${i}`)}];
const compute = async (name) => {
  const device = await openDevice(name);
  const x = device.tensor([[1, 2], [3, 4]]);
  const loss = x.mul(x).sum();
  const values = await gradients(loss, [x])[0].toArray();
  await device.dispose();
  return values;
};
const names = ['reference', 'webgpu'];
Promise.all(names.map(compute)).then(
  (values) => { globalThis.done = { entries: entries.filter((each) => Object.keys(each).length > 0).length, values }; },
  (error) => { globalThis.done = { error: String(error?.stack ?? error) }; },
);
`;

/** What a bundle asks of Node when it runs; in text that only tells of it there is no call. */
function nodeModules(text) {
  const names = builtinModules.filter((name) => !name.startsWith('_')).flatMap((name) => [name, `node:${name}`]);
  const asked = [...text.matchAll(/(?:\bfrom|\bimport|\bimport\(|\brequire\()\s*["'`]([\w:/]+)["'`]/g)];
  return [...new Set(asked.map(([, name]) => name))].filter((name) => names.includes(name));
}

const bundlers = {
  vite: async (input, out) => {
    const output = [];
    await vite({
      configFile: false,
      logLevel: 'silent',
      root: folder,
      build: {
        outDir: out,
        emptyOutDir: false,
        rollupOptions: { input, output: { entryFileNames: 'page.js' }, onwarn: ({ message }) => output.push(message) },
      },
    });
    return output.filter((message) => /externalized for browser|could not be resolved/i.test(message));
  },
  esbuild: async (input, out) => {
    const { warnings } = await esbuild({
      entryPoints: [input],
      bundle: true,
      format: 'esm',
      minify: true,
      outdir: out,
    });
    return warnings.map(({ text }) => text);
  },
  webpack: (input, out) =>
    new Promise((resolve, reject) => {
      const output = { path: out, filename: 'page.js' };
      webpack({ mode: 'production', context: folder, entry: input, output }, (error, stats) => {
        if (error) return reject(error);
        const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
        // what it recommends is no fault
        resolve(
          [...errors, ...warnings]
            .map(({ message }) => message)
            .filter((each) => !/size limit|code splitting|performance recommendations/.test(each)),
        );
      });
    }),
};

/** What an import map has to hold for the built packages as they are: our entries, and the modules that they import by name. */
async function importMap() {
  const others = new Set();
  for (const name of readdirSync(join(root, 'packages')))
    for (const file of readdirSync(join(root, 'packages', name, 'dist'), { recursive: true, encoding: 'utf8' }))
      if (file.endsWith('.js') && !/^(serve|command)\b/.test(file))
        for (const [, specifier] of readFileSync(join(root, 'packages', name, 'dist', file), 'utf8').matchAll(
          /^(?:import|export)\b[^;]*?\bfrom '([@a-z][^':]*)'/gm,
        ))
          if (!specifier.startsWith('@heddle/')) others.add(specifier);
  const imports = Object.fromEntries(files);
  for (const name of others) {
    const parent = pathToFileURL(join(root, 'packages/llm/package.json')).href;
    imports[name] = `/${relative(root, fileURLToPath(import.meta.resolve(name, parent)))}`;
  }
  return { imports };
}

const types = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.html': 'text/html',
  '.wasm': 'application/wasm',
};
const server = createServer((request, response) => {
  try {
    const path = decodeURI(new URL(request.url, 'http://localhost').pathname);
    const body = readFileSync(join(root, path));
    response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});

const counts = { passed: 0, failed: 0, skipped: 0 };
const notes = [];
async function check(name, run) {
  try {
    console.log(`ok      ${name}: ${await run()}`);
    counts.passed++;
  } catch (error) {
    counts.failed++;
    console.log(`FAILED  ${name}: ${error?.message ?? error}`);
    notes.push(`FAILED   bundle of ${name}: ${String(error?.message ?? error).split('\n')[0]}`);
  }
}

const gpu = await softwareGpu();
const missing = await whyNotRunning(process.env.CHROMIUM_PATH ?? gpu.chromium);
const browser = missing
  ? undefined
  : await chromium.launch({
      executablePath: process.env.CHROMIUM_PATH ?? gpu.chromium,
      args: ['--enable-unsafe-webgpu', '--enable-dawn-features=disable_workgroup_init'],
    });
await new Promise((resolve) => server.listen(0, 'localhost', resolve));
const address = `http://localhost:${server.address().port}/${relative(root, folder)}`;

/** Opens the page and says what it computed. @throws Error for what it throws, or does not find */
async function visit(path) {
  if (!browser) return `not opened: ${missing}`;
  const page = await browser.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  await page.goto(`${address}/${path}`);
  const done = await page
    .waitForFunction(() => globalThis.done, undefined, { timeout: 60_000 })
    .then((handle) => handle.jsonValue())
    .catch((error) => ({ error: String(error) }));
  await page.close();
  const expected = {
    entries: entries.length,
    values: Array(2).fill([
      [2, 4],
      [6, 8],
    ]),
  };
  if (JSON.stringify(done) !== JSON.stringify(expected)) throw new Error([JSON.stringify(done), ...faults].join('\n'));
  return `${done.entries} entries, computes on the reference device and on WebGPU`;
}

try {
  const input = join(folder, 'page.src.js');
  writeFileSync(input, program);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  for (const [name, bundle] of Object.entries(bundlers))
    await check(name, async () => {
      const out = join(folder, name);
      mkdirSync(out);
      const warnings = await bundle(input, out);
      if (warnings.length > 0) throw new Error(warnings.join('\n'));
      const asked = readdirSync(out, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.js'))
        .flatMap((file) =>
          nodeModules(readFileSync(join(out, file), 'utf8')).map((module) => `${file} asks for ${module}`),
        );
      if (asked.length > 0) throw new Error(asked.join('\n'));
      const built = readdirSync(out).find((file) => /^page(\.src)?\.js$/.test(file));
      writeFileSync(join(out, 'index.html'), `<!doctype html><script type="module" src="${built}"></script>`);
      return visit(`${name}/index.html`);
    });
  await check('an import map', async () => {
    const map = JSON.stringify(await importMap());
    const html = `<!doctype html><script type="importmap">${map}</script><script type="module">${program}</script>`;
    writeFileSync(join(folder, 'index.html'), html);
    return visit('index.html');
  });
} finally {
  await browser?.close();
  server.close();
  rmSync(folder, { recursive: true });
}
process.exitCode = counts.failed > 0 ? 1 : 0;
closeRun({ counts, notes });
