import { ArgumentError, openDevice } from '@heddle/tensor';
import { openEngine } from '../engine/default-engine.ts';
import { type LoadedModel, loadModel } from '../load-model.ts';
import type { CausalLm } from '../models/causal-lm.ts';
import { type Sampler, sampler } from '../sampler.ts';
import { generateText, streamText } from '../text/generate-text.ts';
import { textModel } from '../text/text-model.ts';
import { samplerOptions } from '../text/text-options.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { adaptedModel } from '../training/adapted-model.ts';
import { openAdapter } from '../training/adapter-folder.ts';
import { gpuEnvironment } from './gpu-environment.ts';
import { measuredDevice } from './measure/measured-device.ts';
import type { GenerateCommand } from './options/generate-options.ts';
import { Output } from './output.ts';
import { progressBar } from './pull.ts';

/** `heddle generate`: loads a model and streams what it writes. */
export async function generate(command: GenerateCommand, signal: AbortSignal): Promise<number> {
  const started = performance.now();
  const asked = { source: command.model, ...(command.dtype && { dtype: command.dtype }) };
  const name = await measuredDevice(command.device, asked, signal);
  const device = await openDevice(name, { webgpu: gpuEnvironment() });
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
      using adapter = command.adapter === undefined ? undefined : await openAdapter(device, command.adapter);
      const speaker = adapter ? adaptedModel(model, adapter) : model;
      try {
        return await run(command, model, speaker, started, signal);
      } finally {
        if (adapter) await speaker.dispose();
      }
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
  speaker: CausalLm,
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
  const chosen = samplerOf(command, model);
  // a search has the beams of one token beside those of the next
  const maxSequences = command.search ? 2 * command.search.beams : 1;
  const engine = openEngine(speaker, { maxSequences, maxSequenceTokens: prompt.length + maxTokens });
  try {
    await engine.prepare({
      promptTokens: prompt.length,
      sequenceTokens: prompt.length + maxTokens,
      ...(command.search ? { sequences: command.search.beams } : { sampler: chosen }),
    });
    const output = new Output(command, model, prompt, performance.now() - started);
    output.begin();
    const options = { model: textModel(model, engine), prompt, maxTokens, signal };
    const ends = command.ignoreEos && { stopTokens: [] };
    try {
      if (command.search) {
        const best = await generateText({ ...options, ...ends, ...command.search });
        output.text(best.text, best.tokens);
        output.end(best.finishReason, best.score);
        return 0;
      }
      const stream = streamText({ ...options, ...ends, sampler: chosen });
      for await (const part of stream.fullStream) if (part.type === 'text') output.text(part.text, part.tokens);
      output.end(await stream.finishReason);
      return 0;
    } catch (error) {
      if (!signal.aborted) throw error;
      output.end('aborted');
      return 130;
    }
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
function samplerOf({ sampling }: GenerateCommand, { config }: LoadedModel): Sampler {
  const options = samplerOptions(sampling, config.generation);
  if (sampling.seed !== undefined && options.temperature === 0 && sampling.temperature === undefined)
    process.stderr.write('heddle: --seed has no effect: the most likely token is taken (draw with --temperature)\n');
  return sampler(options);
}
