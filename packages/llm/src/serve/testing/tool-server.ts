import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answerFormats, loadModel, openEngine, textModel } from '@heddle/llm';
import { createModelFolder } from '@heddle/llm/training';
import { openDevice } from '@heddle/tensor';
import { createServer, type HeddleServer } from '../../serve.ts';

/** As models that are trained to call tools have it, after Qwen's: calls and results stand in the conversation. */
const chatTemplate = `{% if tools %}<tools>{% for tool in tools %}{{ tool.function.name }} {% endfor %}</tools>
{% endif %}{% for message in messages %}<{{ message.role }}>
{% if message.content %}{{ message.content }}{% endif %}{% for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson if call.function.arguments is not string else call.function.arguments }}}
</tool_call>{% if not loop.last %}
{% endif %}{% endfor %}{{ eos_token }}
{% endfor %}{% if add_generation_prompt %}<assistant>
{% endif %}`;

/** A server of a small model with random weights: what it writes is of a form because of its grammar alone. */
export interface ToolServer {
  readonly app: HeddleServer;
  /** Requests that run and wait, and steps in flight. */
  busy(): number;
  dispose(): Promise<void>;
}

export async function toolServer(seed: number): Promise<ToolServer> {
  const folder = await mkdtemp(join(tmpdir(), 'heddle-tools-'));
  const device = await openDevice('onnx').catch(() => openDevice('reference'));
  const texts = [
    'How is it today? Call a tool, {"name": "feel", "arguments": {"mood": "glad"}}, and tell me. '.repeat(20),
  ];
  await createModelFolder(folder, {
    texts,
    vocabularySize: 320,
    width: 64,
    layers: 1,
    context: 4096,
    seed,
    chatTemplate,
  });
  const loaded = await loadModel(folder, { device });
  const engine = openEngine(loaded, { maxSequences: 8, maxSequenceTokens: 4096, cacheBytes: 2 ** 25 });
  const worker = new URL('../../grammar/testing/start-worker.js', import.meta.url);
  const model = textModel(loaded, engine, {
    answers: answerFormats.hermes,
    grammars: { worker, milliseconds: 60_000 },
  });
  return {
    app: createServer({ tools: model }),
    busy: () => {
      const { running, waiting, stepsInFlight } = engine.stats();
      return running + waiting + stepsInFlight;
    },
    dispose: async () => {
      await engine.dispose();
      await model.dispose();
      await loaded.dispose();
      await device.dispose();
      await rm(folder, { recursive: true });
    },
  };
}
