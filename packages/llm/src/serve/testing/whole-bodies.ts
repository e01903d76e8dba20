const message = { role: 'user', content: 'Hello' };
const parameters = { type: 'object', properties: { mood: { enum: ['glad', 'grave'] } }, required: ['mood'] };
const drawing = { temperature: 1, top_p: 0.9, top_k: 5, min_p: 0.1, seed: 3 };
const sampling = {
  ...drawing,
  presence_penalty: 0.1,
  frequency_penalty: 0.1,
  repetition_penalty: 1.1,
  logit_bias: { '7': -1 },
  stop: ['zz'],
  n: 1,
  ignore_eos: true,
  stream: true,
  stream_options: { include_usage: true },
};

/** Bodies with every field that an endpoint documents, by its path; `max_tokens` and the like are small. */
export const wholeBodies: Readonly<Record<string, object>> = {
  '/v1/chat/completions': {
    model: 'prose',
    messages: [
      { role: 'system', content: [{ type: 'text', text: 'Be short.' }] },
      message,
      {
        role: 'assistant',
        content: 'Let me see.',
        reasoning_content: 'Hm.',
        tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'feel', arguments: '{"mood":"glad"}' } }],
      },
      { role: 'tool', content: 'felt', tool_call_id: 'call_1' },
      message,
    ],
    ...sampling,
    max_tokens: 2,
    max_completion_tokens: 2,
    logprobs: true,
    top_logprobs: 1,
    tools: [{ type: 'function', function: { name: 'feel', description: 'Says a mood', parameters, strict: true } }],
    tool_choice: { type: 'function', function: { name: 'feel' } },
    parallel_tool_calls: false,
    reasoning_effort: 'none',
    reasoning_budget: 1,
    chat_template_kwargs: { plain: true },
  },
  '/v1/completions': {
    model: 'prose',
    prompt: ['Once', 'It was'],
    ...sampling,
    max_tokens: 2,
    logprobs: 1,
    echo: true,
    response_format: { type: 'json_schema', json_schema: { name: 'mood', schema: parameters, strict: true } },
  },
  '/v1/responses': {
    model: 'prose',
    input: [
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hello' }] },
      { type: 'function_call', call_id: 'call_1', name: 'feel', arguments: '{"mood":"glad"}' },
      { type: 'function_call_output', call_id: 'call_1', output: 'felt' },
    ],
    instructions: 'Be short.',
    max_output_tokens: 2,
    ...drawing,
    stream: false,
    text: { format: { type: 'json_schema', name: 'mood', schema: parameters } },
    tools: [{ type: 'function', name: 'feel', description: 'Says a mood', parameters }],
    tool_choice: 'auto',
    parallel_tool_calls: true,
    reasoning: { effort: 'none' },
  },
  '/v1/messages': {
    model: 'prose',
    max_tokens: 2,
    messages: [
      message,
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Hm.' },
          { type: 'text', text: 'Let me see.' },
          { type: 'tool_use', id: 'toolu_1', name: 'feel', input: { mood: 'glad' } },
        ],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'felt', is_error: false }] },
    ],
    system: [{ type: 'text', text: 'Be short.' }],
    tools: [{ type: 'custom', name: 'feel', description: 'Says a mood', input_schema: parameters }],
    tool_choice: { type: 'tool', name: 'feel', disable_parallel_tool_use: true },
    thinking: { type: 'enabled', budget_tokens: 1 },
    ...drawing,
    stop_sequences: ['zz'],
    stream: true,
  },
  '/v1/messages/count_tokens': { model: 'prose', messages: [message], system: 'Be short.' },
  '/v1/embeddings': { model: 'prose', input: ['a', 'b'], encoding_format: 'float', dimensions: 8, prompt: 'query' },
  '/v1/rerank': {
    model: 'prose',
    query: 'a',
    documents: ['b', { text: 'c' }],
    top_n: 1,
    return_documents: true,
    instruction: 'd',
  },
  '/tokenize': { model: 'prose', prompt: 'Once', add_special_tokens: true },
  '/detokenize': { model: 'prose', tokens: [1, 2] },
};

/** A place in a body, from its root. */
export type FieldPath = readonly (string | number)[];

/** Fields in which an endpoint takes anything: what stands in a schema, in arguments, in what a template is given. */
const free = /(^|\.)(parameters|schema|input_schema|chat_template_kwargs)\.|\.input\./;

/** Every field of a body, those that hold others too. */
export function fieldsOf(body: unknown, path: FieldPath = []): FieldPath[] {
  if (typeof body !== 'object' || body === null) return path.length > 0 ? [path] : [];
  const below = Object.entries(body).flatMap(([key, value]) =>
    fieldsOf(value, [...path, Array.isArray(body) ? Number(key) : key]),
  );
  return [...(path.length > 0 ? [path] : []), ...below].filter((each) => !free.test(each.join('.')));
}

export const valueAt = (body: unknown, path: FieldPath): unknown =>
  path.reduce<unknown>((of, key) => (of as Record<string | number, unknown>)[key], body);

/** The body with another value in one place; without the field where the value is undefined. */
export function damaged(body: object, path: FieldPath, value: unknown): object {
  const copy = JSON.parse(JSON.stringify(body)) as object;
  const parent = valueAt(copy, path.slice(0, -1)) as Record<string | number, unknown>;
  parent[path.at(-1)!] = value;
  return copy;
}
