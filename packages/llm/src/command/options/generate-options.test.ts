import { describe, expect, test } from 'vitest';
import { sampler } from '../../sampler.ts';
import { parseGenerate } from './generate-options.ts';
import { UsageError } from './usage.ts';

describe('options of heddle generate', () => {
  test('all of them', () => {
    const line =
      '--model m --prompt-tokens 1,22,3 --max-tokens 5 --ignore-eos --temperature 0.5 --top-k 3 --top-p 0.9 --seed 7 --device onnx --dtype f16 --json --verbose';
    expect(parseGenerate(line.split(' '))).toEqual({
      model: 'm',
      prompt: undefined,
      promptTokens: [1, 22, 3],
      maxTokens: 5,
      ignoreEos: true,
      sampling: { temperature: 0.5, topK: 3, topP: 0.9, seed: 7 },
      device: 'onnx',
      dtype: 'f16',
      json: true,
      verbose: true,
    });
  });

  test('a search in place of drawing', () => {
    const search = (line: string) => parseGenerate(`--model m ${line}`.split(' ')).search;
    expect(search('--beams 4 --length-penalty=-0.5 --early-stopping never')).toEqual({
      ...{ beams: 4, lengthPenalty: -0.5, earlyStopping: 'never' },
    });
    expect(search('--beams 2 --early-stopping false')).toEqual({ beams: 2, earlyStopping: false });
    expect(search('--seed 2')).toBeUndefined();
    expect(() => search('--length-penalty 2')).toThrow('they need --beams N');
    expect(() => search('--beams 2 --seed 3')).toThrow('--beams and --seed exclude each other');
    expect(() => search('--beams 0')).toThrow(UsageError);
  });

  test('everything that says how tokens are chosen', () => {
    const line =
      '--model m --min-p 0.1 --typical-p 0.9 --epsilon-cutoff 0.01 --eta-cutoff 0.02 --repetition-penalty 1.1 --presence-penalty=-0.5 --frequency-penalty 0.2 --no-repeat-ngram-size 3 --logit-bias 5=-2,7=-inf,8=1.5 --bad-words 7;12,5';
    const { sampling } = parseGenerate(line.split(' '));
    expect(sampling).toEqual({
      minP: 0.1,
      typicalP: 0.9,
      epsilonCutoff: 0.01,
      etaCutoff: 0.02,
      repetitionPenalty: 1.1,
      presencePenalty: -0.5,
      frequencyPenalty: 0.2,
      noRepeatNgramSize: 3,
      logitBias: new Map([
        [5, -2],
        [7, -Infinity],
        [8, 1.5],
      ]),
      badWords: [[7], [12, 5]],
    });
    expect(() => sampler(sampling)).not.toThrow();
  });

  test.each([
    ['--model m --typical-p 0', /--typical-p takes a number from .* to 1, got '0'/],
    ['--model m --epsilon-cutoff 1', /--epsilon-cutoff takes a number from 0 to 0.9+\d*, got '1'/],
    ['--model m --repetition-penalty 0', /--repetition-penalty takes a number of at least/],
    ['--model m --presence-penalty x', /--presence-penalty takes a number, got 'x'/],
    ['--model m --no-repeat-ngram-size 1.5', /--no-repeat-ngram-size takes a whole number/],
    ['--model m --logit-bias 5', /--logit-bias takes token ids with what is added, such as 5=-2,7=-inf, got '5'/],
    ['--model m --bad-words 7;x', /--bad-words takes token ids, those of a word with commas: 7;12,5, got '7;x'/],
    ['', /needs --model/],
    ['--model m --prompt a --prompt-tokens 1', /exclude each other/],
    ['--model m --prompt-tokens 1,x', /--prompt-tokens takes token ids separated by commas, got '1,x'/],
    ['--model m --prompt-tokens 1,99999999999999999999', /--prompt-tokens takes token ids/],
    ['--model m --max-tokens 0', /--max-tokens takes a whole number of at least 1, got '0'/],
    ['--model m --seed=', /--seed takes a whole number of at least 0, got ''/],
    ['--model m --max-tokens 1.5', /--max-tokens takes a whole number/],
    ['--model m --temperature hot', /--temperature takes a number of at least 0, got 'hot'/],
    ['--model m --top-p 1.5', /--top-p takes a number from 0 to 1, got '1.5'/],
    ['--model m --device cuda', /--device takes auto, webgpu, onnx, reference, got 'cuda'/],
    ['--model m --dtype int8', /--dtype takes f32, f16, q8_0, q4_0, mxfp4, q4_k, q5_k, q6_k, got 'int8'/],
    ['--model m --temperature -1', /^--temperature needs a value \(one that begins with '-' as --temperature=VALUE\)$/],
    ['--model m --temperature=-1', /--temperature takes a number of at least 0, got '-1'/],
    ['--model m --prompt', /^--prompt needs a value/],
    ['--model m --json=1', /--json.* does not take an argument/],
    ['--model m --prompt a --seed 1 --prompt b', /^--prompt is given twice$/],
    ['--model m --frobnicate', /frobnicate/],
    ['--model m stray', /stray/],
  ])('refuses %j', (line, message) => {
    const parse = () => parseGenerate(line.split(' ').filter(Boolean));
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
  });
});
