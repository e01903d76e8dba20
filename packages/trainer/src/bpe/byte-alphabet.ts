/**
 * The printable character that byte-level vocabularies write for each byte, by byte: itself where it is printable, otherwise
 * one from U+0100 on (a space is U+0120). Source: GPT-2, https://openai.com/index/better-language-models
 */
export function byteAlphabet(): readonly string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

/** The bytes in the order in which vocabularies list them: by the code of the character that is written for each. */
export function bytesInOrder(alphabet: readonly string[]): readonly number[] {
  return alphabet.map((_, byte) => byte).sort((a, b) => (alphabet[a]! < alphabet[b]! ? -1 : 1));
}
