import type { HeddleServer } from '../../serve.ts';

/** A call as the client put it together. */
export interface SeenCall {
  readonly id: string;
  readonly name: string;
  arguments: string;
}

/** One answer of a model that had to call tools. */
export interface SeenTurn {
  readonly calls: readonly SeenCall[];
  readonly finish: string;
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly cachedTokens: number;
}

export interface ToolTurn {
  readonly tools: readonly { readonly name: string; readonly parameters: object }[];
  /** Any of them, or the one of this name. */
  readonly choice: 'required' | string;
  readonly several: boolean;
  readonly stream: boolean;
  readonly seed: number;
}

/** A call alone ends by itself; several go on until they are cut off. */
const mostTokens = (several: boolean) => (several ? 150 : 1000);

async function post(app: HeddleServer, path: string, body: object): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const response = await app.request(path, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
  return text;
}

/** The data of a stream's events. */
const eventsOf = (text: string): unknown[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]')
    .map((line) => JSON.parse(line.slice('data: '.length)) as unknown);

interface ChatCall {
  readonly index?: number;
  readonly id?: string;
  readonly function: { readonly name?: string; readonly arguments: string };
}
interface ChatUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}
interface ChatAnswer {
  readonly choices: readonly {
    readonly message?: { readonly tool_calls?: readonly ChatCall[] };
    readonly delta?: { readonly tool_calls?: readonly ChatCall[] };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: ChatUsage | null;
}

/** A turn of `/v1/chat/completions`. @throws Error for an index or a piece that is out of its place */
export async function chatTurn(app: HeddleServer, messages: readonly object[], turn: ToolTurn): Promise<SeenTurn> {
  const { tools, choice, several, stream, seed } = turn;
  const text = await post(app, '/v1/chat/completions', {
    model: 'tools',
    messages,
    tools: tools.map((tool) => ({ type: 'function', function: tool })),
    tool_choice: choice === 'required' ? choice : { type: 'function', function: { name: choice } },
    parallel_tool_calls: several,
    max_completion_tokens: mostTokens(several),
    temperature: 1,
    seed,
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
  });
  const chunks = (stream ? eventsOf(text) : [JSON.parse(text)]) as ChatAnswer[];
  const calls: SeenCall[] = [];
  let usage: ChatUsage | undefined;
  let finish = '';
  for (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    for (const { message, delta, finish_reason } of chunk.choices) {
      finish = finish_reason ?? finish;
      for (const { index, id, function: called } of (message ?? delta)?.tool_calls ?? []) {
        if (id !== undefined) {
          if (stream && index !== calls.length) throw new Error(`call ${calls.length} came with index ${index}`);
          calls.push({ id, name: called.name!, arguments: called.arguments });
        } else if (index !== calls.length - 1 || called.name !== undefined)
          throw new Error(`a piece of call ${calls.length - 1} came with index ${index}`);
        else calls[index]!.arguments += called.arguments;
      }
    }
  }
  const { prompt_tokens: promptTokens, completion_tokens: newTokens, prompt_tokens_details: details } = usage!;
  return { calls, finish, promptTokens, newTokens, cachedTokens: details.cached_tokens };
}

interface Block {
  readonly type: string;
  readonly id: string;
  readonly name: string;
  readonly input: object;
}
interface MessageUsage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_input_tokens: number;
}
interface MessageEvent {
  readonly type: string;
  readonly index: number;
  readonly content_block: Block;
  readonly delta: { readonly type?: string; readonly partial_json: string; readonly stop_reason: string };
  readonly usage: MessageUsage;
}

/** The same turn of `/v1/messages`. */
export async function messagesTurn(app: HeddleServer, messages: readonly object[], turn: ToolTurn): Promise<SeenTurn> {
  const { tools, choice, several, stream, seed } = turn;
  const how = choice === 'required' ? { type: 'any' } : { type: 'tool', name: choice };
  const text = await post(app, '/v1/messages', {
    model: 'tools',
    messages,
    tools: tools.map(({ name, parameters }) => ({ name, input_schema: parameters })),
    tool_choice: { ...how, disable_parallel_tool_use: !several },
    max_tokens: mostTokens(several),
    temperature: 1,
    seed,
    stream,
  });
  const whole = stream ? streamed(eventsOf(text) as MessageEvent[]) : answered(text);
  const { input_tokens: read, output_tokens: newTokens, cache_read_input_tokens: cachedTokens } = whole.usage;
  return {
    calls: whole.calls,
    finish: whole.reason === 'tool_use' ? 'tool_calls' : whole.reason,
    promptTokens: read + cachedTokens,
    newTokens,
    cachedTokens,
  };
}

function answered(text: string): { calls: SeenCall[]; reason: string; usage: MessageUsage } {
  const {
    content,
    stop_reason: reason,
    usage,
  } = JSON.parse(text) as {
    content: readonly Block[];
    stop_reason: string;
    usage: MessageUsage;
  };
  const calls = content
    .filter(({ type }) => type === 'tool_use')
    .map(({ id, name, input }) => ({ id, name, arguments: JSON.stringify(input) }));
  return { calls, reason, usage };
}

function streamed(events: readonly MessageEvent[]): { calls: SeenCall[]; reason: string; usage: MessageUsage } {
  const calls: SeenCall[] = [];
  let [blocks, open, reason] = [0, -1, ''];
  let usage: MessageUsage | undefined;
  for (const event of events) {
    if (event.type === 'content_block_start') {
      if (open >= 0 || event.index !== blocks) throw new Error(`block ${blocks} came with index ${event.index}`);
      open = blocks++;
      const { type, id, name } = event.content_block;
      if (type === 'tool_use') calls.push({ id, name, arguments: '' });
    } else if (event.type === 'content_block_delta') {
      if (event.index !== open) throw new Error(`a piece of block ${open} came with index ${event.index}`);
      if (event.delta.type === 'input_json_delta') calls.at(-1)!.arguments += event.delta.partial_json;
    } else if (event.type === 'content_block_stop') {
      if (event.index !== open) throw new Error(`block ${event.index} ends, ${open} is open`);
      open = -1;
    } else if (event.type === 'message_delta') {
      reason = event.delta.stop_reason;
      usage = event.usage;
    }
  }
  return { calls, reason, usage: usage! };
}
