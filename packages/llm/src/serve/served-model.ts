import type { TextSettings } from '../text/text-options.ts';
import type { TextPart } from '../text/text-result.ts';
import type { ChatMessage } from '../tokenizer/chat-template.ts';

/** What is asked of a model: data that can cross to another process. */
export interface ServedRequest extends Omit<TextSettings, 'sampler' | 'signal' | 'allowedTokens'> {
  readonly prompt?: string | readonly number[];
  readonly messages?: readonly ChatMessage[];
  /** Which of several answers to one request this is, from 0: they draw differently. */
  readonly sequence?: number;
}

/** What tokens are asked for: those of a text, or of a conversation up to where the model answers. */
export type ServedText = { readonly text: string; readonly addSpecialTokens?: boolean } | ServedRequest;

/** A token with its text. */
export interface SpelledToken {
  readonly token: number;
  readonly text: string;
  readonly logprob: number;
}

/** What comes of a generation. Log-probabilities are spelled. */
export type ServedPart = TextPart & { readonly spelled?: SpelledToken & { readonly top: readonly SpelledToken[] } };

/** Where a model stands. */
export interface ServedStats {
  readonly running: number;
  readonly waiting: number;
  /** How much of the cache is taken, from 0 to 1. */
  readonly cacheUsage: number;
}

/** A model as a server sees it, in this process or in another. */
export interface ServedModel {
  /** Its name in requests. */
  readonly id: string;
  /** Whether it can answer; a server is ready when all of its models are. */
  readonly ready: boolean;
  readonly maxSequenceTokens: number;
  /** @throws what `faultOf` tells clients about */
  generate(request: ServedRequest, signal: AbortSignal): AsyncIterable<ServedPart>;
  tokens(of: ServedText): Promise<readonly number[]>;
  text(tokens: readonly number[]): Promise<string>;
  stats(): Promise<ServedStats>;
}
