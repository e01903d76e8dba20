import { createInterface } from 'node:readline';
import { openDevice } from '@heddle/tensor';
import { openEngine } from '../engine/default-engine.ts';
import { loadModel } from '../load-model.ts';
import { textModel } from '../text/text-model.ts';
import { ChatSession, type Screen } from './chat-session.ts';
import { gpuEnvironment } from './gpu-environment.ts';
import { measuredDevice } from './measure/measured-device.ts';
import type { ChatCommand } from './options/chat-options.ts';
import { progressBar } from './pull.ts';

/** `heddle chat`: a conversation in the terminal, or with the lines of standard input. */
export async function chatCommand(command: ChatCommand, signal: AbortSignal): Promise<number> {
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
      for (const note of model.deviations) process.stderr.write(`heddle: ${note}\n`);
      const engine = openEngine(model, { maxSequences: 1 });
      const speaker = textModel(model, engine);
      try {
        return await talk(new ChatSession({ model: speaker, ...settingsOf(command) }, screen(command.json)), signal);
      } finally {
        await speaker.dispose();
        await engine.dispose();
      }
    } finally {
      await model.dispose();
    }
  } finally {
    await device.dispose();
  }
}

function settingsOf({ system, maxTokens, temperature, topK, topP, seed, reasoningBudget }: ChatCommand) {
  const reasoning = reasoningBudget === undefined ? undefined : { budget: reasoningBudget };
  const given = { system, maxTokens, temperature, topK, topP, seed, reasoning };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof typeof given]?: NonNullable<(typeof given)[K]>;
  };
}

/** The answers go to standard output; in a terminal what is beside them is dim. */
function screen(json: boolean): Screen {
  const dim = (text: string) => (process.stderr.isTTY ? `\u001b[2m${text}\u001b[22m` : text);
  if (json) {
    const line = (of: object) => void process.stdout.write(`${JSON.stringify(of)}\n`);
    return {
      write: () => {},
      aside: (text) => void process.stderr.write(dim(text)),
      answered: ({ text, reasoning, finishReason, usage }) =>
        line({
          text,
          ...(reasoning !== '' && { reasoning }),
          finish_reason: finishReason,
          prompt_tokens: usage.inputTokens,
          cached_tokens: usage.cachedTokens,
          completion_tokens: usage.outputTokens,
        }),
    };
  }
  return { write: (text) => void process.stdout.write(text), aside: (text) => void process.stderr.write(dim(text)) };
}

/** One line after the other; in a terminal Ctrl-C stops an answer, and ends the program where there is none. */
async function talk(session: ChatSession, signal: AbortSignal): Promise<number> {
  const terminal = process.stdin.isTTY === true;
  const lines = createInterface({
    input: process.stdin,
    ...(terminal && { output: process.stderr }),
    terminal,
    historySize: 500,
  });
  let ended = 0;
  const stop = (code: number) => {
    if (session.stop()) return;
    ended = code;
    lines.close();
  };
  lines.on('SIGINT', () => stop(0));
  const aborted = () => {
    session.stop();
    ended = 130;
    lines.close();
  };
  signal.addEventListener('abort', aborted, { once: true });
  const ask = () => {
    if (!terminal) return;
    lines.setPrompt(session.isOpen ? '... ' : '> ');
    lines.prompt();
  };
  try {
    ask();
    for await (const line of lines) {
      if (!(await session.line(line))) break;
      ask();
    }
    return signal.aborted ? 130 : ended;
  } finally {
    signal.removeEventListener('abort', aborted);
    lines.close();
  }
}
