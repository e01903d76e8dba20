import { ArgumentError } from '@heddle/tensor';
import { openEngine } from '../engine/default-engine.ts';
import { type LoadedModel, loadModel } from '../load-model.ts';
import { openDevice } from '../open-device.ts';
import { type Sampler, sampler } from '../sampler.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { gpuEnvironment } from './gpu-environment.ts';
import type { GenerateCommand } from './options.ts';
import { Output } from './output.ts';
import { progressBar } from './pull.ts';

/** `heddle generate`: loads a model and streams what it writes. */
export async function generate(command: GenerateCommand, signal: AbortSignal): Promise<number> {
  const started = performance.now();
  const device = await openDevice(command.device, { webgpu: gpuEnvironment() });
  try {
    signal.throwIfAborted();
    const onProgress = () => signal.throwIfAborted();
    const bar = progressBar();
    const model = await loadModel(command.model, {
      device,
      ...(command.dtype && { dtype: command.dtype }),
      hub: { signal, onProgress: bar.show },
      onProgress,
    }).finally(bar.end);
    try {
      signal.throwIfAborted();
      for (const note of command.verbose ? model.notes : model.deviations) process.stderr.write(`heddle: ${note}\n`);
      return await run(command, model, started, signal);
    } finally {
      await model.dispose();
    }
  } finally {
    await device.dispose();
  }
}

async function run(
  command: GenerateCommand,
  model: LoadedModel,
  started: number,
  signal: AbortSignal,
): Promise<number> {
  const prompt = promptOf(command, model);
  const room = model.config.maxPositions - prompt.length;
  if (room < 1)
    throw new ArgumentError(
      `generate: the prompt has ${prompt.length} tokens, and with the next one it must fit the model's context of ${model.config.maxPositions}`,
    );
  const { maxNewTokens, maxLength } = model.config.generation;
  const suggested = maxNewTokens ?? (maxLength === undefined ? 128 : Math.max(1, maxLength - prompt.length));
  const maxTokens = Math.min(command.maxTokens ?? suggested, room);
  const engine = openEngine(model, {
    maxSequences: 1,
    maxSequenceTokens: prompt.length + maxTokens,
    sampler: samplerOf(command, model),
  });
  try {
    await engine.prepare({ promptTokens: prompt.length, sequenceTokens: prompt.length + maxTokens });
    const output = new Output(command, model, prompt, performance.now() - started);
    const stream = engine.generate(
      { tokens: prompt, maxTokens, stopTokens: command.ignoreEos ? [] : model.config.eosTokenIds },
      { signal },
    );
    output.begin();
    try {
      for await (const token of stream) output.token(token);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    output.end(signal.aborted ? 'aborted' : (await stream.ended).reason);
    return signal.aborted ? 130 : 0;
  } finally {
    await engine.dispose();
  }
}

function promptOf({ prompt, promptTokens }: GenerateCommand, model: LoadedModel): readonly number[] {
  const { config } = model;
  if (promptTokens) return promptTokens;
  if (prompt === undefined) {
    if (config.bosTokenId === undefined)
      throw new ArgumentError('generate: this model needs a prompt, for it has no first token');
    return [config.bosTokenId];
  }
  const tokens = tokenizerOf(model).encode(prompt);
  if (tokens.length === 0) throw new ArgumentError('generate: the prompt is empty');
  return tokens;
}

/** @throws ArgumentError saying why there is none, and what to do without */
function tokenizerOf(model: LoadedModel): Tokenizer {
  try {
    return model.requireTokenizer();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ArgumentError(`generate: ${why}: give the prompt as --prompt-tokens 1,2,3`, { cause });
  }
}

/** What the user asks for, then what the model's authors suggest. A seed alone does not ask for a draw. */
function samplerOf({ temperature, topK, topP, seed }: GenerateCommand, { config }: LoadedModel): Sampler {
  const { generation } = config;
  const asked = temperature !== undefined || topK !== undefined || topP !== undefined;
  const draws = asked || generation.sample;
  if (!draws && seed !== undefined)
    process.stderr.write('heddle: --seed has no effect: the most likely token is taken (draw with --temperature)\n');
  const options = {
    temperature: draws ? (temperature ?? generation.temperature) : 0,
    topK: topK ?? generation.topK,
    topP: topP ?? generation.topP,
    minP: generation.minP,
    repetitionPenalty: generation.repetitionPenalty,
    noRepeatNgramSize: generation.noRepeatNgramSize,
    seed,
  };
  return sampler(Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)));
}
