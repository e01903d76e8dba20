import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { summingModel } from '../../../../test-support/summing-model.ts';
import { openEngine, prometheusText, type Sampler, type SpanTracer, stepSpans, tracedEngine } from '../index.ts';

type Attributes = Record<string, string | number | string[]>;

/** A span as a tracer keeps it. */
interface Kept {
  readonly name: string;
  readonly attributes: Attributes;
  readonly startTime: number;
  readonly events: { readonly name: string; readonly time: number }[];
  code: number;
  endTime: number;
}

/** A tracer that keeps its spans, in the order of their ends. */
function keepingTracer(): { readonly tracer: SpanTracer; readonly spans: Kept[] } {
  const spans: Kept[] = [];
  const startSpan: SpanTracer['startSpan'] = (name, { attributes, startTime }) => {
    const span: Kept = { name, attributes: { ...attributes }, startTime, events: [], code: 0, endTime: Number.NaN };
    return {
      setAttributes: (more) => Object.assign(span.attributes, more),
      addEvent: (event, _, time) => span.events.push({ name: event, time }),
      recordException: ({ message }, time) => span.events.push({ name: message, time }),
      setStatus: ({ code }) => {
        span.code = code;
      },
      end(time) {
        expect(span.endTime).toBeNaN(); // a span ends once
        span.endTime = time;
        spans.push(span);
      },
    };
  };
  return { tracer: { startSpan }, spans };
}

const failing: Sampler = {
  name: 'failing',
  sample: () => {
    throw new Error('no more luck');
  },
};

test('requests and steps become spans, and what an engine says of itself the text of Prometheus', async () => {
  const { tracer, spans } = keepingTracer();
  const device = await openReference();
  const began = Date.now();
  const inner = openEngine(summingModel(device, 24), {
    maxSequences: 2,
    maxSequenceTokens: 24,
    onStep: stepSpans(tracer),
  });
  const engine = tracedEngine(inner, tracer);
  const got: number[] = [];
  for await (const token of engine.generate({ tokens: [1, 2, 3], maxTokens: 4 })) got.push(token);
  expect(got).toHaveLength(4);
  const failed = engine.generate({ tokens: [1], maxTokens: 4, sampler: failing });
  await expect(failed.next()).rejects.toThrow('no more luck');
  await failed.ended;
  expect(() => engine.generate({ tokens: [], maxTokens: 4 })).toThrow('at least one token');
  expect(engine.size).toEqual(inner.size);
  const stats = engine.stats();
  await engine.dispose();
  await expect(inner.prepare(1)).rejects.toThrow('disposed');

  const requests = spans.filter(({ name }) => name === 'heddle.generate');
  const steps = spans.filter(({ name }) => name === 'heddle.step');
  expect(requests.map(({ attributes }) => attributes)).toEqual([
    {
      'gen_ai.operation.name': 'generate',
      'gen_ai.request.max_tokens': 4,
      'gen_ai.usage.input_tokens': 3,
      'gen_ai.usage.output_tokens': 4,
      'gen_ai.response.finish_reasons': ['length'],
    },
    expect.objectContaining({ 'gen_ai.response.finish_reasons': ['error'], 'gen_ai.usage.output_tokens': 0 }),
    expect.objectContaining({ 'gen_ai.usage.input_tokens': 0 }),
  ]);
  expect(requests[0]!.events.map(({ name }) => name)).toEqual(['admitted', 'first token']);
  expect(requests.map(({ code }) => code)).toEqual([0, 2, 2]);
  expect(requests[1]!.events.at(-1)?.name).toBe('no more luck');
  expect(steps).toHaveLength(stats.steps);
  for (const { startTime, endTime, events, attributes } of steps) {
    const times = [startTime, ...events.map(({ time }) => time), endTime];
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times[0]).toBeGreaterThan(began - 1000);
    expect(attributes['heddle.tokens']).toBeGreaterThan(0);
  }

  const text = prometheusText(stats, { labels: { model: 'a "b"' } });
  expect(text).toContain(
    '# HELP heddle_engine_generated_tokens_total Tokens that were chosen.\n# TYPE heddle_engine_generated_tokens_total counter\n',
  );
  expect(text).toContain(`\nheddle_engine_steps_total{model="a \\"b\\""} ${stats.steps}\n`.slice(1));
  for (const line of text.trimEnd().split('\n'))
    expect(line).toMatch(/^(# (HELP|TYPE) heddle_engine_\w+ .+|heddle_engine_\w+\{model="a \\"b\\""\} \d+)$/);
  expect(prometheusText(stats)).toContain('\nheddle_engine_cache_bytes ');
  expect(() => prometheusText(stats, { prefix: '1 ' })).toThrow(/prefix must be of letters/);
  expect(() => prometheusText(stats, { labels: { 'a-b': '' } })).toThrow(/a label must be of letters/);
  await device.dispose();
});
