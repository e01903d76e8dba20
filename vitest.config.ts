import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defaultClientConditions, defaultServerConditions } from 'vite';
import { defineConfig, type TestProjectConfiguration } from 'vitest/config';
import ClosingLine from './scripts/closing-line.ts';
import { officialClients } from './test-support/official-clients.ts';
import { onnxWeb, onnxWebInstalled, onnxWebMissing } from './test-support/onnx-web.ts';
import { serveTestData } from './test-support/serve-test-data.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const source = '@heddle/source';
const folders = '{packages/*/src,bench,examples,scripts,test-support}';
const times = Number(process.env['TEST_TIMES'] ?? 1);
const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const seedIsNamed = process.env['TEST_SEED'] !== undefined;
/** How often a test that fails is run again: then it passes, and the closing lines name it as unsteady. 0 but in CI. */
const retry = Number(process.env['TEST_RETRY'] ?? 0);
const firstFailureOnly = process.env['TEST_FIRST_FAILURE_ONLY'] !== undefined;
const properties = { times, seed, seedIsNamed, firstFailureOnly };
const named = (variable: string) => process.env[variable]?.split(',').map((name) => name.trim()) ?? [];
const required = named('REQUIRE_BACKENDS');
/** Back ends that another run tests. */
const leftOut = named('WITHOUT_BACKENDS');

/** Every `*.backend.test.ts`, run on the back end `name`; `module` stands in for its own file in test-support/backends. */
const backend = (name: string, test: object = {}, module: string = name) => ({
  extends: true as const,
  plugins: [serveTestData(), onnxWeb()],
  optimizeDeps: {
    include: ['fast-check', '@huggingface/jinja', '@huggingface/tokenizers'],
    // the last finds its WebAssembly beside its own file
    exclude: ['webgpu', 'onnxruntime-node', 'onnxruntime-web'],
  },
  resolve: { alias: { '#backend': at(`./test-support/backends/${module}.ts`) } },
  test: {
    name,
    include: [`${folders}/**/*.backend.test.ts`],
    isolate: false, // files of one process share the modules, which take longer to load than most files to run
    testTimeout: 240_000 * times, // a software GPU compiles for seconds, beside other files
    hookTimeout: 120_000,
    provide: { ...properties, backend: name, required: required.includes(name), unavailable: '' },
    ...test,
  },
});

/** `name` where it cannot run: each of its tests is skipped with `reason`, or fails where it is required. */
const unavailable = (name: string, reason: string, test: object = {}) =>
  backend(
    name,
    { ...test, provide: { ...properties, backend: name, required: required.includes(name), unavailable: reason } },
    'unavailable',
  );

/** What ONNX Runtime is tested with in a browser: each file loads its 14 MB of WebAssembly. */
const onnxInBrowser = {
  include: ['testing/testing', 'graph/symbolic', 'ops/matmul/matmul', 'compile/training-step'].map(
    (file) => `packages/tensor/src/${file}.backend.test.ts`,
  ),
};

/** Pages with these headers may share memory between threads, which ONNX Runtime takes more than one of. */
const crossOriginIsolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** The browser back ends where no browser is started. */
const noBrowser = (reason: string) => [
  unavailable('webgpu-browser', reason),
  unavailable('onnx-browser', reason, onnxInBrowser),
];

/** The GPU back ends of a machine that names its Vulkan driver (a GPU, lavapipe): no software GPU or browser is unpacked. */
const ownDriver = () => [
  backend('webgpu-node'),
  ...noBrowser('VK_DRIVER_FILES is set, and the browser is only tested on the bundled driver'),
];

/** The GPU back ends everywhere else: the software GPU and the Chromium that come with npm packages. */
async function bundledDriver(): Promise<TestProjectConfiguration[]> {
  const { softwareGpu, whyNotRunning } = await import('./test-support/software-gpu.ts');
  let gpu: Awaited<ReturnType<typeof softwareGpu>>;
  try {
    gpu = await softwareGpu();
  } catch (cause) {
    const reason = `no software GPU: ${String(cause)}`;
    return [unavailable('webgpu-node', reason), ...noBrowser(reason)];
  }
  const node = backend('webgpu-node', {
    env: {
      VK_DRIVER_FILES: gpu.icd,
      VK_ICD_FILENAMES: gpu.icd,
      VULKAN_LOADER: gpu.loader,
      DAWN_TOGGLES: 'disable_workgroup_init',
    },
  });
  const chromium = process.env['CHROMIUM_PATH'] ?? gpu.chromium;
  const reason = await whyNotRunning(chromium);
  if (reason) return [node, ...noBrowser(reason)];
  const { playwright } = await import('@vitest/browser-playwright');
  const launchOptions = {
    executablePath: chromium,
    args: ['--enable-unsafe-webgpu', '--enable-dawn-features=disable_workgroup_init'],
  };
  const inBrowser = (name: string, test: object = {}) => {
    const provider = playwright({ launchOptions });
    const instances = [{ browser: 'chromium' }];
    const browser = { enabled: true, headless: true, screenshotFailures: false, provider, instances };
    return backend(name, { browser, ...test });
  };
  const onnxBrowser = onnxWebInstalled
    ? { ...inBrowser('onnx-browser', onnxInBrowser), server: { headers: crossOriginIsolation } }
    : unavailable('onnx-browser', onnxWebMissing, onnxInBrowser);
  return [node, inBrowser('webgpu-browser'), onnxBrowser];
}

/** Every back end but those that are left out. */
async function backends(): Promise<TestProjectConfiguration[]> {
  const all = [
    backend('reference'),
    backend('onnx'),
    ...(process.env['VK_DRIVER_FILES'] ? ownDriver() : await bundledDriver()),
  ];
  const names = all.map((project) => (project as { readonly test: { readonly name: string } }).test.name);
  for (const name of leftOut)
    if (!names.includes(name)) throw new Error(`WITHOUT_BACKENDS: '${name}' is none of ${names.join(', ')}`);
  if (leftOut.length > 0) console.log(`NOT RUN: ${leftOut.join(', ')} (WITHOUT_BACKENDS)`);
  return all.filter((_, index) => !leftOut.includes(names[index]!));
}

export default defineConfig({
  resolve: { conditions: [source, ...defaultClientConditions] },
  // 'module' is for bundlers: what Node loads by it need not be what Node can load
  ssr: { resolve: { conditions: [source, ...defaultServerConditions.filter((name) => name !== 'module')] } },
  test: {
    reporters: ['default', new ClosingLine({ times, seed })],
    pool: 'forks',
    retry,
    // by default one processor is left idle: of two that is half of them
    maxWorkers: availableParallelism(),
    projects: [
      {
        extends: true,
        plugins: [officialClients()],
        test: {
          name: 'unit',
          isolate: false,
          include: [`${folders}/**/*.test.ts`],
          exclude: ['**/*.{backend,alone}.test.ts', '**/node_modules/**', '**/dist/**'],
          testTimeout: 120_000 * times,
          provide: properties,
        },
      },
      {
        extends: true,
        // what is measured of the compiler and the heap, each file in a process of its own
        test: {
          name: 'alone',
          include: [`${folders}/**/*.alone.test.ts`],
          testTimeout: 120_000 * times,
          provide: properties,
        },
      },
      ...(await backends()),
    ],
  },
});
