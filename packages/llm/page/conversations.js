// Conversations as trees, kept in this browser alone. An edit or another try is a branch beside the one before.
const place = 'heddle conversations';

/** @typedef {{ id: string, parent: string | null, message: object, usage?: object }} Turn */

export class Conversations {
  constructor() {
    this.all = read();
    this.current = this.all[0] ?? this.begin();
  }

  begin() {
    const empty = this.all.find((each) => Object.keys(each.turns).length === 0);
    const made = empty ?? { id: crypto.randomUUID(), title: 'New conversation', turns: {}, last: null };
    if (!empty) this.all.unshift(made);
    this.current = made;
    return made;
  }

  open(id) {
    this.current = this.all.find((each) => each.id === id) ?? this.begin();
  }

  remove(id) {
    this.all = this.all.filter((each) => each.id !== id);
    if (this.current.id === id) this.current = this.all[0] ?? this.begin();
    this.save();
  }

  clear() {
    this.all = [];
    this.begin();
    this.save();
  }

  /** Adds a turn after another, and makes it the last one. @returns {Turn} */
  add(message, parent = this.current.last) {
    const turn = { id: crypto.randomUUID(), parent, message };
    this.current.turns[turn.id] = turn;
    this.current.last = turn.id;
    if (Object.keys(this.current.turns).length === 1) this.current.title = message.content.slice(0, 60);
    return turn;
  }

  /** From the first turn to the last of this branch. @returns {Turn[]} */
  path(last = this.current.last) {
    const turns = [];
    for (let id = last; id !== null; id = this.current.turns[id].parent) turns.unshift(this.current.turns[id]);
    return turns;
  }

  /** Turns after the same one. @returns {Turn[]} */
  beside(turn) {
    return Object.values(this.current.turns).filter(({ parent }) => parent === turn.parent);
  }

  /** Goes to a branch, as far as it was said last. */
  choose(turn) {
    let last = turn;
    for (;;) {
      const next = Object.values(this.current.turns).findLast(({ parent }) => parent === last.id);
      if (!next) break;
      last = next;
    }
    this.current.last = last.id;
    this.save();
  }

  /** @returns {boolean} whether the browser had room */
  save() {
    try {
      localStorage.setItem(place, JSON.stringify(this.all.filter(({ turns }) => Object.keys(turns).length > 0)));
      return true;
    } catch {
      return false;
    }
  }
}

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(place) ?? '[]');
    return Array.isArray(found) ? found.filter((each) => typeof each?.turns === 'object') : [];
  } catch {
    return [];
  }
}
