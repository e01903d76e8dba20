/** A TypeScript block of a Markdown file. */
export interface MarkdownBlock {
  /** Of its first line in the file, from 1. */
  readonly line: number;
  readonly code: string;
  /** The word of its fence that says why it is not run, as in "```ts fragment"; a block without one is a program. */
  readonly notRun?: string;
}

/** Why a block is not run. */
export const notRunWords: Readonly<Record<string, string>> = {
  fragment: 'names what a reader has by then',
  test: 'belongs into a file of tests',
  browser: 'runs in a page',
  gpu: 'needs a GPU',
  model: 'needs a model that is not here',
  network: 'downloads',
  server: 'goes on until it is ended',
};

/** The TypeScript blocks of a Markdown file, in order. */
export function markdownBlocks(markdown: string): MarkdownBlock[] {
  return [...markdown.matchAll(/^```ts\b([^\n]*)\n([\s\S]*?)^```/gm)].map(({ index, 0: block, 1: word, 2: code }) => ({
    line: markdown.slice(0, index + block.indexOf('\n') + 1).split('\n').length,
    code: code!,
    ...(word!.trim() !== '' && { notRun: word!.trim() }),
  }));
}

/** What blocks take for granted beside their imports: what a reader has by then. */
export const givenInBlocks = `
type Given = import('@heddle/tensor').Tensor;
declare const device: import('@heddle/tensor').Device;
declare const bias: Given, hidden: Given, scalar: Given, weight: Given;
declare const q: Given, k: Given, v: Given, w: Given, x: Given, y: Given;
declare const out: number, width: number;
declare const bytes: Uint8Array, values: Float32Array;
declare const parameters: { readonly weight: Given }, batch: { readonly x: Given };
declare const step: import('@heddle/tensor').CompiledFunction<[Given], Given>;
declare function block(x: Given): Given;
declare function f(...tensors: Given[]): Given;
declare function layer(x: Given, key: Given): Given;
declare function loss(of: typeof parameters, over: typeof batch): Given;
`;
