// What a model wrote, as elements. Nothing of it is ever read as HTML: text becomes text nodes, and tokens that are HTML are shown as they are.
import { marked } from './marked.js';

/** @param {string} text */
export function markdown(text) {
  const into = document.createDocumentFragment();
  blocks(into, marked.lexer(text, { gfm: true }));
  return into;
}

/** @returns {HTMLElement} */
function element(parent, name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function blocks(parent, tokens) {
  for (const token of tokens) block(parent, token);
}

function block(parent, token) {
  switch (token.type) {
    case 'space':
    case 'def':
      return;
    case 'heading':
      // the page has the first two levels
      return inline(element(parent, `h${Math.min(6, token.depth + 2)}`), token.tokens);
    case 'paragraph':
      return inline(element(parent, 'p'), token.tokens);
    case 'code': {
      const code = element(element(parent, 'pre'), 'code', token.text);
      if (token.lang) code.dataset.language = token.lang;
      return;
    }
    case 'blockquote':
      return blocks(element(parent, 'blockquote'), token.tokens);
    case 'list': {
      const list = element(parent, token.ordered ? 'ol' : 'ul');
      if (token.ordered && Number.isSafeInteger(token.start)) list.setAttribute('start', String(token.start));
      for (const item of token.items) {
        const made = element(list, 'li');
        if (item.task) made.append(item.checked ? '☑ ' : '☐ ');
        blocks(made, item.tokens);
      }
      return;
    }
    case 'table': {
      const table = element(parent, 'table');
      const head = element(element(table, 'thead'), 'tr');
      for (const cell of token.header) inline(element(head, 'th'), cell.tokens);
      const body = element(table, 'tbody');
      for (const cells of token.rows) {
        const row = element(body, 'tr');
        for (const cell of cells) inline(element(row, 'td'), cell.tokens);
      }
      return;
    }
    case 'hr':
      element(parent, 'hr');
      return;
    case 'text':
      return token.tokens ? inline(parent, token.tokens) : parent.append(decoded(token.text));
    default:
      parent.append(token.raw);
  }
}

function inline(parent, tokens = []) {
  for (const token of tokens) span(parent, token);
}

const marks = { strong: 'strong', em: 'em', del: 'del' };

function span(parent, token) {
  if (Object.hasOwn(marks, token.type)) return inline(element(parent, marks[token.type]), token.tokens);
  switch (token.type) {
    case 'codespan':
      element(parent, 'code', token.text);
      return;
    case 'br':
      element(parent, 'br');
      return;
    case 'link': {
      if (!/^(https?|mailto):/i.test(token.href)) return inline(parent, token.tokens);
      const link = element(parent, 'a');
      link.setAttribute('href', token.href);
      link.setAttribute('rel', 'noopener noreferrer');
      link.setAttribute('target', '_blank');
      return inline(link, token.tokens);
    }
    case 'image':
      // fetching it would tell another machine
      parent.append(`[image: ${token.text}]`);
      return;
    case 'text':
    case 'escape':
      return token.tokens ? inline(parent, token.tokens) : parent.append(decoded(token.text));
    default:
      parent.append(token.raw);
  }
}

const entities = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: '\u00a0' };

/** Entities of Markdown, as the characters that they stand for. */
function decoded(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w+));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return Object.hasOwn(entities, name) ? entities[name] : whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
