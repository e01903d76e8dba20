import { createRequire } from 'node:module';
import { openReference } from '@heddle/tensor/reference';
import type * as api from '@opentelemetry/api';
import type * as sdk from '@opentelemetry/sdk-trace-base';
import { expect, test } from 'vitest';
import { summingModel } from '../../../../test-support/summing-model.ts';
import { openEngine, prometheusText, type Sampler, stepSpans, tracedEngine } from '../index.ts';

// the form that they have for Node: vitest would take the one for bundlers, which Node does not load
const require = createRequire(import.meta.url);
const { SpanStatusCode } = require('@opentelemetry/api') as typeof api;
const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } =
  require('@opentelemetry/sdk-trace-base') as typeof sdk;

const failing: Sampler = {
  name: 'failing',
  sample: () => {
    throw new Error('no more luck');
  },
};

test('requests and steps become spans, and what an engine says of itself the text of Prometheus', async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const tracer = provider.getTracer('test');
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
  expect(() => engine.generate({ tokens: [], maxTokens: 4 })).toThrow('at least one token');
  expect(engine.size).toEqual(inner.size);
  const stats = engine.stats();
  await engine.dispose();
  await expect(inner.prepare(1)).rejects.toThrow('disposed');

  const spans = exporter.getFinishedSpans();
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
  expect(requests.map(({ status }) => status.code)).toEqual([
    SpanStatusCode.UNSET,
    SpanStatusCode.ERROR,
    SpanStatusCode.ERROR,
  ]);
  expect(requests[1]!.events.at(-1)).toMatchObject({
    name: 'exception',
    attributes: { 'exception.message': 'no more luck' },
  });
  expect(steps).toHaveLength(stats.steps);
  for (const { startTime, endTime, events, attributes } of steps) {
    const ms = ([seconds, nanoseconds]: readonly [number, number]) => 1000 * seconds + nanoseconds / 1e6;
    const times = [startTime, ...events.map(({ time }) => time), endTime].map(ms);
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
  await provider.shutdown();
  await device.dispose();
});
