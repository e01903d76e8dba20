import { type Case, exactly, floats, halves } from '../../../../test-support/cases.ts';
import { binaryCrossEntropyWithLogits, huberLoss, klDiv, l1Loss, mseLoss } from './losses.ts';

const infinity = Number.POSITIVE_INFINITY;
const [x, t] = [exactly('f32', [4], [1, 2, 3, -4]), exactly('f32', [4], [1.5, 0, 3.25, 2])];
const chances = exactly('f32', [2, 2], [0.25, 0.75, 1, 0]);

export const lossesCases: readonly Case[] = [
  { name: 'mseLoss', inputs: [x, t], f: (a, b) => mseLoss(a, b), expected: [(0.25 + 4 + 0.0625 + 36) / 4] },
  { name: 'mseLoss summed', inputs: [x, t], f: (a, b) => mseLoss(a, b, { reduction: 'sum' }), expected: [40.3125] },
  { name: 'mseLoss f16', inputs: [halves([5]), halves([5], -2, 2, 1)], f: (a, b) => mseLoss(a, b) },
  { name: 'l1Loss', inputs: [x, t], f: (a, b) => l1Loss(a, b), expected: [8.75 / 4] },
  {
    name: 'l1Loss of each value',
    inputs: [x, t],
    f: (a, b) => l1Loss(a, b, { reduction: 'none' }),
    expected: [0.5, 2, 0.25, 6],
  },
  { name: 'huberLoss', inputs: [x, t], f: (a, b) => huberLoss(a, b), expected: [(0.125 + 1.5 + 0.03125 + 5.5) / 4] },
  {
    name: 'huberLoss of another delta',
    inputs: [x, t],
    f: (a, b) => huberLoss(a, b, { delta: 3, reduction: 'none' }),
    expected: [0.125, 2, 0.03125, 13.5],
  },
  {
    name: 'huberLoss far apart',
    inputs: [exactly('f32', [1], [1e30]), exactly('f32', [1], [0])],
    f: (a, b) => huberLoss(a, b),
    expected: [1e30],
    gradient: false,
  },
  {
    name: 'binaryCrossEntropyWithLogits',
    inputs: [exactly('f32', [3], [0, 2, -1]), exactly('f32', [3], [1, 0, 0.25])],
    f: (a, b) => binaryCrossEntropyWithLogits(a, b, { reduction: 'none' }),
    expected: [Math.LN2, Math.log1p(Math.exp(2)), 0.25 + Math.log1p(Math.exp(-1))],
  },
  {
    name: 'binaryCrossEntropyWithLogits of weighted targets',
    inputs: [exactly('f32', [2], [0, 0]), exactly('f32', [2], [1, 0])],
    f: (a, b) => binaryCrossEntropyWithLogits(a, b, { positiveWeight: 3, reduction: 'sum' }),
    expected: [4 * Math.LN2],
  },
  {
    name: 'binaryCrossEntropyWithLogits of infinite logits',
    inputs: [exactly('f32', [4], [infinity, -infinity, 1e30, -1e30]), exactly('f32', [4], [1, 0, 0, 1])],
    f: (a, b) => binaryCrossEntropyWithLogits(a, b, { reduction: 'none' }),
    expected: [0, 0, 1e30, 1e30],
    gradient: false,
  },
  {
    name: 'binaryCrossEntropyWithLogits f16',
    inputs: [halves([5]), halves([5], 0, 1)],
    f: (a, b) => binaryCrossEntropyWithLogits(a, b),
  },
  {
    name: 'klDiv',
    inputs: [exactly('f32', [2, 2], [Math.log(0.5), Math.log(0.5), Math.log(0.5), -infinity]), chances],
    f: (a, b) => klDiv(a, b, { reduction: 'sum' }),
    expected: [0.25 * Math.log(0.5) + 0.75 * Math.log(1.5) + Math.LN2],
    gradient: false,
  },
  { name: 'klDiv as a mean', inputs: [floats([2, 3], -3, -1), floats([2, 3], 0.1, 0.9)], f: (a, b) => klDiv(a, b) },
  {
    name: 'klDiv of logarithms',
    inputs: [floats([2, 3], -3, -1), floats([2, 3], -3, -1, 1)],
    f: (a, b) => klDiv(a, b, { logTarget: true }),
  },
];
