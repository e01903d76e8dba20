import { StopStrings } from '../stop-strings.ts';
import type { TextPart } from '../text-result.ts';
import type { AnswerPiece, AnswerReader, ToolCall } from './answer-format.ts';

type Part = Exclude<TextPart, { readonly type: 'start' | 'finish' }>;
type Unnumbered = Part extends infer P ? (P extends Part ? Omit<P, 'tokens'> : never) : never;

/** What has come of an answer, and the parts that each token adds to it. Stop strings count in its text alone. */
export class AnswerText {
  text = '';
  reasoning = '';
  reasoningTokens = 0;
  /** The stop string that ended it. */
  stop: string | undefined;
  readonly #calls: { id: string; name: string; arguments: string }[] = [];
  readonly #stops: StopStrings;
  readonly #reader: AnswerReader | undefined;

  constructor(stops: readonly string[], reader: AnswerReader | undefined) {
    this.#stops = new StopStrings(stops);
    this.#reader = reader;
  }

  get calls(): readonly ToolCall[] {
    return this.#calls;
  }

  /** Takes what a token adds. */
  push(piece: string, tokens: readonly number[]): Part[] {
    const reader = this.#reader;
    if (!reader) return withTokens([this.#visible(piece)], tokens);
    const reasoned = reader.reasons;
    const pieces = reader.push(piece);
    if (reasoned && reader.reasons) this.reasoningTokens += tokens.length;
    const parts = this.#read(pieces);
    return withTokens(parts.length > 0 ? parts : [{ type: 'text', text: '' }], tokens);
  }

  /** The rest, for nothing more comes. */
  finish(piece: string): Part[] {
    const reader = this.#reader;
    const parts = reader ? this.#read([...reader.push(piece), ...reader.finish()]) : [this.#visible(piece)];
    if (this.stop === undefined) {
      const held = this.#stops.finish();
      this.text += held;
      if (held !== '') parts.push({ type: 'text', text: held });
    }
    return withTokens(parts, []);
  }

  #read(pieces: readonly AnswerPiece[]): Unnumbered[] {
    const parts: Unnumbered[] = [];
    for (const piece of pieces) {
      if (this.stop !== undefined) break;
      const index = this.#calls.length - 1;
      switch (piece.kind) {
        case 'text':
          parts.push(this.#visible(piece.text));
          break;
        case 'reasoning':
          this.reasoning += piece.text;
          parts.push({ type: 'reasoning', text: piece.text });
          break;
        case 'call': {
          const id = `call_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`;
          this.#calls.push({ id, name: piece.name, arguments: '' });
          parts.push({ type: 'tool-call', index: index + 1, id, name: piece.name });
          break;
        }
        case 'arguments':
          this.#calls[index]!.arguments += piece.text;
          parts.push({ type: 'tool-arguments', index, text: piece.text });
          break;
        case 'call-end':
      }
    }
    return parts;
  }

  #visible(piece: string): Unnumbered {
    const { text, stop } = this.#stops.push(piece);
    this.stop = stop;
    this.text += text;
    return { type: 'text', text };
  }
}

/** The parts of one token: the first of them has it. */
function withTokens(parts: readonly Unnumbered[], tokens: readonly number[]): Part[] {
  return parts.map((part, i) => ({ ...part, tokens: i === 0 ? tokens : [] }) as Part);
}
