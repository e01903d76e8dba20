import type { GenerateOptions, TokenStream } from '@heddle/batcher';
import { checkArguments } from '@heddle/tensor';
import type { Engine } from './engine.ts';
import type { GenerationRequest, ScheduledGeneration } from './request.ts';
import type { StepTimes } from './steps/step-trace.ts';

type Attributes = Record<string, string | number | string[]>;

/** The part of a span of `@opentelemetry/api` that is used. Times are milliseconds since 1970. */
interface TracedSpan {
  setAttributes(attributes: Attributes): unknown;
  addEvent(name: string, attributes: Attributes, time: number): unknown;
  recordException(error: Error, time: number): void;
  setStatus(status: { readonly code: number; readonly message?: string }): unknown;
  end(time: number): void;
}

/** The part of a tracer of `@opentelemetry/api` that is used: `trace.getTracer('heddle')`. */
export interface SpanTracer {
  /** Begins a span; times in ms since 1970. */
  startSpan(name: string, options: { readonly attributes: Attributes; readonly startTime: number }): TracedSpan;
}

/** `SpanStatusCode.ERROR` */
const failedStatus = 2;
const now = () => Date.now();
const epoch = (time: number) => performance.timeOrigin + time;

/**
 * The same engine, of whose requests each is an OpenTelemetry span from its call to its end, a child of the span that is active
 * then: how many tokens it took and gave, why it ended, when it was admitted, had its first token and lost its place. Attributes
 * have the names of the semantic conventions for generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/).
 *
 * ```ts
 * import { trace } from '@opentelemetry/api';
 * import { openEngine, tracedEngine } from '@heddle/llm';
 *
 * const engine = tracedEngine(openEngine(model), trace.getTracer('heddle'));
 * ```
 */
export function tracedEngine(engine: Engine, tracer: SpanTracer): Engine {
  checkArguments('tracedEngine', 'object', { engine, tracer });
  const generate = (request: GenerationRequest, options: GenerateOptions<ScheduledGeneration> = {}): TokenStream => {
    const attributes = {
      'gen_ai.operation.name': 'generate',
      'gen_ai.request.max_tokens': request.maxTokens,
      'gen_ai.usage.input_tokens': request.tokens.length,
    };
    const span = tracer.startSpan('heddle.generate', { attributes, startTime: now() });
    const fail = (error: unknown) => {
      const thrown = error instanceof Error ? error : new Error(String(error));
      span.recordException(thrown, now());
      span.setStatus({ code: failedStatus, message: thrown.message });
    };
    const onEvent: typeof options.onEvent = (event) => {
      if (event.type === 'admitted')
        span.addEvent(
          'admitted',
          { 'heddle.cached_tokens': event.cachedTokens, 'heddle.wait_ms': event.waitMs },
          now(),
        );
      else if (event.type === 'firstToken') span.addEvent('first token', {}, now());
      else if (event.type === 'preempted')
        span.addEvent('preempted', { 'heddle.computed_tokens': event.computedTokens }, now());
      options.onEvent?.(event);
    };
    let stream: TokenStream;
    try {
      stream = engine.generate(request, { ...options, onEvent });
    } catch (error) {
      fail(error);
      span.end(now());
      throw error;
    }
    void stream.ended.then(({ reason, newTokens, error }) => {
      span.setAttributes({ 'gen_ai.usage.output_tokens': newTokens, 'gen_ai.response.finish_reasons': [reason] });
      if (error !== undefined) fail(error);
      span.end(now());
    });
    return stream;
  };
  return new Proxy(engine, {
    get(target, name) {
      if (name === 'generate') return generate;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** An `onStep` that makes each step of an engine an OpenTelemetry span, with events for when it was submitted and read. */
export function stepSpans(tracer: SpanTracer): (step: StepTimes) => void {
  return ({ step, sequences, tokens, begun, submitted, read, completed }) => {
    const attributes = { 'heddle.step': step, 'heddle.sequences': sequences, 'heddle.tokens': tokens };
    const span = tracer.startSpan('heddle.step', { attributes, startTime: epoch(begun) });
    span.addEvent('submitted', {}, epoch(submitted));
    span.addEvent('read', {}, epoch(read));
    span.end(epoch(completed));
  };
}
