import { ArgumentError } from '@heddle/tensor';
import { describe } from '../../describe.ts';
import type { Tool, ToolChoice } from './answer-format.ts';

/** How much a model may reason before it answers. */
export interface ReasoningOptions {
  /** Whether it reasons at all, where its template can ask for that (`enable_thinking`). Default: as the template does. */
  readonly enabled?: boolean;
  /** Most tokens of reasoning, which is ended then. Default: no bound of its own. */
  readonly budget?: number;
  /** How much of it, where its template can ask for that (`reasoning_effort`). */
  readonly effort?: 'low' | 'medium' | 'high';
}

/** Options of answers with tools and reasoning. */
export interface AnswerOptions {
  /** Functions that the model may ask to be called; only with messages. Arguments always fit the schema. */
  readonly tools?: readonly Tool[];
  /** Default 'auto'. With 'none' the model is not told of the tools. */
  readonly toolChoice?: ToolChoice;
  /** Whether one answer may ask for several calls. Default true. */
  readonly parallelToolCalls?: boolean;
  readonly reasoning?: ReasoningOptions;
}

export const answerOptionNames: readonly string[] = ['tools', 'toolChoice', 'parallelToolCalls', 'reasoning'];

const maxTools = 256;

/** The tools that may be called, and whether one must. @throws ArgumentError */
export function toolsOf(
  operation: string,
  { tools = [], toolChoice = 'auto' }: AnswerOptions,
): { readonly tools: readonly Tool[]; readonly mustCall: boolean } {
  const wrong = (what: string, got: unknown) => new ArgumentError(`${operation}: ${what}, got ${describe(got)}`);
  if (!Array.isArray(tools)) throw wrong('tools must be a list', tools);
  if (tools.length > maxTools)
    throw new ArgumentError(`${operation}: takes at most ${maxTools} tools, got ${tools.length}`);
  const names = new Set<string>();
  for (const [i, tool] of (tools as readonly Tool[]).entries()) {
    if (typeof tool !== 'object' || tool === null)
      throw wrong(`tools[${i}] must be { name, description, parameters }`, tool);
    const { name, description, parameters } = tool;
    if (typeof name !== 'string' || !/^[\w.-]{1,128}$/.test(name))
      throw wrong(`tools[${i}].name must be 1 to 128 letters, digits, '_', '-' or '.'`, name);
    if (names.has(name)) throw new ArgumentError(`${operation}: tools[${i}].name '${name}' is there twice`);
    names.add(name);
    if (description !== undefined && typeof description !== 'string')
      throw wrong(`tools[${i}].description must be a string`, description);
    if (parameters !== undefined && !(typeof parameters === 'object' && parameters && !Array.isArray(parameters)))
      throw wrong(`tools[${i}].parameters must be a JSON schema of an object`, parameters);
    const { type } = (parameters ?? {}) as { readonly type?: unknown };
    if (type !== undefined && type !== 'object')
      throw new ArgumentError(
        `${operation}: tools[${i}].parameters must be of type 'object', got ${JSON.stringify(type)}`,
      );
  }
  if (toolChoice === 'none') return { tools: [], mustCall: false };
  if (toolChoice === 'auto') return { tools: tools.map(objectTool), mustCall: false };
  if (toolChoice === 'required') {
    if (tools.length === 0) throw new ArgumentError(`${operation}: toolChoice 'required' needs tools, got none`);
    return { tools: tools.map(objectTool), mustCall: true };
  }
  const name = (toolChoice as { readonly name?: unknown } | null)?.name;
  if (typeof name !== 'string') throw wrong("toolChoice takes 'auto', 'required', 'none' or { name }", toolChoice);
  const chosen = tools.filter((tool) => tool.name === name);
  if (chosen.length === 0)
    throw new ArgumentError(
      `${operation}: toolChoice names '${name}', which is none of the tools (${[...names].join(', ')})`,
    );
  return { tools: chosen.map(objectTool), mustCall: true };
}

/** Arguments are an object also where the schema does not say so. */
function objectTool(tool: Tool): Tool {
  const { parameters } = tool;
  return parameters && !('type' in parameters) ? { ...tool, parameters: { ...parameters, type: 'object' } } : tool;
}

/** @throws ArgumentError */
export function checkReasoning(operation: string, reasoning: ReasoningOptions | undefined): void {
  if (reasoning === undefined) return;
  if (typeof reasoning !== 'object' || reasoning === null)
    throw new ArgumentError(`${operation}: reasoning takes { enabled, budget, effort }, got ${describe(reasoning)}`);
  const { enabled, budget, effort } = reasoning;
  if (enabled !== undefined && typeof enabled !== 'boolean')
    throw new ArgumentError(`${operation}: reasoning.enabled must be true or false, got ${describe(enabled)}`);
  if (budget !== undefined && !(Number.isSafeInteger(budget) && budget >= 0))
    throw new ArgumentError(`${operation}: reasoning.budget must be a whole number from 0, got ${String(budget)}`);
  if (effort !== undefined && !['low', 'medium', 'high'].includes(effort))
    throw new ArgumentError(`${operation}: reasoning.effort takes low, medium or high, got ${describe(effort)}`);
}
