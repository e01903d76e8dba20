import { expect, test } from 'vitest';
import { parseExportOnnx } from '../export-onnx.ts';
import { parseInspect } from '../inspect.ts';
import { parsePull } from '../pull.ts';
import { parseQuantize } from '../quantize.ts';
import { parseBench } from './bench-options.ts';
import { parseChat } from './chat-options.ts';
import { parseEval } from './eval-options.ts';
import { parseDevices, parseGenerate } from './generate-options.ts';
import { commands, helpOf } from './help-of.ts';
import { nearest } from './nearest.ts';
import { parseServe } from './serve-options.ts';
import { parseFinetune, parseTrain } from './training-options.ts';
import { UsageError } from './usage.ts';

const parsers: Readonly<Record<string, (args: readonly string[]) => unknown>> = {
  generate: parseGenerate,
  chat: parseChat,
  serve: parseServe,
  eval: parseEval,
  bench: parseBench,
  train: parseTrain,
  finetune: parseFinetune,
  inspect: parseInspect,
  pull: parsePull,
  quantize: parseQuantize,
  'export-onnx': parseExportOnnx,
  devices: parseDevices,
};

test('every command is here, and what completes them', () => {
  expect([...commands].sort()).toEqual([...Object.keys(parsers), 'completion'].sort());
});

/** The options of a command, as it says them of one that it does not have. */
function optionsOf(command: string): string[] {
  try {
    parsers[command]!(['--no-such-option-at-all']);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    const { message } = error as Error;
    expect(message).toMatch(/^there is no option --no-such-option-at-all; there are --/);
    return message.split('; there are ')[1]!.split(', ');
  }
  throw new Error(`${command} takes anything`);
}

test.for(Object.keys(parsers))('%s: help names every option, JSON among them, and has an example', (command) => {
  const text = helpOf(command);
  const options = optionsOf(command);
  expect(options).toContain('--json');
  for (const option of options)
    expect(new RegExp(`${option}(?![\\w-])`).test(text) ? '' : `${command}: ${option}`).toBe('');
  expect(text).toMatch(new RegExp(`\nExamples\n  heddle ${command} `));
  expect(text).toContain('Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.');
});

test('what was likely meant is named', () => {
  expect(() => parseGenerate(['--prmpt', 'a'])).toThrow(
    /^there is no option --prmpt, perhaps --prompt is meant; there are /,
  );
  expect(() => parseServe(['--modle=a'])).toThrow(/perhaps --model is meant/);
  expect(nearest('sevre', commands)).toBe('serve');
  expect(nearest('frobnicate', commands)).toBeUndefined();
  expect(() => helpOf('nothing')).toThrow(UsageError);
});
