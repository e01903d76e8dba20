/** Items of a response's output. */
export function reasoningItem(id: string, text: string): object {
  return { id, type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text }], status: 'completed' };
}

export function messageItem(id: string, text: string, status: string = 'completed'): object {
  const said = status === 'completed' ? [{ type: 'output_text', text, annotations: [], logprobs: [] }] : [];
  return { id, type: 'message', role: 'assistant', status, content: said };
}

interface Call {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

export function callItem({ id, name, arguments: json }: Call, status: string = 'completed'): object {
  return { id: `fc_${id.slice(5)}`, type: 'function_call', call_id: id, name, arguments: json, status };
}
