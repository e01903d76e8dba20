/**
 * The first key that occurs twice in one object of a JSON text, or undefined. `JSON.parse` would keep the last one
 * silently. The text must be valid JSON.
 */
export function duplicateKey(json: string): string | undefined {
  // One set of keys for each object that is open, undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let keyExpected = false;
  for (let i = 0; i < json.length; i++) {
    const character = json[i];
    if (character === '"') {
      const end = endOfString(json, i);
      const keys = open.at(-1);
      if (keyExpected && keys) {
        const key = JSON.parse(json.slice(i, end)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
        keyExpected = false;
      }
      i = end - 1;
    } else if (character === '{') {
      open.push(new Set());
      keyExpected = true;
    } else if (character === '[') {
      open.push(undefined);
      keyExpected = false;
    } else if (character === '}' || character === ']') {
      open.pop();
      keyExpected = false;
    } else if (character === ',') {
      keyExpected = open.at(-1) !== undefined;
    }
  }
  return undefined;
}

/** The position after the closing quote of the string that opens at `start`. */
function endOfString(json: string, start: number): number {
  let i = start + 1;
  while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
  return i + 1;
}
