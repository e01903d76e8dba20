/** Every entry is bundled for browsers without flags: nothing in it leads to modules that only Node has. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, defaultClientConditions } from 'vite';
import { expect, test } from 'vitest';

const packages = fileURLToPath(new URL('../packages/', import.meta.url));
const entries = readdirSync(packages).flatMap((folder) => {
  const { name, exports } = JSON.parse(readFileSync(`${packages}${folder}/package.json`, 'utf8')) as {
    name: string;
    exports: object;
  };
  return Object.keys(exports)
    .filter((entry) => entry !== './testing')
    .map((entry) => `${name}${entry.slice(1)}`);
});

test('no entry needs a module of Node in a browser', async () => {
  const text = entries.map((entry, i) => `import * as entry${i} from '${entry}';\nconsole.log(entry${i});`).join('\n');
  const warnings: string[] = [];
  const program = 'virtual:program';
  await build({
    configFile: false,
    logLevel: 'silent',
    root: fileURLToPath(new URL('../', import.meta.url)),
    resolve: { conditions: ['@heddle/source', ...defaultClientConditions] },
    plugins: [
      {
        name: 'program',
        resolveId: (id) => (id === program ? id : undefined),
        load: (id) => (id === program ? text : undefined),
      },
    ],
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      rollupOptions: {
        input: program,
        onwarn: ({ message }) => {
          if (/externalized for browser|could not be resolved/i.test(message)) warnings.push(message);
        },
      },
    },
    worker: { format: 'es' },
  });
  expect(warnings).toEqual([]);
}, 120_000);
