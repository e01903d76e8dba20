import { isHeddleError } from '@heddle/tensor';
import { describe, expect, test } from 'vitest';
import { loadTokenizer } from '../tokenizer.ts';
import { type ChatTemplateOptions, chatTemplates } from './chat-template.ts';

const messages = [
  { role: 'user', content: 'A' },
  { role: 'assistant', content: 'B' },
];
const render = (template: string, options: ChatTemplateOptions = {}) =>
  chatTemplates({ label: 'test', settings: { chat_template: template, bos_token: { content: '<s>' } } }).render(
    messages,
    options,
  );

function failure(template: string, options: ChatTemplateOptions = {}): Error & { code: string } {
  try {
    render(template, options);
  } catch (error) {
    expect(isHeddleError(error), String(error)).toBe(true);
    return error as Error & { code: string };
  }
  throw new Error(`${template} did not fail`);
}

describe('templates', () => {
  test('have the messages, tokens, tools and variables', () => {
    const turns = '{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m["content"] }}{% endfor %}';
    expect(render(turns)).toBe('<s>[user]A[assistant]B');
    expect(render('{{ tools is none }} {{ add_generation_prompt }}')).toBe('true false');
    expect(
      render('{{ tools[0] | tojson }}{% if add_generation_prompt %}!{% endif %}', {
        tools: [{ name: 'é' }],
        addGenerationPrompt: true,
      }),
    ).toBe('{"name": "é"}!');
    expect(render('{{ thinking }}', { variables: { thinking: 3 } })).toBe('3');
    expect(render('{{ strftime_now("%Y") }}')).toBe(String(new Date().getFullYear()));
    expect(render('{% for i in range(4, 0, -2) %}{{ i }}{% endfor %}{{ range(0) | length }}')).toBe('420');
  });

  test('are chosen by name, by tools, or given as text; files count before settings', () => {
    const chat = chatTemplates({
      label: 'test',
      settings: {
        chat_template: [
          { name: 'default', template: 'one' },
          { name: 'tool_use', template: 'two' },
        ],
      },
      additional: { rag: 'three' },
    });
    expect(chat.names).toEqual(['default', 'tool_use', 'rag']);
    expect([
      chat.render(messages),
      chat.render(messages, { tools: [] }),
      chat.render(messages, { template: 'rag' }),
    ]).toEqual(['one', 'two', 'three']);
    expect(chat.render(messages, { template: '{{ 1 + 1 }}' })).toBe('2');
    expect(() => chat.render(messages, { template: 'none' })).toThrow(
      /no chat template none; it has default, tool_use, rag/,
    );
    expect(chatTemplates({ label: 't', settings: { chat_template: 'one' }, file: 'four' }).render(messages)).toBe(
      'four',
    );
  });

  test('come from the files of a folder', async () => {
    const definition = {
      model: { type: 'BPE', vocab: { a: 0 }, merges: [] },
      added_tokens: [],
      decoder: null,
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
    };
    const files: Record<string, string> = {
      'tokenizer.json': JSON.stringify(definition),
      'tokenizer_config.json': '{"chat_template": "settings", "model_max_length": Infinity}',
    };
    const load = async () => {
      const source = {
        label: 'folder',
        open: (name: string) => (files[name] === undefined ? undefined : new TextEncoder().encode(files[name])),
      };
      return (await loadTokenizer(source)).tokenizer!;
    };
    expect((await load()).applyChatTemplate(messages)).toBe('settings');
    files['chat_template.json'] = '{"chat_template": "legacy"}';
    expect((await load()).applyChatTemplate(messages)).toBe('legacy');
    files['chat_template.jinja'] = 'file';
    files['additional_chat_templates/tool_use.jinja'] = 'tools';
    const tokenizer = await load();
    expect(tokenizer.chatTemplateNames).toEqual(['default', 'tool_use']);
    expect([tokenizer.applyChatTemplate(messages), tokenizer.applyChatTemplate(messages, { tools: [] })]).toEqual([
      'file',
      'tools',
    ]);
  });

  test('that do not end, or end in too long a text, are stopped soon', () => {
    const loops = [
      '{% for i in range(9000000) %}{% endfor %}',
      '{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}',
      '{% for i in range(3000) %}{% for j in range(100000) %}{% break %}{% endfor %}{% endfor %}',
      '{% for i in range(100000) %}{% for j in range(100000) if false %}{% endfor %}{% endfor %}',
      '{% macro f(n) %}{% for i in range(9) %}{{ f(n) }}{% endfor %}{% endmacro %}{{ f(1) }}',
      '{% for i in range(1000) %}{% set x = range(100000) | list | sort %}{% endfor %}',
    ];
    const texts = [
      '{% set ns = namespace(s="x") %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}',
      '{% for i in range(100000) %}0123456789012345678901234567890123456789{% endfor %}',
      '{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}',
    ];
    for (const template of [...loops, ...texts]) {
      const began = performance.now();
      const error = failure(template);
      expect(error.code, `${template}: ${error.message}`).toMatch(/^ERR_CHAT_TEMPLATE(_LIMIT)?$/);
      expect(performance.now() - began).toBeLessThan(20_000);
    }
    expect(failure(loops[0]!).message).toMatch(/^chat template: test \(default\): makes a list of over \d+ values$/);
    expect(failure(loops[1]!, { limits: { steps: 500 } }).message).toMatch(/over 500 values/);
    expect(failure('{% for i in range(400) %}{{ i }}{% endfor %}', { limits: { steps: 500 } }).message).toMatch(
      /does not end within 500 steps/,
    );
    expect(failure('{{ "x" | indent(400000000, true) }}').code).toMatch(/^ERR_CHAT_TEMPLATE/);
    expect(failure(loops[1]!, { limits: { steps: 1e9, milliseconds: 50 } }).message).toMatch(/within 50 ms/);
    // a long conversation may take as much as it needs
    const long = Array.from({ length: 3000 }, () => ({ role: 'user', content: 'x'.repeat(1000) }));
    const chat = chatTemplates({
      label: 'test',
      settings: { chat_template: '{% for m in messages %}{{ m.role + m.content }}{% endfor %}' },
    });
    expect(chat.render(long, { limits: { milliseconds: 60_000 } })).toHaveLength(3000 * 1004);
  }, 120_000);

  test('that are wrong, or refuse what they get, end in typed errors', () => {
    expect(failure('{{ raise_exception("roles must alternate") }}')).toMatchObject({
      code: 'ERR_CHAT_MESSAGES',
      message: 'applyChatTemplate: the template of test (default) refuses: roles must alternate',
    });
    for (const wrong of [
      '{% if %}',
      '{{ x.y() }}',
      '{{ 1 + none }}',
      '{% for %}',
      '{{ messages | nofilter }}',
      '{{',
      '('.repeat(9),
      `{{ ${'('.repeat(50_000)} }}`,
      '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
    ])
      if (wrong !== '('.repeat(9)) expect(failure(wrong).code, wrong.slice(0, 40)).toMatch(/^ERR_CHAT_TEMPLATE/);
    expect(failure(' '.repeat(2 ** 20 + 1)).message).toMatch(/at most 1048576 characters/);
  });

  test('take only what are messages, tools and JSON', () => {
    const call = (given: unknown, options?: object) => () =>
      chatTemplates({ label: 't', settings: { chat_template: 'x' } }).render(given as [], options);
    expect(call('hello')).toThrow('applyChatTemplate: takes a list of messages, got string hello');
    expect(call([{ content: 'x' }])).toThrow('message 0 must have a role, got Object');
    expect(call([null])).toThrow('message 0 must have a role, got null');
    expect(call(messages, { tools: {} })).toThrow('tools must be a list, got Object');
    const circle: { role: string; self?: unknown } = { role: 'user' };
    circle.self = circle;
    expect(call([circle])).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(() => chatTemplates({ label: 't', settings: { chat_template: 7 } })).toThrow(
      /must be a text or a list of .*, got number 7/,
    );
    expect(() => chatTemplates({ label: 't', settings: {} }).render(messages)).toThrow(
      't has no chat template default; it has none',
    );
  });
});
