/** What a client saw of one answer. */
export interface Seen {
  /** Milliseconds until the first token. */
  readonly firstMs: number;
  readonly tokens: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

export type Client = (prompt: readonly number[], maxTokens: number) => Promise<Seen>;

interface Chunk {
  readonly choices: readonly { readonly logprobs: unknown; readonly text: string }[];
  readonly usage: null | {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
}

/** Streams `/v1/completions` of a server on this machine, whose model goes on until it has all tokens. */
export function completionsClient(port: number): Client {
  return async (prompt, maxTokens) => {
    const began = performance.now();
    const response = await fetch(`http://127.0.0.1:${port}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'model',
        prompt,
        max_tokens: maxTokens,
        temperature: 0,
        ignore_eos: true,
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    if (!response.ok || !response.body) throw new Error(`${response.status}: ${await response.text()}`);
    let firstMs: number | undefined;
    let usage: Chunk['usage'] = null;
    let rest = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
      const events = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
      rest = events.pop()!;
      for (const event of events) {
        if (event === 'data: [DONE]' || event === '') continue;
        const chunk = JSON.parse(event.slice('data: '.length)) as Chunk & { readonly error?: unknown };
        if (chunk.error) throw new Error(JSON.stringify(chunk.error));
        if (chunk.choices.length > 0) firstMs ??= performance.now() - began;
        usage = chunk.usage ?? usage;
      }
    }
    if (firstMs === undefined || !usage) throw new Error('the server gave no answer');
    return {
      firstMs,
      tokens: usage.completion_tokens,
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
    };
  };
}
