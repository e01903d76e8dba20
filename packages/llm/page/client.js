// What the page asks of the server that it came from, and of no other.
const at = (path) => new URL(path, document.baseURI);

function headers(key) {
  return { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) };
}

async function checked(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Error(body?.error?.message ?? `The server answered with ${response.status}.`);
}

/** Names of models that generate text. */
export async function models(key) {
  const { data } = await (await checked(await fetch(at('v1/models'), { headers: headers(key) }))).json();
  return data.filter(({ kind }) => kind === undefined || kind === 'text').map(({ id }) => id);
}

/** Figures of `/metrics`: name, labels and value. */
export async function figures(key) {
  const text = await (await checked(await fetch(at('metrics'), { headers: headers(key) }))).text();
  return [...text.matchAll(/^([\w:]+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, of]) => [label, of])),
    value: Number(value),
  }));
}

/**
 * Answers as they come: `onDelta` hears of each piece.
 * @returns what the answer took
 */
export async function answer(body, key, signal, onDelta) {
  const init = { method: 'POST', headers: headers(key), signal };
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  const response = await checked(await fetch(at('v1/chat/completions'), { ...init, body: JSON.stringify(asked) }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let usage;
  let reason;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const each of events) {
      const data = each.replace(/^data: /, '');
      if (data === '[DONE]') continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      usage = chunk.usage ?? usage;
      const [choice] = chunk.choices;
      if (choice?.delta) onDelta(choice.delta);
      reason = choice?.finish_reason ?? reason;
    }
  }
  return { usage, reason };
}
