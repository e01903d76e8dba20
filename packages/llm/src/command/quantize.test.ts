import { expect, test } from 'vitest';
import { parseQuantize } from './quantize.ts';

test('options become what is to be done', () => {
  const args = ['--model', 'a', '--output', 'b.gguf', '--dtype', 'q4_k'];
  const command = {
    model: 'a',
    output: 'b.gguf',
    dtype: 'q4_k',
    check: true,
    text: undefined,
    device: 'auto',
    json: false,
  };
  expect(parseQuantize(args)).toEqual(command);
  expect(parseQuantize([...args, '--no-check', '--device', 'onnx'])).toEqual({
    ...command,
    check: false,
    device: 'onnx',
  });
  for (const [wrong, message] of [
    [args.slice(2), /needs --model/],
    [args.slice(0, 2), /needs --output FILE\.gguf/],
    [args.slice(0, 4), /needs --dtype: f32, f16, q8_0, q6_k, q5_k, q4_k, q4_0, mxfp4/],
    [[...args.slice(0, 5), 'q5_1'], /--dtype takes/],
    [[...args, '--no-check', '--text', 'x'], /exclude each other/],
  ] as const)
    expect(() => parseQuantize(wrong)).toThrow(message);
});
