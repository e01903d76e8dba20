import { ArgumentError, FileFormatError } from '@heddle/tensor';
import { Environment, Interpreter, Template } from '@huggingface/jinja';

/** What a template may use up. Templates are programs that come with a model, from whoever made it. */
export interface TemplateLimits {
  /** Expressions, statements, and turns of loops. */
  readonly steps: number;
  /** Length of the text, and of every text on the way to it. */
  readonly characters: number;
  readonly milliseconds: number;
}

/** A template that was parsed. The library's own declarations stay inside: they do not pass the checks that some projects make. */
export interface ParsedTemplate {
  readonly type: string;
}
type Program = Template['parsed'];
type Node = Program | undefined;
interface Value {
  readonly value?: unknown;
}

/** The parts of the interpreter through which everything goes that a program does; the version of the library is pinned. */
interface Steps {
  evaluate(node: Node, environment: Environment): Value;
  evaluateBlock(nodes: readonly Node[], environment: Environment): Value;
  applyFilter(operand: Value, filter: Node, environment: Environment): Value;
}
const steps = Interpreter.prototype as unknown as Steps;

/** Longest template that is parsed, in characters. */
const maxTemplateLength = 2 ** 20;

class RaisedByTemplate extends Error {}
class LimitReached extends Error {}

/** A template as it was parsed. @throws FileFormatError `ERR_CHAT_TEMPLATE` for a syntax that is not understood */
export function parseTemplate(label: string, text: string): ParsedTemplate {
  if (text.length > maxTemplateLength)
    throw templateError(label, `takes at most ${maxTemplateLength} characters, got ${text.length}`);
  try {
    return new Template(text).parsed;
  } catch (cause) {
    throw templateError(label, reasonOf(cause), cause);
  }
}

/**
 * Runs a template within limits.
 *
 * @throws FileFormatError `ERR_CHAT_TEMPLATE` where the template fails, `ERR_CHAT_TEMPLATE_LIMIT` where it does not end within
 *   the limits; ArgumentError `ERR_CHAT_MESSAGES` where it refuses what it was given
 */
export function renderTemplate(
  label: string,
  program: ParsedTemplate,
  variables: Readonly<Record<string, unknown>>,
  limits: TemplateLimits,
): string {
  try {
    const environment = globals(limits);
    for (const [name, value] of Object.entries(variables)) environment.set(name, value);
    return String(boundedInterpreter(environment, limits).evaluate(program as Program, environment).value);
  } catch (cause) {
    if (cause instanceof RaisedByTemplate)
      throw new ArgumentError(`applyChatTemplate: the template of ${label} refuses: ${cause.message}`, {
        code: 'ERR_CHAT_MESSAGES',
        cause,
      });
    if (cause instanceof LimitReached) throw templateError(label, cause.message, cause, 'ERR_CHAT_TEMPLATE_LIMIT');
    throw templateError(label, reasonOf(cause), cause);
  }
}

function boundedInterpreter(environment: Environment, limits: TemplateLimits): Steps {
  const interpreter = new Interpreter(environment) as unknown as Steps;
  const end = performance.now() + limits.milliseconds;
  let left = limits.steps;
  let untilClock = 256;
  const spend = (count: number) => {
    left -= count;
    if (left < 0) throw new LimitReached(`does not end within ${limits.steps} steps`);
    untilClock -= 1;
    if (untilClock > 0) return;
    untilClock = 256;
    if (performance.now() > end) throw new LimitReached(`does not end within ${limits.milliseconds} ms`);
  };
  const checked = (result: Value): Value => {
    const { value } = result;
    if (typeof value === 'string' && value.length > limits.characters)
      throw new LimitReached(`makes a text of over ${limits.characters} characters`);
    if (Array.isArray(value) && value.length > limits.steps)
      throw new LimitReached(`makes a list of over ${limits.steps} values`);
    return result;
  };
  // what a loop runs over costs its length at once: the interpreter prepares every turn before the first
  const iterated = new WeakSet<object>();
  interpreter.evaluate = (node, scope) => {
    spend(1);
    if (node?.type === 'For') {
      const { iterable } = node as unknown as { iterable: { type: string; lhs?: object } };
      iterated.add(iterable.type === 'SelectExpression' ? iterable.lhs! : iterable);
    }
    const result = checked(steps.evaluate.call(interpreter, node, scope));
    if (node && iterated.has(node)) spend(sizeOf(result));
    return result;
  };
  interpreter.evaluateBlock = (nodes, scope) => {
    spend(1);
    return checked(steps.evaluateBlock.call(interpreter, nodes, scope));
  };
  interpreter.applyFilter = (operand, filter, scope) => {
    spend(typeof operand.value === 'string' ? 1 : sizeOf(operand));
    return checked(steps.applyFilter.call(interpreter, operand, filter, scope));
  };
  return interpreter;
}

function sizeOf({ value }: Value): number {
  if (Array.isArray(value)) return value.length;
  return value instanceof Map ? value.size : 1;
}

/** What transformers gives to templates beside the variables. */
function globals(limits: TemplateLimits): Environment {
  const environment = new Environment();
  for (const [name, value] of [
    ['true', true],
    ['false', false],
    ['none', null],
    ['True', true],
    ['False', false],
    ['None', null],
  ] as const)
    environment.set(name, value);
  environment.set('raise_exception', (message: unknown) => {
    throw new RaisedByTemplate(String(message));
  });
  environment.set('range', (...bounds: number[]) => range(bounds, limits.steps));
  environment.set('strftime_now', (format: unknown) => formatTime(new Date(), String(format)));
  return environment;
}

function range(bounds: readonly number[], most: number): number[] {
  const [start, stop, step = 1] = bounds.length === 1 ? [0, bounds[0]!] : bounds;
  if (![start, stop, step].every(Number.isSafeInteger) || step === 0)
    throw new Error(`range() takes one to three integers and no step of 0, got ${bounds.join(', ')}`);
  const length = Math.max(0, Math.ceil((stop! - start!) / step));
  if (length > most) throw new LimitReached(`makes a list of over ${most} values`);
  return Array.from({ length }, (_, i) => start! + i * step);
}

/** Python's strftime in the locale that it starts with, for what templates use. */
function formatTime(date: Date, format: string): string {
  const pad = (value: number) => String(value).padStart(2, '0');
  const name = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-US', options).format(date);
  const parts: Readonly<Record<string, () => string>> = {
    Y: () => String(date.getFullYear()),
    y: () => pad(date.getFullYear() % 100),
    m: () => pad(date.getMonth() + 1),
    d: () => pad(date.getDate()),
    B: () => name({ month: 'long' }),
    b: () => name({ month: 'short' }),
    A: () => name({ weekday: 'long' }),
    a: () => name({ weekday: 'short' }),
    H: () => pad(date.getHours()),
    M: () => pad(date.getMinutes()),
    S: () => pad(date.getSeconds()),
    '%': () => '%',
  };
  return format.replace(/%(.)/g, (found, letter: string) => parts[letter]?.() ?? found);
}

function reasonOf(cause: unknown): string {
  // a RangeError is how the engine says that calls or texts became too deep or too long
  if (cause instanceof RangeError) return `is too deep or makes too long a text: ${cause.message}`;
  return cause instanceof Error ? cause.message : String(cause);
}

function templateError(label: string, reason: string, cause?: unknown, code = 'ERR_CHAT_TEMPLATE'): FileFormatError {
  return new FileFormatError(`chat template: ${label}: ${reason}`, { code, ...(cause === undefined ? {} : { cause }) });
}
