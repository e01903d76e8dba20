import { afterAll, beforeAll, expect, it } from 'vitest';
import * as heddle from '../index.ts';
import { openReference } from '../reference.ts';

let device: heddle.Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

/** Operations as a program without types calls them. */
const untyped = heddle as unknown as Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;
const untypedDevice = () =>
  device as unknown as Readonly<
    Record<'tensor' | 'variable' | 'zeroVariable', (...args: readonly unknown[]) => unknown>
  >;

it.each([
  ['sum', 1],
  ['mean', 1],
  ['prod', 1],
  ['max', 1],
  ['min', 1],
  ['variance', 1],
  ['std', 1],
  ['norm', 1],
  ['logSumExp', 1],
  ['cumsum', 1],
  ['sort', 1],
  ['argsort', 1],
])('%s refuses keepdim, which PyTorch has', (name, axis) => {
  const x = device.tensor([[1, 2]]);
  expect(() => untyped[name]!(x, axis, { keepdim: true })).toThrow(
    new RegExp(`^${name}: has no option keepdim; its options are `),
  );
});

it('losses refuse options of other losses', () => {
  const [logits, targets] = [device.tensor([[1, 2]]), device.tensor([1], { dtype: 'i32' })];
  expect(() => untyped['crossEntropy']!(logits, targets, { ignore_index: 0 })).toThrow(
    'crossEntropy: has no option ignore_index; its options are ignoreIndex, labelSmoothing',
  );
  expect(() => untyped['mseLoss']!(logits, logits, { reduce: 'sum' })).toThrow(
    'mseLoss: has no option reduce; its options are reduction',
  );
});

it('tensors and variables refuse options that they do not have', () => {
  const { code } = new heddle.ArgumentError('');
  for (const [call, message] of [
    [() => untypedDevice().tensor([1], { type: 'f16' }), 'tensor: has no option type; its options are shape, dtype'],
    [() => untypedDevice().tensor([1, 2], [2, 1]), 'tensor: takes options { shape, dtype }, got Array'],
    [() => untypedDevice().variable([1], { nmae: 'w' }), 'variable: has no option nmae; its options are '],
    [() => untypedDevice().zeroVariable([1], { shape: [2] }), 'zeroVariable: has no option shape; its options are '],
    [() => untypedDevice().tensor(Promise.resolve([1])), 'got Promise'],
  ] as const) {
    expect(call).toThrow(message);
    expect(call).toThrow(expect.objectContaining({ code }));
  }
});

it('what is no list of tensors is not realized', async () => {
  await expect(device.realize(undefined as never)).rejects.toThrow('realize: tensors must be a list, got undefined');
});

it('no gradient is taken by a number', () => {
  expect(() => heddle.grad((x: heddle.Tensor) => x.sum())(3 as never)).toThrow(
    'grad: argument 0 must be a tensor or a tree of them, got the number 3',
  );
});

it('an axis that is an object is named', () => {
  expect(() => untyped['softmax']!(device.tensor([1]), { axis: 0 })).toThrow(
    'softmax: axis must be an integer in [-1, 0] for rank 1, got Object',
  );
});
