interface Part {
  readonly type?: string;
  readonly decoders?: readonly Part[];
  readonly pattern?: { readonly String?: string };
  readonly content?: string;
  readonly replacement?: string;
}

/**
 * What each token adds to a text, in bytes of UTF-8; `undefined` where it is no text, as those that begin and end one. A token
 * need not hold whole characters. What a decoder does at the beginning of a text is left out.
 *
 * @param definition of `tokenizer.json`
 * @param vocabulary ids of tokens as the file spells them
 * @param added tokens that are spelled as they are, and whether each is special
 */
export function tokenBytes(
  definition: object,
  vocabulary: Iterable<readonly [token: string, id: number]>,
  added: Iterable<readonly [id: number, token: { readonly content: string; readonly special: boolean }]>,
): (Uint8Array | undefined)[] {
  const decoders = parts((definition as { decoder?: Part | null }).decoder ?? undefined);
  const bytesOf = decoders.some(({ type }) => type === 'ByteLevel') ? byteLevel() : plain(decoders);
  const encoder = new TextEncoder();
  const bytes: (Uint8Array | undefined)[] = [];
  for (const [token, id] of vocabulary) bytes[id] = bytesOf(token);
  for (const [id, { content, special }] of added) bytes[id] = special ? undefined : encoder.encode(content);
  return Array.from(bytes);
}

function parts(of: Part | undefined): Part[] {
  return of ? [of, ...(of.decoders ?? []).flatMap(parts)] : [];
}

/** Tokens of bytes that are written as one character each, as GPT-2 does it. */
function byteLevel(): (token: string) => Uint8Array {
  const byteOf = new Map<string, number>();
  let further = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printed = (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
    byteOf.set(String.fromCharCode(printed ? byte : further++), byte);
  }
  const encoder = new TextEncoder();
  return (token) => {
    const characters = [...token];
    const known = characters.every((character) => byteOf.has(character));
    return known ? Uint8Array.from(characters, (character) => byteOf.get(character)!) : encoder.encode(token);
  };
}

/** Tokens of text, in which some characters stand for others, and some tokens for a byte. */
function plain(decoders: readonly Part[]): (token: string) => Uint8Array {
  const encoder = new TextEncoder();
  const fallback = decoders.some(({ type }) => type === 'ByteFallback');
  const replaced = decoders.flatMap(({ type, pattern, content, replacement }): [string, string][] => {
    if (type === 'Metaspace') return [[replacement ?? '▁', ' ']];
    return type === 'Replace' && pattern?.String !== undefined ? [[pattern.String, content ?? '']] : [];
  });
  return (token) => {
    const byte = fallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
    if (byte) return Uint8Array.of(Number.parseInt(byte[1]!, 16));
    return encoder.encode(replaced.reduce((text, [from, to]) => text.replaceAll(from, to), token));
  };
}
