import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type MarkdownBlock, markdownBlocks } from './markdown-blocks.ts';
import { notingLines } from './run-programs.ts';

const guide = 'docs/guides/coming-from.md';

/** Spans of code in the columns `here` of the tables beside PyTorch: the expressions in them, as they are called in a program. */
export function expressionsOf(markdown: string): string[] {
  let inTable = false;
  return markdown.split('\n').flatMap((row) => {
    if (!row.startsWith('|')) inTable = false;
    else if (/^\| PyTorch .*\| here \|$/.test(row)) inTable = true;
    else if (inTable) {
      const cell = row.replace(/\|$/, '').split('|').at(-1)!;
      return [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!).filter((code) => /\(.*\)$/.test(code));
    }
    return [];
  });
}

/** A program that evaluates every expression in the tables of the guide for newcomers, after the first block of it. */
export function tableProgram(folder: string): MarkdownBlock & { readonly place: string; readonly file: string } {
  const markdown = readFileSync(join(fileURLToPath(new URL('../', import.meta.url)), guide), 'utf8');
  const [given] = markdownBlocks(markdown);
  const code = `${given!.code}
import * as tensor from '@heddle/tensor';
import * as nn from '@heddle/tensor/nn';
const scope = { ...tensor, ...nn, device, x, w, i };
for (const expression of ${JSON.stringify(expressionsOf(markdown))}) {
  const value = await new Function('scope', \`with (scope) return (async () => (\${expression}))()\`)(scope).catch((error) => {
    throw new Error(\`\${expression}: \${error.message}\`);
  });
  if (value instanceof tensor.Tensor) await value.data();
}
`;
  const file = join(folder, 'docs-guides-coming-from-tables.ts');
  writeFileSync(file, notingLines(code, 1));
  return { place: `the tables of ${guide}`, code, line: 1, file };
}
