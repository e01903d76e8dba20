/**
 * How many tokens before the next one are decoded with it. A character takes at most four bytes, so what began four
 * tokens ago is complete; twice that allows for tokens that stand for no text between them.
 */
const contextTokens = 8;

/** What stands for bytes that are no whole character (yet). */
const replacement = '\ufffd';

/** Turns a stream of tokens into a stream of text. */
export interface IncrementalDecoder {
  /**
   * Takes the next token.
   *
   * @returns The text that is now certain, often that of this token; empty while a character is incomplete.
   */
  push(id: number): string;
  /** Ends the stream: the text that was held back, an incomplete character as U+FFFD. The decoder then starts anew. */
  finish(): string;
}

/**
 * An incremental decoder over a function that decodes a whole sequence: the texts that it gives, joined, are what the
 * function gives for all tokens at once.
 *
 * Only the last few tokens are decoded again for each new one, so a long stream costs no more per token than a short
 * one. This holds for decoders in which a token changes the text only near itself, as all of language models do.
 *
 * @param decode Text of a sequence of tokens.
 * @param after Tokens that the stream continues; their text is not given again. In many vocabularies the first token of
 *   a text loses the space before it, and any later one does not.
 */
export function incrementalDecoder(
  decode: (ids: readonly number[]) => string,
  after: readonly number[] = [],
): IncrementalDecoder {
  let context: number[] = [];
  // How much of the context's text has been given, in UTF-16 units.
  let given = 0;
  const start = (ids: readonly number[]) => {
    context = ids.slice(-contextTokens);
    given = certainLength(decode(context));
  };
  start(after);
  return {
    push(id) {
      context.push(id);
      const text = decode(context);
      const certain = certainLength(text);
      const piece = text.slice(given, certain);
      given = Math.max(given, certain);
      if (context.length >= 2 * contextTokens) {
        const held = text.length - given;
        context = context.slice(-contextTokens);
        given = decode(context).length - held;
      }
      return piece;
    },
    finish() {
      const rest = decode(context).slice(given);
      start([]);
      return rest;
    },
  };
}

/**
 * How much of a text is certain. Only the last character can be incomplete: decoders write one U+FFFD for it, and an
 * invalid byte before it is known to be invalid.
 */
function certainLength(text: string): number {
  return text.endsWith(replacement) ? text.length - 1 : text.length;
}
