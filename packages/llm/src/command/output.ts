import type { LoadedModel } from '../load-model.ts';
import type { GenerateCommand } from './options/generate-options.ts';

/** Prints a generation: text as it comes with the figures after it, or one JSON object at the end. */
export class Output {
  readonly #command: GenerateCommand;
  readonly #model: LoadedModel;
  readonly #prompt: readonly number[];
  readonly #loadMs: number;
  readonly #tokens: number[] = [];
  #text = '';
  #began = 0;
  #first = 0;
  #last = 0;

  constructor(command: GenerateCommand, model: LoadedModel, prompt: readonly number[], loadMs: number) {
    this.#command = command;
    this.#model = model;
    this.#prompt = prompt;
    this.#loadMs = loadMs;
  }

  /** The request is on its way. */
  begin(): void {
    this.#began = performance.now();
    if (this.#command.prompt !== undefined) this.#write(this.#command.prompt);
  }

  /** Takes what comes next: the tokens, and the text that is certain with them. */
  text(text: string, tokens: readonly number[]): void {
    for (const token of tokens) {
      this.#last = performance.now();
      if (this.#tokens.length === 0) this.#first = this.#last;
      this.#tokens.push(token);
      if (!this.#model.tokenizer) this.#write(`${this.#tokens.length > 1 ? ',' : ''}${token}`);
    }
    this.#text += text;
    this.#write(text);
  }

  /** @param score of a search */
  end(reason: string, score?: number): void {
    if (this.#command.json) {
      const found = score === undefined ? {} : { score };
      process.stdout.write(`${JSON.stringify({ ...this.#report(reason), ...found })}\n`);
      return;
    }
    this.#write('\n');
    const { device, timings } = this.#report(reason);
    const figure = (count: number, what: string, ms: number | null) =>
      ms === null ? [] : [`${count} ${what} in ${ms.toFixed(1)} ms (${((count / ms) * 1000).toFixed(0)} tokens/s)`];
    const figures = [
      `loaded in ${timings.load_ms.toFixed(0)} ms`,
      // the step that computes the end of the prompt gives the first token
      ...figure(this.#prompt.length, 'prompt tokens', timings.prefill_ms),
      ...figure(this.#tokens.length - 1, 'tokens after the first', timings.decode_ms),
    ];
    process.stderr.write(`\n${device}\n${figures.join('; ')}\n`);
  }

  #report(reason: string) {
    const tokens = this.#tokens;
    const { device } = this.#model;
    const prefillMs = tokens.length > 0 ? this.#first - this.#began : null;
    const decodeMs = tokens.length > 1 ? this.#last - this.#first : null;
    return {
      device: `${device.name}: ${device.description}`,
      prompt_tokens: this.#prompt,
      tokens,
      text: this.#model.tokenizer ? this.#text : null,
      finish_reason: reason,
      timings: {
        load_ms: this.#loadMs,
        prefill_ms: prefillMs,
        decode_ms: decodeMs,
        prefill_tokens_per_s: prefillMs === null ? null : (this.#prompt.length / prefillMs) * 1000,
        decode_tokens_per_s: decodeMs === null ? null : ((tokens.length - 1) / decodeMs) * 1000,
      },
    };
  }

  #write(text: string): void {
    if (!this.#command.json) process.stdout.write(text);
  }
}
