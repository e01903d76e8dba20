import { ArgumentError, FileFormatError } from '@heddle/tensor';
import { describe } from '../describe.ts';
import { parseTemplate, renderTemplate, type TemplateLimits } from './bounded-template.ts';

/** A turn of a conversation; what else a template looks at (`tool_calls`, `name`, ...) may stand in it. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** Options of `applyChatTemplate`. */
export interface ChatTemplateOptions {
  /** Tools that the model may call, as JSON schemas of functions. */
  readonly tools?: readonly object[];
  /** Documents for models that answer from some. */
  readonly documents?: readonly object[];
  /** Whether to end with what begins an answer of the model. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Which of the tokenizer's templates, by name, or the text of another. */
  readonly template?: string;
  /** What else the template looks at, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Default: 300,000 steps and 2^20 characters, more for long conversations, and 10 seconds. */
  readonly limits?: Partial<TemplateLimits>;
}

/** The chat templates of a tokenizer. */
export interface ChatTemplates {
  readonly names: readonly string[];
  text(name: string): string | undefined;
  render(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
}

/** Where templates come from, by how much they count. */
export interface TemplateSources {
  /** Names the tokenizer in messages. */
  readonly label: string;
  /** Text of `chat_template.jinja`. */
  readonly file?: string | undefined;
  /** Texts of `additional_chat_templates`. */
  readonly additional?: Readonly<Record<string, string>>;
  /** `tokenizer_config.json`: its `chat_template`, and its special tokens, which templates name. */
  readonly settings: object;
}

type Program = ReturnType<typeof parseTemplate>;

/** @throws FileFormatError `ERR_TOKENIZER` for a `chat_template` that is neither a text nor a list of named ones */
export function chatTemplates(sources: TemplateSources): ChatTemplates {
  const { label, settings } = sources;
  const texts = collect(sources);
  const tokens = specialTokens(settings);
  const parsed = new Map<string, Program>();
  const programOf = (name: string, text: string) => {
    const program = parsed.get(text) ?? parseTemplate(name, text);
    parsed.set(text, program);
    return program;
  };
  return {
    names: [...texts.keys()],
    text: (name) => texts.get(name),
    render(messages, options = {}) {
      check(messages, options);
      const { tools, documents, addGenerationPrompt = false, variables = {} } = options;
      const [name, text] = choose(label, texts, options);
      const given = {
        ...tokens,
        messages,
        tools: tools ?? null,
        documents: documents ?? null,
        add_generation_prompt: addGenerationPrompt,
        ...variables,
      };
      return renderTemplate(`${label} (${name})`, programOf(name, text), given, limitsFor(given, options.limits));
    },
  };
}

function collect({ label, file, additional = {}, settings }: TemplateSources): Map<string, string> {
  const texts = new Map<string, string>();
  const { chat_template: stated } = settings as { chat_template?: unknown };
  if (Array.isArray(stated)) {
    for (const entry of stated as readonly unknown[]) {
      const { name, template } = (entry ?? {}) as { name?: unknown; template?: unknown };
      if (typeof name !== 'string' || typeof template !== 'string')
        throw badTemplate(label, 'a list with another entry');
      texts.set(name, template);
    }
  } else if (typeof stated === 'string') texts.set('default', stated);
  else if (stated !== undefined && stated !== null) throw badTemplate(label, describe(stated));
  if (file !== undefined) texts.set('default', file);
  for (const [name, text] of Object.entries(additional)) texts.set(name, text);
  return texts;
}

/** As transformers: what was asked for, `tool_use` where there are tools, otherwise `default`. */
function choose(
  label: string,
  texts: ReadonlyMap<string, string>,
  { template, tools }: ChatTemplateOptions,
): readonly [string, string] {
  const named = template ?? (tools && texts.has('tool_use') ? 'tool_use' : 'default');
  const text = texts.get(named);
  if (text !== undefined) return [named, text];
  if (template !== undefined && /[{}\s]/.test(template)) return ['given', template];
  const known = texts.size > 0 ? `it has ${[...texts.keys()].join(', ')}` : 'it has none';
  throw new ArgumentError(`applyChatTemplate: ${label} has no chat template ${named}; ${known}`);
}

/** Settings that are tokens: their texts, whether stated as texts or as objects. */
function specialTokens(settings: object): Record<string, string> {
  const tokens: Record<string, string> = {};
  const read = (fields: object) => {
    for (const [name, value] of Object.entries(fields)) {
      const content = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
      if (name.endsWith('_token') && typeof content === 'string') tokens[name] = content;
    }
  };
  read(settings);
  const { extra_special_tokens: extra } = settings as { extra_special_tokens?: unknown };
  if (typeof extra === 'object' && extra !== null) read(extra);
  return tokens;
}

function check(messages: unknown, { tools, documents, template }: ChatTemplateOptions): void {
  if (!Array.isArray(messages))
    throw new ArgumentError(`applyChatTemplate: takes a list of messages, got ${describe(messages)}`);
  messages.forEach((message: unknown, i) => {
    if (typeof (message as Partial<ChatMessage> | null)?.role !== 'string')
      throw new ArgumentError(`applyChatTemplate: message ${i} must have a role, got ${describe(message)}`);
  });
  for (const [name, list] of Object.entries({ tools, documents }))
    if (list !== undefined && !Array.isArray(list))
      throw new ArgumentError(`applyChatTemplate: ${name} must be a list, got ${describe(list)}`);
  if (template !== undefined && typeof template !== 'string')
    throw new ArgumentError(`applyChatTemplate: template must be a name or a text, got ${describe(template)}`);
}

/** Long conversations take more: what the caller gives may be as long as it likes, the template may not add without end. */
function limitsFor(given: object, limits: Partial<TemplateLimits> = {}): TemplateLimits {
  let size: number;
  try {
    size = JSON.stringify(given).length;
  } catch (cause) {
    throw new ArgumentError('applyChatTemplate: messages, tools and variables must be JSON values', { cause });
  }
  return { steps: 300_000 + 10 * size, characters: 2 ** 20 + 8 * size, milliseconds: 10_000, ...limits };
}

function badTemplate(label: string, got: string): FileFormatError {
  return new FileFormatError(
    `tokenizer: ${label}: chat_template must be a text or a list of { name, template }, got ${got}`,
    {
      code: 'ERR_TOKENIZER',
    },
  );
}
