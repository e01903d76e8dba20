import client from 'prom-client';
import { describe, expect, it } from 'vitest';
import { dynamicBatcher } from '../dynamic/dynamic-batcher.ts';
import { failed } from '../dynamic/item-failure.ts';
import { blockCapacity } from '../scheduling/block-capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import { observed } from '../scheduling/observe.ts';
import { prometheusBatches, prometheusScheduler } from './prometheus.ts';

describe('the export to Prometheus', () => {
  it('counts what a scheduler does', async () => {
    const registry = new client.Registry();
    let now = 0;
    const scheduler = observed(
      continuousScheduler({
        maxBatchTokens: 8,
        maxSequences: 2,
        maxWaiting: 2,
        capacity: blockCapacity({ blocks: 64, blockSize: 1 }),
        clock: () => now,
      }),
      prometheusScheduler({ client, registry, maxBatchTokens: 8 }),
    );
    for (const id of ['a', 'b', 'c']) scheduler.add({ id, promptTokens: 4, maxTokens: 3 });
    while (!scheduler.idle) {
      const plan = scheduler.step();
      now += 20;
      scheduler.commit(
        plan,
        plan.sequences.map(() => ({ tokens: [7] })),
      );
    }
    const text = await registry.metrics();
    for (const line of [
      'heddle_requests_total{outcome="rejected"} 1',
      'heddle_requests_total{outcome="length"} 2',
      'heddle_tokens_total{kind="generated"} 6',
      'heddle_tokens_total{kind="computed"} 12',
      'heddle_requests_waiting 0',
      'heddle_batch_size_count 3',
      'heddle_batch_size_bucket{le="2"} 3',
      'heddle_time_to_first_token_seconds_bucket{le="0.025"} 2',
      'heddle_time_to_first_token_seconds_bucket{le="0.01"} 0',
      'heddle_inter_token_seconds_count 4',
      'heddle_request_seconds_count 2',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
  });

  it('counts what a dynamic batcher does', async () => {
    const registry = new client.Registry();
    const batch = dynamicBatcher<number, number>({
      run: async (items) => items.map((item) => (item === 2 ? failed(new Error('two')) : item)),
      maxBatchSize: 2,
      maxWaitMs: 0,
      maxQueue: 3,
      observers: [prometheusBatches({ client, registry, prefix: 'embed_' })],
    });
    // two run at once, three wait, one is too many
    await Promise.allSettled([1, 2, 3, 4, 5, 6].map((item) => batch(item)));
    const text = await registry.metrics();
    for (const line of [
      'embed_batch_items_total{outcome="answered"} 4',
      'embed_batch_items_total{outcome="failed"} 1',
      'embed_batch_items_total{outcome="rejected"} 1',
      'embed_batch_items_sum 5',
      'embed_batch_items_count 3',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
  });
});
