import type { TokenLogprobs } from '../sampling/logprobs.ts';
import type { ToolCall } from './answers/answer-format.ts';

/** Why a text ended: at an end token or a stop string, with calls of tools, at the most tokens, or because its reader left. */
export type TextFinish = 'stop' | 'tool-calls' | 'length' | 'aborted';

/** Tokens that a generation took. */
export interface TextUsage {
  readonly inputTokens: number;
  /** The end token counts. */
  readonly outputTokens: number;
  readonly totalTokens: number;
  /** Those of the prompt that the cache had. */
  readonly cachedTokens: number;
  /** Those of the output that belong to the reasoning. */
  readonly reasoningTokens: number;
  /** Where the engine guesses tokens: guesses that were computed, and those of them that were right. */
  readonly speculation?: { readonly draftedTokens: number; readonly acceptedTokens: number };
}

/** A text that was generated. */
export interface TextResult {
  /** Without special tokens, reasoning, calls of tools, and what stopped it. */
  readonly text: string;
  /** What the model thought before it answered; empty where it did not. */
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  /** What was generated, with the end token where there was one. */
  readonly tokens: readonly number[];
  readonly finishReason: TextFinish;
  /** The stop string that ended it. */
  readonly stop: string | undefined;
  readonly usage: TextUsage;
  /** Of each token, where they were asked for. */
  readonly logprobs: readonly TokenLogprobs[] | undefined;
  /** Of a search with beams: the sum of the log-probabilities of its tokens, divided by their number to the power of the penalty. */
  readonly score?: number;
}

/**
 * What comes of a generation, in order: `start`; any number of `text`, `reasoning` and parts of calls; `finish`. Each part has the
 * tokens that came since the last one: one or none.
 */
export type TextPart = { /** Of its token, where they were asked for. */ readonly logprobs?: TokenLogprobs } & (
  | { readonly type: 'start' /** The tokens of the prompt. */; readonly tokens: readonly number[] }
  | {
      readonly type: 'text' | 'reasoning';
      /** May be empty: a character is not complete yet, or the text may become a stop string. */
      readonly text: string;
      readonly tokens: readonly number[];
    }
  | {
      readonly type: 'tool-call';
      /** Its number in the answer, from 0. */
      readonly index: number;
      readonly id: string;
      readonly name: string;
      readonly tokens: readonly number[];
    }
  | {
      readonly type: 'tool-arguments';
      readonly index: number;
      /** What comes next of the JSON text of the arguments. */
      readonly text: string;
      readonly tokens: readonly number[];
    }
  | ({ readonly type: 'finish' } & Pick<TextResult, 'finishReason' | 'stop' | 'usage'>)
);
