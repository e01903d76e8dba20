import { answer, models } from './client.js';
import { Conversations } from './conversations.js';
import { showLive } from './live.js';
import { Settings } from './settings.js';
import { editForm, fill, resultsForm, turnElement } from './turns.js';

const by = (id) => document.getElementById(id);
const [turns, prompt, status, model, side] = ['turns', 'prompt', 'status', 'model', 'side'].map(by);
const conversations = new Conversations();
const settings = new Settings(by('settings'));
const mostAttached = 2 ** 20;
let attached = [];
let running;

function say(text, isFault = false) {
  status.textContent = text;
  status.classList.toggle('fault', isFault);
}

function draw() {
  turns.replaceChildren(...conversations.path().map((turn) => turnElement(turn, conversations, actions)));
  const last = conversations.path().at(-1)?.message;
  if (!running && last?.tool_calls?.length > 0)
    turns.lastElementChild.append(
      resultsForm(last.tool_calls, (results) => {
        for (const result of results) conversations.add(result);
        void reply();
      }),
    );
  drawList();
  by('mode').textContent = settings.mode;
  by('scroll').scrollTop = by('scroll').scrollHeight;
}

function drawList() {
  by('conversations').replaceChildren(
    ...conversations.all.map((each) => {
      const item = document.createElement('li');
      const open = Object.assign(document.createElement('button'), { type: 'button', className: 'plain' });
      open.textContent = each.title;
      open.setAttribute('aria-current', String(each === conversations.current));
      open.addEventListener('click', () => {
        stop();
        conversations.open(each.id);
        showSide(false);
        draw();
      });
      const remove = Object.assign(document.createElement('button'), { type: 'button', className: 'plain' });
      remove.textContent = '×';
      remove.setAttribute('aria-label', `Delete ${each.title}`);
      remove.addEventListener('click', () => {
        stop();
        conversations.remove(each.id);
        draw();
      });
      item.append(open, remove);
      return item;
    }),
  );
}

const actions = {
  choose(turn) {
    stop();
    conversations.choose(turn);
    draw();
  },
  edit(turn, item) {
    const { form, area } = editForm(turn.message.content, (text) => {
      if (text === undefined) return draw();
      stop();
      conversations.add({ role: 'user', content: text }, turn.parent);
      void reply();
    });
    item.replaceChildren(form);
    area.focus();
  },
  again(turn) {
    stop();
    conversations.current.last = turn.parent;
    void reply();
  },
};

/** Asks for an answer to the branch as it stands. */
async function reply() {
  const conversation = conversations.current;
  const parent = conversation.last;
  const system = settings.value('system');
  const messages = conversations.path().map(({ message }) => message);
  if (system !== '') messages.unshift({ role: 'system', content: system });
  const message = { role: 'assistant', content: '' };
  const controller = new AbortController();
  running = controller;
  by('stop').hidden = false;
  by('send').hidden = true;
  draw();
  const item = document.createElement('li');
  item.className = 'assistant';
  item.append(Object.assign(document.createElement('div'), { className: 'body' }));
  turns.append(item);
  say('Answering');
  let waits = false;
  const show = () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      const scroll = by('scroll');
      const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
      fill(item, message);
      if (atEnd) scroll.scrollTop = scroll.scrollHeight;
    });
  };
  let took;
  let first;
  try {
    const body = { model: model.value, messages, ...settings.body() };
    took = await answer(body, settings.key, controller.signal, (delta) => {
      first ??= performance.now();
      push(message, delta);
      show();
    });
    say(took.reason === 'length' ? 'The answer is cut off at the most tokens.' : '');
  } catch (error) {
    if (controller.signal.aborted) say('Stopped');
    else say(error.message, true);
  }
  const isEmpty = message.content === '' && !message.reasoning_content && !message.tool_calls;
  if (!isEmpty && conversations.all.includes(conversation)) {
    const current = conversations.current;
    conversations.current = conversation;
    const turn = conversations.add(message, parent);
    if (took?.usage) turn.usage = { ...took.usage, seconds: (performance.now() - first) / 1000 };
    conversations.current = current;
  }
  if (!conversations.save()) say('This browser has no room for more conversations: delete some.', true);
  if (running !== controller) return;
  running = undefined;
  by('stop').hidden = true;
  by('send').hidden = false;
  draw();
}

function push(message, { content, reasoning_content: reasoning, tool_calls: calls = [] }) {
  if (content) message.content += content;
  if (reasoning) message.reasoning_content = (message.reasoning_content ?? '') + reasoning;
  for (const { index, id, function: called } of calls) {
    message.tool_calls ??= [];
    message.tool_calls[index] ??= { id, type: 'function', function: { name: called.name, arguments: '' } };
    message.tool_calls[index].function.arguments += called.arguments ?? '';
  }
}

function stop() {
  running?.abort();
  running = undefined;
  by('stop').hidden = true;
  by('send').hidden = false;
}

function showAttached() {
  by('attached').replaceChildren(
    ...attached.map((file, i) => {
      const item = document.createElement('li');
      const remove = Object.assign(document.createElement('button'), { type: 'button', className: 'plain' });
      remove.textContent = '×';
      remove.setAttribute('aria-label', `Leave out ${file.name}`);
      remove.addEventListener('click', () => {
        attached.splice(i, 1);
        showAttached();
      });
      item.append(file.name, remove);
      return item;
    }),
  );
}

by('files').addEventListener('change', async ({ target }) => {
  for (const file of target.files) {
    if (file.size > mostAttached) say(`${file.name} has more than 1 MiB.`, true);
    else {
      const text = await file.text();
      if (text.includes('\0')) say(`${file.name} is no text.`, true);
      else attached.push({ name: file.name, text });
    }
  }
  target.value = '';
  showAttached();
});
by('attach').addEventListener('click', () => by('files').click());
by('stop').addEventListener('click', () => running?.abort());
by('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  if (running || (prompt.value.trim() === '' && attached.length === 0)) return;
  const files = attached.map(({ name, text }) => `${name}:\n\`\`\`\n${text}\n\`\`\``);
  conversations.add({ role: 'user', content: [...files, prompt.value].filter((each) => each !== '').join('\n\n') });
  prompt.value = '';
  attached = [];
  showAttached();
  grow();
  void reply();
});
function grow() {
  prompt.style.setProperty('height', 'auto');
  prompt.style.setProperty('height', `${prompt.scrollHeight}px`);
}
prompt.addEventListener('input', grow);
prompt.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  by('ask').requestSubmit();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && running && !by('settings').open) running.abort();
});

by('new').addEventListener('click', () => {
  stop();
  conversations.begin();
  showSide(false);
  draw();
  prompt.focus();
});
function showSide(open) {
  side.classList.toggle('open', open);
  by('menu').setAttribute('aria-expanded', String(open));
}
by('menu').addEventListener('click', () => showSide(!side.classList.contains('open')));

let endLive;
by('show-live').addEventListener('click', ({ currentTarget }) => {
  const list = by('live').querySelector('dl');
  by('live').hidden = endLive !== undefined;
  currentTarget.setAttribute('aria-expanded', String(!endLive));
  if (endLive) endLive();
  endLive = endLive
    ? undefined
    : showLive(
        list,
        () => settings.key,
        (error) => say(error.message, true),
      );
});

by('show-settings').addEventListener('click', () => by('settings').showModal());
function closeSettings(event) {
  event?.preventDefault();
  const fault = by('settings-fault');
  try {
    settings.keep();
    fault.textContent = '';
    by('settings').close();
    by('mode').textContent = settings.mode;
    void listModels();
  } catch (error) {
    fault.textContent = error.message;
  }
}
by('close-settings').addEventListener('click', closeSettings);
by('settings').addEventListener('cancel', closeSettings);
by('delete-all').addEventListener('click', () => {
  stop();
  conversations.clear();
  draw();
});

async function listModels() {
  try {
    const chosen = model.value;
    const names = await models(settings.key);
    model.replaceChildren(
      ...names.map((name) => Object.assign(document.createElement('option'), { value: name, textContent: name })),
    );
    if (names.includes(chosen)) model.value = chosen;
    say('');
  } catch (error) {
    say(error.message, true);
  }
}

draw();
void listModels();
prompt.focus();
