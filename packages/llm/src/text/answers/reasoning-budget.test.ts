import { expect, test } from 'vitest';
import type { AnswerReader } from './answer-format.ts';
import { ReasoningBudget } from './reasoning-budget.ts';

/** A budget over tokens of which 9 ends the reasoning; the end that is forced is 8 and 9. */
function budgetOf(tokens: number, given?: Uint32Array) {
  let reasons = true;
  const reader: AnswerReader = {
    get reasons() {
      return reasons;
    },
    push(text) {
      if (text === '9') reasons = false;
      return [];
    },
    finish: () => [],
  };
  const decoder = { push: String, finish: () => '' };
  return new ReasoningBudget({ tokens, decoder, reader, end: [8, 9], vocabularySize: 40, otherwise: undefined, given });
}

/** What may come after each token of an answer, behind a prompt of two: all, or one. */
async function nextOf(budget: ReasoningBudget, answer: readonly number[]): Promise<(number | 'all')[]> {
  const found: (number | 'all')[] = [];
  for (let length = 0; length <= answer.length; length++) {
    const mask = await budget.allowed([1, 2, ...answer.slice(0, length)], 2);
    const ids = Array.from({ length: 40 }, (_, id) => id).filter((id) => (mask[id >> 5]! >>> (id & 31)) & 1);
    found.push(ids.length === 40 ? 'all' : ids.length === 1 ? ids[0]! : Number.NaN);
  }
  return found;
}

test('after as many tokens of reasoning as there may be its end is forced, and then all may come', async () => {
  expect(await nextOf(budgetOf(3), [5, 5, 5, 8, 9, 5, 5])).toEqual(['all', 'all', 'all', 8, 9, 'all', 'all', 'all']);
  expect(await nextOf(budgetOf(1), [5, 8, 9])).toEqual(['all', 8, 9, 'all']);
  expect(await nextOf(budgetOf(0), [8, 9])).toEqual([8, 9, 'all']);
});

test('nothing is forced where it ended before', async () => {
  expect(await nextOf(budgetOf(3), [5, 5, 9, 5, 5, 5])).toEqual(Array(7).fill('all'));
});

test('what is given otherwise stays', async () => {
  const given = Uint32Array.of(0b110, 0);
  expect(await budgetOf(2, given).allowed([1, 2, 5], 2)).toBe(given);
});
