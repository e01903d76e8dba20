/** Finds the end of a JSON object or list that comes in pieces. */
export class JsonValue {
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Whether its last bracket has come. */
  complete = false;

  /** Takes what belongs to it. @returns how many UTF-16 units of the text that are */
  push(text: string): number {
    for (let at = 0; at < text.length; at++) {
      const character = text[at]!;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (character === '\\') this.#escaped = true;
        else if (character === '"') this.#inString = false;
      } else if (character === '"') this.#inString = true;
      else if (character === '{' || character === '[') this.#depth++;
      else if (character === '}' || character === ']') {
        this.#depth--;
        if (this.#depth > 0) continue;
        this.complete = true;
        return at + 1;
      }
    }
    return text.length;
  }
}
