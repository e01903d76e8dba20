import { openDevice } from '@heddle/tensor';
import { TrainingError } from '@heddle/trainer';
import { textFiles, tokenArray, tokenBatches } from '@heddle/trainer/data';
import { loadModel } from '../load-model.ts';
import { createModelFolder } from '../training/new-model.ts';
import { saveModel } from '../training/save-model.ts';
import { trainableLm } from '../training/trainable-lm.ts';
import { gpuEnvironment } from './gpu-environment.ts';
import type { TrainCommand } from './options/training-options.ts';
import { runTraining, sayTrained } from './training-loop.ts';

/** Part of each text that is not learned, and tells how well the rest was. */
const heldOutPart = 0.05;

/** `heddle train`: text in, a model folder out. Interrupted, it writes what it has come to. */
export async function trainCommand(command: TrainCommand, signal: AbortSignal): Promise<number> {
  const { out, model: source, seed, batch: rows } = command;
  const texts: string[] = [];
  for await (const { text } of textFiles(command.data)) texts.push(text.replaceAll('\r\n', '\n'));
  const ends = texts.map((text) => Math.floor(text.length * (1 - heldOutPart)));
  const learned = texts.map((text, i) => text.slice(0, ends[i]));
  if (source === undefined) {
    const { vocabulary: vocabularySize, width, layers, context } = command;
    await createModelFolder(out, { texts: learned, vocabularySize, width, layers, context, seed });
  }
  const from = source ?? out;
  const device = await openDevice(command.device, { webgpu: gpuEnvironment() });
  try {
    await using model = await loadModel(from, { device, trainable: true, onProgress: () => signal.throwIfAborted() });
    const tokenizer = model.requireTokenizer();
    const { vocabularySize } = model.config;
    const end = tokenizer.eosTokenId;
    const tokensOf = (parts: readonly string[]) => {
      const tokens: number[] = [];
      for (const text of parts) {
        for (const token of tokenizer.encode(text, { addSpecialTokens: false })) tokens.push(token);
        if (end !== undefined) tokens.push(end);
      }
      return tokens;
    };
    const [tokens, held] = [tokensOf(learned), tokensOf(texts.map((text, i) => text.slice(ends[i])))];
    const length = Math.min(source === undefined ? command.context : 512, model.config.maxPositions);
    if (tokens.length <= length)
      throw new TrainingError(
        'ERR_EMPTY_DATA',
        `train: ${command.data} has ${tokens.length} tokens, a row takes ${length + 1}`,
      );
    const heldSource = held.length > length ? tokenArray(held, { vocabularySize }) : undefined;
    const reports = await runTraining(
      command,
      {
        device,
        model: trainableLm(model),
        data: tokenBatches(tokenArray(tokens, { vocabularySize }), { rows, length, seed }),
        steps: command.steps,
        ...(heldSource && { heldOut: () => tokenBatches(heldSource, { rows, length, epochs: 1, seed }) }),
      },
      signal,
    );
    await saveModel(out, model, { from, dtype: 'f16' });
    sayTrained(command, command.steps, reports);
    return reports.length < command.steps ? 130 : 0;
  } finally {
    await device.dispose();
  }
}
