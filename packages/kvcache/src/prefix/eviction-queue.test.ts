import { expect, test } from 'vitest';
import { BlockNode } from './block-node.ts';
import { type EvictionPolicy, leastFrequentlyUsed, leastRecentlyUsed } from './eviction-policies.ts';
import { EvictionQueue } from './eviction-queue.ts';

/** A prompt of blocks, each behind the one before, all used at the same time. */
function promptOf(blocks: number): BlockNode[] {
  const nodes: BlockNode[] = [];
  for (let i = 0; i < blocks; i++) nodes.push(new BlockNode(nodes.at(-1), Int32Array.of(i), i, 1, 5));
  return nodes;
}

function order(nodes: readonly BlockNode[], policy: EvictionPolicy = leastRecentlyUsed()): number[] {
  const queue = new EvictionQueue(policy, 0);
  for (const node of nodes) queue.offer(node);
  const taken: number[] = [];
  for (let node = queue.take(() => true); node; node = queue.take(() => true)) taken.push(nodes.indexOf(node));
  return taken;
}

test('of blocks that a policy ranks alike the end of a prompt goes before its beginning, however they are offered', () => {
  const nodes = promptOf(7);
  expect(order(nodes)).toEqual([6, 5, 4, 3, 2, 1, 0]);
  expect(order([...nodes].reverse())).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test('later numbers of a rank count where the earlier ones are equal', () => {
  const nodes = promptOf(6);
  for (const [i, node] of nodes.entries()) [node.hits, node.lastUsed] = [i % 2, 10 - i];
  expect(order(nodes, leastFrequentlyUsed())).toEqual([4, 2, 0, 5, 3, 1]);
});

test('an offer is void once the node was offered again, and what is not accepted is passed over', () => {
  const [first, second, third] = promptOf(3);
  const queue = new EvictionQueue(leastRecentlyUsed(), 0);
  for (const node of [first!, second!, third!]) queue.offer(node);
  third!.stamps[0]!++;
  third!.lastUsed = 9;
  queue.offer(third!);
  expect(queue.take((node) => node !== second)).toBe(first);
  expect(queue.take(() => true)).toBe(third);
  expect(queue.take(() => true)).toBeUndefined();
});

test('offers that count outlive a trim', () => {
  const nodes = promptOf(80);
  const queue = new EvictionQueue(leastRecentlyUsed(), 0);
  for (let round = 0; round < 3; round++)
    for (const node of nodes) {
      node.stamps[0]!++;
      queue.offer(node);
    }
  queue.trim(4);
  for (let i = 79; i >= 0; i--) expect(queue.take(() => true)).toBe(nodes[i]);
  expect(queue.take(() => true)).toBeUndefined();
});
