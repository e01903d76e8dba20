import type { Fault } from './fault.ts';

/** What an endpoint calls the options of a request. */
export interface FieldNames {
  readonly prompt: string;
  readonly maxTokens: string;
  readonly stop: string;
  readonly stopTokens: string;
  readonly logitBias: string;
  readonly logprobs: string;
  readonly tools: string;
  readonly toolChoice: string;
  readonly reasoning: string;
  /** Where a grammar comes from. */
  readonly format: string;
}

/** Names that most endpoints share. */
export const usualNames: FieldNames = {
  prompt: 'prompt',
  maxTokens: 'max_tokens',
  stop: 'stop',
  stopTokens: 'ignore_eos',
  logitBias: 'logit_bias',
  logprobs: 'logprobs',
  tools: 'tools',
  toolChoice: 'tool_choice',
  reasoning: 'reasoning_effort',
  format: 'response_format',
};

/** The option that a message of the library is about, by its words; the first that fits. */
const options: readonly (readonly [keyof FieldNames, RegExp])[] = [
  ['toolChoice', /^toolChoice\b ?/],
  ['tools', /^(?=tools\b|takes at most \d+ tools|this model has no way to call tools)/],
  ['maxTokens', /^maxTokens\b ?/],
  ['stopTokens', /^(?=.*\bstopTokens\b)/],
  ['stop', /^stop\b ?/],
  ['logitBias', /^logitBias\b ?/],
  ['logprobs', /^logprobs\b ?/],
  ['reasoning', /^(?=reasoning\b)/],
];

/** A fault that the library found with a request, as one sentence that begins with the field of the endpoint. */
export function withField(fault: Fault, names: FieldNames): Fault {
  const { code = '', message, status } = fault;
  if (status !== 400 || fault.param !== undefined || !code.startsWith('err_')) return fault;
  const [option, words] = options.find(([, words]) => words.test(message)) ?? [
    code.startsWith('err_grammar') ? ('format' as const) : ('prompt' as const),
    /^/,
  ];
  const param = names[option];
  const rule = message.replace(words, '').replace(/\bstopTokens\b/g, names.stopTokens);
  return { ...fault, param, message: `${param}: ${rule}${/[.!?]$/.test(rule) ? '' : '.'}` };
}
