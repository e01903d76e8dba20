import { expect, test } from 'vitest';
import { readmeExample } from './readme-example.ts';

const fence = '```';

test('takes the first install line and the first TypeScript block', () => {
  const markdown = [
    '# A package',
    `${fence}sh`,
    'npm install --save @heddle/tensor onnxruntime-node  # the CPU',
    fence,
    `${fence}ts`,
    "console.log('first');",
    fence,
    `${fence}ts`,
    "console.log('second');",
    fence,
  ].join('\n');
  expect(readmeExample(markdown)).toEqual({
    install: ['@heddle/tensor', 'onnxruntime-node'],
    flags: ['--save'],
    code: "console.log('first');\n",
  });
});

test('names what is missing', () => {
  expect(() => readmeExample('npm install x')).toThrow('no ```ts code block');
  expect(() => readmeExample(`${fence}ts\nx;\n${fence}`)).toThrow('no `npm install` line');
});
