import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { repositoryFiles } from './faults/scratch.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const files = repositoryFiles(root);
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** Targets of the links of a document that are files of the repository, as paths from its root. */
const linksOf = (path: string): string[] =>
  [...read(path).matchAll(/\]\((?!https?:|mailto:|#)([^)\s#]+)/g)].map(([, target]) =>
    relative(root, join(root, dirname(path), decodeURI(target!))),
  );

/** Folders below `src` of a package that have files of TypeScript in them. */
function sourceFolders(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  const below = entries
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => sourceFolders(`${folder}/${name}`));
  return entries.some(({ name }) => name.endsWith('.ts')) ? [folder, ...below] : below;
}

describe('documents', () => {
  it('link to files that exist', () => {
    const documents = files.filter((path) => path.endsWith('.md') && !path.startsWith('.changeset/'));
    expect(documents.length).toBeGreaterThan(20);
    const gone = documents.flatMap((path) =>
      linksOf(path)
        .filter((target) => !existsSync(join(root, target)))
        .map((target) => `${path}: ${target}`),
    );
    expect(gone).toEqual([]);
  });

  it('of packages link to what their tarballs hold: a reader on npm has nothing else', () => {
    const packages = ['packages', 'examples/models'].flatMap((parent) =>
      readdirSync(join(root, parent)).map((name) => `${parent}/${name}`),
    );
    const gone = packages.flatMap((folder) => {
      const { files: packed } = JSON.parse(read(`${folder}/package.json`)) as { readonly files: readonly string[] };
      const documents = files.filter(
        (path) => path.startsWith(`${folder}/`) && /^[^/]+\.md$/.test(path.slice(folder.length + 1)),
      );
      expect(documents).toContain(`${folder}/README.md`);
      return documents.flatMap((path) =>
        linksOf(path)
          .map((target) => relative(folder, target))
          .filter((target) => target !== 'README.md' && !packed.some((entry) => `${target}/`.startsWith(`${entry}/`)))
          .map((target) => `${path}: ${target}`),
      );
    });
    expect(gone).toEqual([]);
  });

  it('the index of the API has every entry of every package', () => {
    const rows = read('docs/guides/api.md')
      .split('\n')
      .filter((row) => row.startsWith('| '));
    let name = '';
    const listed = rows.flatMap((row) => {
      name = /^\| \[(@heddle\/\w+)\]/.exec(row)?.[1] ?? name;
      const [, , entries = ''] = row.split('|');
      return [...entries.matchAll(/`(\.[^`]*)`/g)].map(([, entry]) => `${name} ${entry}`);
    });
    const all = readdirSync(join(root, 'packages')).flatMap((folder) => {
      const manifest = JSON.parse(read(`packages/${folder}/package.json`)) as { name: string; exports: object };
      return Object.keys(manifest.exports).map((entry) => `${manifest.name} ${entry}`);
    });
    expect(listed.sort()).toEqual(all.sort());
  });

  it('ARCHITECTURE.md has each folder of each package once in its list', () => {
    const text = read('ARCHITECTURE.md');
    const list = text.slice(text.indexOf('## Folders'), text.indexOf('## Tests'));
    const listed = [...list.matchAll(/\]\((packages\/[^)]+)\)/g)].map(([, path]) => path!);
    const packages = readdirSync(join(root, 'packages'));
    const own = packages.flatMap((name) =>
      sourceFolders(`packages/${name}/src`).filter((path) => !path.endsWith('/src')),
    );
    expect(listed.sort()).toEqual(own.sort());
  });
});
