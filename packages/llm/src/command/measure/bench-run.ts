import type { Engine } from '../../engine/engine.ts';

/** What was measured of so many requests at once. */
export interface BenchRow {
  readonly prompt_tokens: number;
  readonly batch: number;
  /** Until the last request has its first token. */
  readonly first_token_ms: number;
  readonly prefill_tokens_per_s: number;
  readonly decode_tokens_per_s: number;
}

/** What is measured with. */
export interface BenchSizes {
  readonly promptTokens: number;
  readonly batch: number;
  readonly newTokens: number;
  readonly runs: number;
}

/** Measures an engine: the median of some runs after one that does not count. Prompts differ, so that none is in the cache. */
export async function benchRow(
  engine: Engine,
  vocabularySize: number,
  { promptTokens, batch, newTokens, runs }: BenchSizes,
  signal: AbortSignal,
): Promise<BenchRow> {
  await engine.prepare({ promptTokens, sequenceTokens: promptTokens + newTokens, sequences: batch });
  const measured: { readonly first: number; readonly rest: number }[] = [];
  for (let run = -1; run < runs; run++) {
    signal.throwIfAborted();
    const times = await once(engine, vocabularySize, { promptTokens, batch, newTokens, run }, signal);
    if (run >= 0) measured.push(times);
  }
  const median = (of: (each: (typeof measured)[number]) => number) =>
    measured.map(of).sort((a, b) => a - b)[measured.length >> 1]!;
  const [first, rest] = [median((each) => each.first), median((each) => each.rest)];
  return {
    prompt_tokens: promptTokens,
    batch,
    first_token_ms: first,
    prefill_tokens_per_s: (promptTokens * batch * 1000) / first,
    decode_tokens_per_s: ((newTokens - 1) * batch * 1000) / rest,
  };
}

async function once(
  engine: Engine,
  vocabularySize: number,
  { promptTokens, batch, newTokens, run }: Omit<BenchSizes, 'runs'> & { readonly run: number },
  signal: AbortSignal,
): Promise<{ readonly first: number; readonly rest: number }> {
  const began = performance.now();
  let first = began;
  const streams = Array.from({ length: batch }, async (_, sequence) => {
    const tokens = Array.from({ length: promptTokens }, (_, i) => mixed(run * batch + sequence, i) % vocabularySize);
    let came = 0;
    for await (const _token of engine.generate({ tokens, maxTokens: newTokens }, { signal }))
      if (came++ === 0) first = Math.max(first, performance.now());
  });
  await Promise.all(streams);
  return { first: first - began, rest: performance.now() - first };
}

/** Numbers without a pattern that are the same every time. */
function mixed(a: number, b: number): number {
  let state = Math.imul(a + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 1, 0xc2b2ae35);
  state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
  return (state ^ (state >>> 13)) >>> 0;
}
