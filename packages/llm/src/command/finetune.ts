import { openDevice } from '@heddle/tensor';
import { encodeExample, exampleBatches, readExamples, type TokenExample } from '@heddle/trainer/data';
import { createLora } from '@heddle/trainer/lora';
import { type LoadedModel, loadModel } from '../load-model.ts';
import { saveAdapter } from '../training/adapter-folder.ts';
import { withDropoutKeys } from '../training/dropout-keys.ts';
import { saveModel } from '../training/save-model.ts';
import { trainableLm } from '../training/trainable-lm.ts';
import { gpuEnvironment } from './gpu-environment.ts';
import type { FinetuneCommand } from './options/training-options.ts';
import { progressBar } from './pull.ts';
import { runTraining, sayTrained } from './training-loop.ts';

/** `heddle finetune`: examples in; an adapter, or a model folder, out. Interrupted, it writes what it has come to. */
export async function finetuneCommand(command: FinetuneCommand, signal: AbortSignal): Promise<number> {
  const { out, full, merge, seed } = command;
  const device = await openDevice(command.device, { webgpu: gpuEnvironment() });
  try {
    const bar = progressBar();
    await using model = await loadModel(command.model, {
      device,
      trainable: full,
      ...(command.dtype && { dtype: command.dtype }),
      hub: { signal, onProgress: bar.show },
      onProgress: () => signal.throwIfAborted(),
    }).finally(bar.end);
    for (const note of model.deviations) process.stderr.write(`heddle: ${note}\n`);
    const examples = await examplesOf(command.data, model);
    const { batch: rows, epochs, accumulate } = command;
    const length = Math.min(command.length, model.config.maxPositions);
    const options = { rows, length, seed, tooLong: 'truncate' } as const;
    let batches = 0;
    for await (const _ of exampleBatches(examples, { ...options, epochs })) batches++;
    const { rank, alpha, dropout } = command;
    const targets = command.targets ?? layersOf(model);
    using adapter = full
      ? undefined
      : await createLora(device, model.parameters, { rank, alpha, dropout, targets, seed });
    const stream = exampleBatches(examples, { ...options, epochs });
    const steps = Math.ceil(batches / accumulate);
    const run = {
      device,
      model: trainableLm(model, adapter && { adapter }),
      data: dropout > 0 ? withDropoutKeys(stream, { seed }) : stream,
      steps,
    };
    const reports = await runTraining(command, run, signal);
    if (adapter && !merge) await saveAdapter(out, adapter, command.model);
    else await saveModel(out, model, { from: command.model, dtype: 'f16', ...(adapter && { adapter }) });
    sayTrained(command, steps, reports);
    return reports.length < steps ? 130 : 0;
  } finally {
    await device.dispose();
  }
}

/** Every line of a file, in the tokens of the model: conversations as its template writes them. */
async function examplesOf(path: string, model: LoadedModel): Promise<TokenExample[]> {
  const tokenizer = model.requireTokenizer();
  const { bosTokenId, eosTokenId } = tokenizer;
  const examples: TokenExample[] = [];
  for await (const example of readExamples(path))
    examples.push(
      encodeExample(example, {
        encode: (text) => tokenizer.encode(text, { addSpecialTokens: false }),
        ...(bosTokenId !== undefined && { startToken: bosTokenId }),
        ...(eosTokenId !== undefined && { endToken: eosTokenId }),
        renderChat: (messages, answer) =>
          tokenizer.applyChatTemplate(messages as never, { addGenerationPrompt: answer }),
      }),
    );
  return examples;
}

/** The matrices of the layers: all linear layers but embedding and head. */
function layersOf({ parameters }: LoadedModel): string[] {
  return parameters
    .filter(({ name, rank }) => rank === 2 && /\.\d+\..*\.weight$/.test(name))
    .map(({ name }) => name.replace(/\.weight$/, ''));
}
