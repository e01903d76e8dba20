import type { OutputFormat } from '../../grammar/output-format.ts';

/** A function that a model may ask to be called. */
export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** JSON schema of its arguments, an object; none by default. */
  readonly parameters?: object;
}

/** Whether tools may be called, must be, must not be, or which one must be. */
export type ToolChoice = 'auto' | 'required' | 'none' | { readonly name: string };

/** A call that a model asks for. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text of the arguments; where the answer was cut off, its beginning. */
  readonly arguments: string;
}

/** What an answer may consist of. */
export interface AnswerPlan {
  /** Those that may be called. */
  readonly tools: readonly Tool[];
  /** Whether one of them must be called. */
  readonly mustCall: boolean;
  /** Whether several may be called; one is the end of the answer otherwise. */
  readonly severalCalls: boolean;
  /** What the text of the answer must be; free by default. */
  readonly format: OutputFormat | undefined;
  /** Whether reasoning may come first. */
  readonly mayReason: boolean;
  /** Whether the prompt has begun the reasoning already. */
  readonly reasoningIsOpen: boolean;
}

/** Parts of an answer as they come. A call begins with its name, its arguments follow in pieces. */
export type AnswerPiece =
  | { readonly kind: 'text' | 'reasoning' | 'arguments'; readonly text: string }
  | { readonly kind: 'call'; readonly name: string }
  | { readonly kind: 'call-end' };

/** Reads an answer while it comes. */
export interface AnswerReader {
  /** Whether what comes next belongs to the reasoning. */
  readonly reasons: boolean;
  /** What is certain with this text. */
  push(text: string): AnswerPiece[];
  /** What was held back, for nothing more comes. */
  finish(): AnswerPiece[];
}

/** What is known of how a model was taught to answer. */
export interface TemplateFacts {
  /** Text of its chat template, '' where it has none. */
  readonly template: string;
  /** Whether a text is one token of its vocabulary. */
  hasToken(text: string): boolean;
}

/** How a model writes reasoning and calls of tools: one value for each way that chat templates teach. */
export interface AnswerFormat {
  readonly name: string;
  /**
   * Special tokens that stand in answers, each with the text that it is for the grammar and the reader: itself, or a marker of
   * `markerCharacter`, which no text of the model can be. Tokens that are no special ones need not be named.
   */
  readonly tokens: Readonly<Record<string, string>>;
  /** Whether a model writes like this. */
  speaks(model: TemplateFacts): boolean;
  /** Whether such a model may reason before it answers. */
  reasons(model: TemplateFacts): boolean;
  /** Whether a prompt ends inside of the reasoning. */
  opensReasoning(prompt: string): boolean;
  /** What ends the reasoning, as text to encode. */
  readonly endOfReasoning: string;
  /** The answers that a plan allows; undefined where they need no bounds. */
  grammar(plan: AnswerPlan): OutputFormat | undefined;
  /** Tells the parts of an answer apart as it comes. */
  reader(plan: AnswerPlan): AnswerReader;
  /** What tells a model of tools where its chat template does not. */
  describeTools(tools: readonly Tool[]): string;
  /** Calls as the model would have written them, for templates that cannot. */
  writeCalls(calls: readonly ToolCall[]): string;
}

/** JSON schema of a tool's arguments. */
export function parametersOf({ parameters }: Tool): object {
  return parameters ?? { type: 'object', properties: {} };
}
