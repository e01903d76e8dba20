// What is set for all conversations, kept in this browser; the key only as long as the tab is open.
const place = 'heddle settings';
const numbers = ['temperature', 'top_p', 'max_tokens', 'seed', 'reasoning_budget'];

export class Settings {
  constructor(dialog) {
    this.dialog = dialog;
    this.fields = [...dialog.querySelectorAll('[name]')];
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(place) ?? '{}');
    } catch {
      // what is damaged is set anew
    }
    for (const field of this.fields)
      field.value = field.name === 'key' ? (sessionStorage.getItem('heddle key') ?? '') : (kept[field.name] ?? '');
    this.show();
  }

  value(name) {
    return this.fields.find((field) => field.name === name).value.trim();
  }

  get key() {
    return this.value('key');
  }

  /** Keeps what the fields have. @throws Error that says which is wrong */
  keep() {
    this.body();
    const kept = Object.fromEntries(
      this.fields.filter(({ name }) => name !== 'key').map(({ name, value }) => [name, value]),
    );
    localStorage.setItem(place, JSON.stringify(kept));
    sessionStorage.setItem('heddle key', this.key);
    this.show();
  }

  show() {
    document.documentElement.dataset.theme = this.value('theme');
  }

  /** What answers are called, where they are no text. */
  get mode() {
    const parts = [];
    if (this.value('tools') !== '') parts.push('tools');
    if (this.value('format') !== '') parts.push('JSON');
    return parts.join(', ');
  }

  /** What requests have of this. @throws Error */
  body() {
    const body = {};
    for (const name of numbers) {
      const text = this.value(name);
      if (text === '') continue;
      const number = Number(text);
      if (!Number.isFinite(number)) throw new Error(`${name} takes a number.`);
      body[name] = number;
    }
    const tools = this.value('tools');
    if (tools !== '') {
      const list = parsed('Tools', tools);
      if (!Array.isArray(list)) throw new Error('Tools take a list of functions.');
      if (list.length > 0)
        body.tools = list.map((each) => (each.function ? each : { type: 'function', function: each }));
    }
    const format = this.value('format');
    if (format === 'json') body.response_format = { type: 'json_object' };
    if (format === 'schema') {
      const schema = parsed('The JSON schema', this.value('schema') || '{}');
      body.response_format = { type: 'json_schema', json_schema: { name: 'answer', schema } };
    }
    return body;
  }
}

function parsed(what, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what}: ${error.message}`);
  }
}
