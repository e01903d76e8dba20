/**
 * `@heddle/trainer/data`: batches of tokens and of examples, from files or memory, in an order that can be gone on with.
 */
export type { DataCursor, OrderOptions } from './data/cursor.ts';
export { type ExampleEncoder, encodeExample, type TokenExample } from './data/encode-examples.ts';
export { type ExampleBatchOptions, exampleBatches, type PackedBatch } from './data/example-batches.ts';
export { type ChatMessage, jsonLines, readExamples, type TextExample } from './data/json-lines.ts';
export {
  type EncodeOptions,
  encodeDocuments,
  type TextDocument,
  type TextFilesOptions,
  textFiles,
} from './data/text-files.ts';
export { type BatchStream, type LanguageBatch, type TokenBatchOptions, tokenBatches } from './data/token-batches.ts';
export { openTokenFile, type TokenFileOptions, type TokenSource, tokenArray } from './data/token-source.ts';
