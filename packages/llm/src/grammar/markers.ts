import { GrammarError } from './errors.ts';

/**
 * Tokens that stand for no text, as `<|channel|>` does, are markers where a format or a reader has to see them: each is a
 * character of its own that no text can have (a surrogate that stands alone), and two bytes that no UTF-8 has.
 */
const first = 0xdc00;
const maxMarkers = 1024;

/** The character of marker `number`, from 0 to 1,023. */
export function markerCharacter(number: number): string {
  if (!(number >= 0 && number < maxMarkers))
    throw new GrammarError(`markerCharacter: takes a number from 0 to ${maxMarkers - 1}, got ${String(number)}`);
  return String.fromCharCode(first + number);
}

/** The bytes of a marker. */
function markerBytes(number: number): Uint8Array {
  return Uint8Array.of(0xf8 | (number >> 8), number & 0xff);
}

/** UTF-8 of a text, with markers as their bytes. */
export function bytesWithMarkers(text: string): number[] {
  const encoder = new TextEncoder();
  return text.split(/(\p{Surrogate})/u).flatMap((part, i) => {
    if (i % 2 === 0) return [...encoder.encode(part)];
    const number = part.charCodeAt(0) - first;
    return number >= 0 ? [...markerBytes(number)] : [...encoder.encode(part)];
  });
}
