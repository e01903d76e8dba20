import type { AnswerPiece, AnswerPlan, AnswerReader } from './answer-format.ts';
import { JsonValue } from './json-value.ts';
import type { CallTags, Tags } from './tagged-answers.ts';

type State = 'start' | 'reasoning' | 'text' | 'name' | 'arguments' | 'end' | 'between';

/** What a reader looks for. */
interface ReaderTags {
  readonly reasoning: Tags | undefined;
  readonly call: CallTags;
}

/** Reads answers in which tags stand around reasoning and calls. */
export class TaggedReader implements AnswerReader {
  readonly #tags: ReaderTags;
  readonly #calls: boolean;
  #state: State;
  /** What has come and is not given yet. */
  #held = '';
  /** White space here is not given unless something follows. */
  #trimming = false;
  #value = new JsonValue();
  #pieces: AnswerPiece[] = [];

  constructor(tags: ReaderTags, { tools, reasoningIsOpen, mayReason }: AnswerPlan) {
    this.#tags = tags;
    this.#calls = tools.length > 0;
    this.#state = reasoningIsOpen ? 'reasoning' : mayReason && tags.reasoning ? 'start' : 'text';
    this.#trimming = reasoningIsOpen;
  }

  get reasons(): boolean {
    return this.#state === 'reasoning';
  }

  push(text: string): AnswerPiece[] {
    this.#held += text;
    while (this.#step());
    return this.#taken();
  }

  finish(): AnswerPiece[] {
    const rest = this.#trimming || this.#state === 'reasoning' ? this.#held.trimEnd() : this.#held;
    if (this.#state === 'reasoning') this.#give('reasoning', rest);
    else if (this.#state === 'start' || this.#state === 'text') this.#give('text', rest);
    this.#held = '';
    return this.#taken();
  }

  #taken(): AnswerPiece[] {
    return this.#pieces.splice(0);
  }

  /** @returns whether more may be done with what has come */
  #step(): boolean {
    const { reasoning, call } = this.#tags;
    switch (this.#state) {
      case 'start': {
        const begun = this.#held.trimStart();
        if (reasoning!.begin.startsWith(begun)) {
          if (begun !== reasoning!.begin) return false;
        } else if (!begun.startsWith(reasoning!.begin)) return this.#to('text', this.#held);
        this.#trimming = true;
        return this.#to('reasoning', begun.slice(reasoning!.begin.length));
      }
      case 'reasoning':
        return this.#until(reasoning!.end, 'reasoning', true, (rest) => {
          this.#trimming = true;
          return this.#to('text', rest);
        });
      case 'text':
        if (!this.#calls) return this.#until(undefined, 'text', false, () => false);
        return this.#until((call.around?.begin ?? '') + call.begin, 'text', false, (rest) => this.#to('name', rest));
      case 'name': {
        const at = this.#held.indexOf(call.middle);
        if (at < 0) return false;
        this.#pieces.push({ kind: 'call', name: this.#held.slice(0, at) });
        this.#value = new JsonValue();
        return this.#to('arguments', this.#held.slice(at + call.middle.length));
      }
      case 'arguments': {
        const own = this.#value.push(this.#held);
        this.#give('arguments', this.#held.slice(0, own));
        this.#held = this.#held.slice(own);
        if (!this.#value.complete) return false;
        this.#pieces.push({ kind: 'call-end' });
        return this.#to('end', this.#held);
      }
      case 'end':
        if (this.#held.length < call.end.length && call.end.startsWith(this.#held)) return false;
        return this.#to(call.around ? 'between' : 'text', after(this.#held, call.end), true);
      case 'between': {
        const { between, end } = call.around!;
        const next = between + call.begin;
        if (this.#held.startsWith(next)) return this.#to('name', this.#held.slice(next.length));
        if (this.#held.startsWith(end)) return this.#to('text', this.#held.slice(end.length), true);
        return next.startsWith(this.#held) || end.startsWith(this.#held) ? false : this.#to('text', this.#held, true);
      }
    }
  }

  #to(state: State, held: string, trimming: boolean = this.#trimming): boolean {
    this.#state = state;
    this.#held = held;
    this.#trimming = trimming;
    return held !== '' || state === 'text';
  }

  /** Gives what stands before `mark`, and holds back what may be its beginning, and white space at an end that is trimmed. */
  #until(
    mark: string | undefined,
    kind: 'text' | 'reasoning',
    trimEnd: boolean,
    then: (rest: string) => boolean,
  ): boolean {
    if (this.#trimming) this.#held = this.#held.trimStart();
    if (this.#held === '') return false;
    const at = mark === undefined ? -1 : this.#held.indexOf(mark);
    if (at >= 0) {
      const before = this.#held.slice(0, at);
      this.#give(kind, trimEnd ? before.trimEnd() : before);
      return then(this.#held.slice(at + mark!.length));
    }
    const certain = this.#held.slice(0, this.#held.length - (mark === undefined ? 0 : pending(this.#held, mark)));
    const given = trimEnd ? certain.trimEnd() : certain;
    this.#give(kind, given);
    this.#held = this.#held.slice(given.length);
    return false;
  }

  #give(kind: 'text' | 'reasoning' | 'arguments', text: string): void {
    if (text === '') return;
    this.#trimming = false;
    this.#pieces.push({ kind, text });
  }
}

/** How much of the end of a text is the beginning of another. */
function pending(text: string, mark: string): number {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--)
    if (text.endsWith(mark.slice(0, length))) return length;
  return 0;
}

const after = (text: string, start: string) => (text.startsWith(start) ? text.slice(start.length) : text);
