/** Numbers that stay with objects, by the order in which they were asked for. Keeps no object alive. */
export class Identities {
  readonly #numbers = new WeakMap<object, number>();
  #count = 0;

  of(value: object): number {
    let number = this.#numbers.get(value);
    if (number === undefined) {
      number = ++this.#count;
      this.#numbers.set(value, number);
    }
    return number;
  }
}
