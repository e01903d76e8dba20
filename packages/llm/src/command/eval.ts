import { readFile } from 'node:fs/promises';
import { ArgumentError, openDevice } from '@heddle/tensor';
import { type LoadedModel, loadModel } from '../load-model.ts';
import { gpuEnvironment } from './gpu-environment.ts';
import { measuredDevice } from './measure/measured-device.ts';
import { TokenScorer } from './measure/token-scorer.ts';
import type { EvalCommand } from './options/eval-options.ts';
import { progressBar } from './pull.ts';

/** `heddle eval`: the perplexity of a text, or how many questions are answered right. */
export async function evalCommand(command: EvalCommand, signal: AbortSignal): Promise<number> {
  const asked = { source: command.model, ...(command.dtype && { dtype: command.dtype }) };
  const name = await measuredDevice(command.device, asked, signal);
  const device = await openDevice(name, { webgpu: gpuEnvironment() });
  try {
    const bar = progressBar();
    const onProgress = () => signal.throwIfAborted();
    const loading = {
      device,
      hub: { signal, onProgress: bar.show },
      onProgress,
      ...(command.dtype && { dtype: command.dtype }),
    };
    const model = await loadModel(command.model, loading).finally(bar.end);
    try {
      using scorer = new TokenScorer(model, command.context);
      const report =
        command.text === undefined
          ? await choiceReport(model, scorer, await readFile(command.choices!, 'utf8'), signal)
          : await textReport(model, scorer, await readFile(command.text, 'utf8'));
      process.stdout.write(command.json ? `${JSON.stringify(report)}\n` : lines(report));
      return 0;
    } finally {
      await model.dispose();
    }
  } finally {
    await device.dispose();
  }
}

function lines(report: Readonly<Record<string, number>>): string {
  return Object.entries(report)
    .map(([name, value]) => `${name.replaceAll('_', ' ')}: ${Number.isInteger(value) ? value : value.toFixed(4)}\n`)
    .join('');
}

/** Tokens that a text is predicted from, of which the first is not. */
function promptOf(model: LoadedModel, text: string): number[] {
  const { bosTokenId } = model.config;
  const tokens = model.requireTokenizer().encode(text, { addSpecialTokens: false });
  return bosTokenId === undefined ? tokens : [bosTokenId, ...tokens];
}

async function textReport(model: LoadedModel, scorer: TokenScorer, text: string): Promise<Record<string, number>> {
  const tokens = promptOf(model, text);
  if (tokens.length < 2) throw new ArgumentError('eval: the text has fewer than two tokens');
  const nats = await scorer.nats(tokens);
  const sum = nats.reduce((a, b) => a + b, 0);
  return {
    tokens: nats.length,
    perplexity: Math.exp(sum / nats.length),
    nats_per_token: sum / nats.length,
    bits_per_byte: sum / Math.LN2 / Buffer.byteLength(text),
  };
}

/** A question: its answers, and which of them is right, from 0. */
interface Question {
  readonly prompt: string;
  readonly choices: readonly string[];
  readonly answer: number;
}

/** The answer that is taken is the likeliest one; once as it is, once by its bytes, so that length does not count. */
async function choiceReport(
  model: LoadedModel,
  scorer: TokenScorer,
  text: string,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const questions = text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [questionOf(line, i + 1)]));
  if (questions.length === 0) throw new ArgumentError('eval: the file has no questions');
  let [right, rightByBytes] = [0, 0];
  for (const { prompt, choices, answer } of questions) {
    signal.throwIfAborted();
    const begin = promptOf(model, prompt);
    const scores: number[] = [];
    for (const choice of choices) {
      const tokens = promptOf(model, prompt + choice);
      // what the prompt and the whole have in common is not asked about
      let common = 0;
      while (common < begin.length && begin[common] === tokens[common]) common++;
      const nats = await scorer.nats(tokens, Math.max(1, common));
      scores.push(nats.reduce((a, b) => a + b, 0));
    }
    if (least(scores) === answer) right++;
    if (least(scores.map((score, i) => score / Buffer.byteLength(choices[i]!))) === answer) rightByBytes++;
  }
  const count = questions.length;
  return { questions: count, accuracy: right / count, accuracy_by_bytes: rightByBytes / count };
}

const least = (scores: readonly number[]) => scores.indexOf(Math.min(...scores));

function questionOf(line: string, number: number): Question {
  let given: Partial<Question> | null = null;
  try {
    given = JSON.parse(line) as Partial<Question> | null;
  } catch {}
  const { prompt, choices, answer } = given ?? {};
  const texts =
    Array.isArray(choices) && choices.length > 1 && choices.every((each) => typeof each === 'string' && each !== '');
  if (typeof prompt === 'string' && texts && Number.isInteger(answer) && answer! >= 0 && answer! < choices.length)
    return { prompt, choices, answer: answer! };
  throw new ArgumentError(
    `eval: line ${number} must be { "prompt": text, "choices": [two texts or more], "answer": 0 }`,
  );
}
