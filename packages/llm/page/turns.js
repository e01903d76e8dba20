// Turns of a conversation as elements.
import { markdown } from './markdown.js';

function element(name, { text, label, ...properties } = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  if (label !== undefined) made.setAttribute('aria-label', label);
  return made;
}

const button = (text, act, label) => {
  const made = element('button', { type: 'button', className: 'plain', text, label });
  made.addEventListener('click', act);
  return made;
};

/** A turn, with what can be done about it. */
export function turnElement(turn, conversations, actions) {
  const { role } = turn.message;
  const item = element('li', { className: role });
  item.append(
    element('h2', { className: 'hidden', text: role === 'user' ? 'You' : role === 'tool' ? 'Tool' : 'Answer' }),
  );
  item.append(element('div', { className: 'body' }));
  fill(item, turn.message);
  const tools = element('div', { className: 'tools' });
  const beside = conversations.beside(turn);
  if (beside.length > 1) {
    const at = beside.indexOf(turn);
    const to = (by) => () => actions.choose(beside[(at + by + beside.length) % beside.length]);
    tools.append(button('‹', to(-1), 'The branch before'), `${at + 1} of ${beside.length}`);
    tools.append(button('›', to(1), 'The next branch'));
  }
  if (role === 'user') tools.append(button('Edit', () => actions.edit(turn, item)));
  if (role === 'assistant') {
    tools.append(button('Copy', () => navigator.clipboard.writeText(turn.message.content ?? '')));
    tools.append(button('Try again', () => actions.again(turn)));
    if (turn.usage) tools.append(element('span', { text: usageText(turn.usage) }));
  }
  item.append(tools);
  return item;
}

/** Puts what a message says into its element; the same for one that still comes. */
export function fill(item, { role, content, reasoning_content: reasoning, tool_calls: calls = [] }) {
  const body = item.querySelector('.body');
  const wasOpen = body.querySelector('details')?.open;
  body.replaceChildren();
  if (reasoning) {
    const details = element('details', { open: wasOpen ?? !content });
    details.append(element('summary', { text: 'Thought' }), reasoning);
    body.append(details);
  }
  if (role === 'assistant') {
    const said = element('div', { className: 'said' });
    said.append(markdown(content ?? ''));
    body.append(said);
  } else if (role === 'tool') {
    const box = element('div', { className: 'call' });
    box.append(element('span', { className: 'note', text: 'Result' }), element('pre', { text: content }));
    body.append(box);
  } else body.append(element('div', { className: 'said', text: content }));
  for (const { function: called } of calls) {
    const box = element('div', { className: 'call' });
    box.append(element('strong', { text: called.name }), element('pre', { text: pretty(called.arguments) }));
    body.append(box);
  }
}

/** A form for what tools gave, which the model then answers. */
export function resultsForm(calls, send) {
  const form = element('form', { className: 'call' });
  const fields = calls.map(({ id, function: called }) => {
    const field = element('label', { text: `Result of ${called.name}` });
    const area = element('textarea', { rows: 2, required: true });
    field.append(area);
    form.append(field);
    return { id, area };
  });
  form.append(element('button', { className: 'primary', text: 'Give to the model' }));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send(fields.map(({ id, area }) => ({ role: 'tool', tool_call_id: id, content: area.value })));
  });
  return form;
}

/** A form to write a message anew. */
export function editForm(text, done) {
  const form = element('form', { className: 'call' });
  const area = element('textarea', { rows: 3, value: text, label: 'The message' });
  const row = element('div', { className: 'row' });
  row.append(
    element('button', { className: 'primary', text: 'Send' }),
    button('Cancel', () => done(undefined)),
  );
  form.append(area, row);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (area.value.trim() !== '') done(area.value);
  });
  return { form, area };
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text; // which still comes
  }
}

function usageText({ prompt_tokens: prompt, completion_tokens: tokens, prompt_tokens_details: details, seconds }) {
  const cached = details?.cached_tokens ?? 0;
  const rate = seconds > 0 ? `, ${(tokens / seconds).toFixed(1)} a second` : '';
  return `${tokens} tokens${rate}; ${prompt} of the prompt, ${cached} from the cache`;
}
