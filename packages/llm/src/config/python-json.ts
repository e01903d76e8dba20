/** How transformers writes a number that JSON lacks. */
const floatKey = '__float__';

const numbers: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

/**
 * Parses JSON as Python writes it: `NaN`, `Infinity` and `-Infinity` count as numbers, bare or as
 * `{"__float__": "Infinity"}`; a byte order mark before the text is passed over.
 *
 * @throws SyntaxError
 */
export function parsePythonJson(text: string): unknown {
  const body = text.startsWith('\ufeff') ? text.slice(1) : text;
  try {
    return JSON.parse(body, revive);
  } catch (error) {
    const written = quoteNumbers(body);
    if (written === body) throw error;
    try {
      return JSON.parse(written, revive);
    } catch {
      throw error;
    }
  }
}

/** The text with numbers that JSON lacks as objects; what stands within strings is left. */
function quoteNumbers(text: string): string {
  return text.replace(/"(?:[^"\\]|\\[\s\S])*"|-?\bInfinity\b|\bNaN\b/g, (found) =>
    found.startsWith('"') ? found : `{"${floatKey}":"${found}"}`,
  );
}

function revive(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, floatKey)) return value;
  const named = (value as Record<string, unknown>)[floatKey];
  return typeof named === 'string' && Object.hasOwn(numbers, named) ? numbers[named] : value;
}
