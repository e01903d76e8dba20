import { type Answer, Collected, type NumberedPart } from '../answers.ts';
import { event } from '../event-stream.ts';
import { callItem, messageItem, reasoningItem } from './response-items.ts';
import { newId } from './shared.ts';

/** An item of the output while it comes. */
interface OpenItem {
  readonly kind: 'message' | 'reasoning' | 'call';
  readonly id: string;
  text: string;
  readonly call?: { readonly id: string; readonly name: string };
}

/** The events of a response: items one after the other, each with its deltas, and the whole response at its end. */
export async function* responseEvents(
  parts: AsyncIterable<NumberedPart>,
  begun: object,
  whole: (answer: Answer, output: readonly object[]) => object,
): AsyncGenerator<string, undefined> {
  const writer = new ItemWriter();
  const answer = new Collected();
  yield writer.event('response.created', { response: begun });
  yield writer.event('response.in_progress', { response: begun });
  for await (const { part } of parts) {
    answer.push(part);
    switch (part.type) {
      case 'text':
        if (part.text !== '') yield writer.add('message', part.text);
        break;
      case 'reasoning':
        yield writer.add('reasoning', part.text);
        break;
      case 'tool-call':
        yield writer.open('call', part);
        break;
      case 'tool-arguments':
        yield writer.add('call', part.text);
    }
  }
  yield writer.close();
  const response = whole(answer, writer.output);
  const { status } = response as { readonly status: string };
  yield writer.event(`response.${status}`, { response });
  return undefined;
}

class ItemWriter {
  readonly output: object[] = [];
  #number = 0;
  #item: OpenItem | undefined;

  event(type: string, data: object): string {
    return event({ type, sequence_number: this.#number++, ...data }, type);
  }

  /** Ends the item before, and begins one. */
  open(kind: OpenItem['kind'], call?: { readonly id: string; readonly name: string }): string {
    const before = this.close();
    const id = kind === 'call' ? `fc_${call!.id.slice(5)}` : newId(kind === 'message' ? 'msg_' : 'rs_');
    this.#item = { kind, id, text: '', ...(call && { call }) };
    const added = this.event('response.output_item.added', {
      output_index: this.output.length,
      item: this.#itemOf('in_progress'),
    });
    if (kind !== 'message') return before + added;
    const part = { type: 'output_text', text: '', annotations: [], logprobs: [] };
    return before + added + this.event('response.content_part.added', { ...this.#place(), part });
  }

  /** Adds to the item of this kind, which is begun where another is open. */
  add(kind: OpenItem['kind'], delta: string): string {
    const before = this.#item?.kind === kind ? '' : this.open(kind);
    this.#item!.text += delta;
    if (kind === 'call')
      return before + this.event('response.function_call_arguments.delta', { ...this.#place(), delta });
    const type = kind === 'message' ? 'response.output_text.delta' : 'response.reasoning_text.delta';
    return before + this.event(type, { ...this.#place(), delta, ...(kind === 'message' && { logprobs: [] }) });
  }

  close(): string {
    const item = this.#item;
    if (!item) return '';
    const place = this.#place();
    const done = this.#itemOf('completed');
    const { text } = item;
    let events = '';
    if (item.kind === 'message') {
      const part = { type: 'output_text', text, annotations: [], logprobs: [] };
      events += this.event('response.output_text.done', { ...place, text, logprobs: [] });
      events += this.event('response.content_part.done', { ...place, part });
    } else if (item.kind === 'reasoning') events += this.event('response.reasoning_text.done', { ...place, text });
    else
      events += this.event('response.function_call_arguments.done', {
        ...place,
        name: item.call!.name,
        arguments: text,
      });
    events += this.event('response.output_item.done', { output_index: this.output.length, item: done });
    this.output.push(done);
    this.#item = undefined;
    return events;
  }

  #place(): object {
    const { id, kind } = this.#item!;
    return { item_id: id, output_index: this.output.length, ...(kind !== 'call' && { content_index: 0 }) };
  }

  #itemOf(status: string): object {
    const { kind, id, text, call } = this.#item!;
    if (kind === 'message') return messageItem(id, text, status);
    return kind === 'reasoning' ? reasoningItem(id, text) : callItem({ ...call!, arguments: text }, status);
  }
}
