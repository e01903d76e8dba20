import { checkArguments } from '@heddle/tensor';
import {
  anyFormat,
  choices,
  formatSequence,
  jsonSchema,
  type OutputFormat,
  regex,
  repeatedFormat,
  structuralTags,
  textUntil,
} from '../../grammar/output-format.ts';
import { type AnswerFormat, type AnswerPlan, parametersOf, type TemplateFacts, type Tool } from './answer-format.ts';
import { TaggedReader } from './tagged-reader.ts';

/** What stands before and after a part. */
export interface Tags {
  readonly begin: string;
  readonly end: string;
}

/** A call is `begin`, the name, `middle`, the arguments in JSON, `end`. */
export interface CallTags extends Tags {
  readonly middle: string;
  /** What stands around all calls of an answer, and between two. */
  readonly around?: Tags & { readonly between: string };
}

/** What a way to answer by tags consists of. */
export interface TaggedAnswers {
  readonly name: string;
  speaks(model: TemplateFacts): boolean;
  readonly call: CallTags;
  readonly reasoning?: Tags;
  /** What tells a model how to write calls where its template does not; by default an example of the tags. */
  readonly howToCall?: string;
}

const whitespace = regex('[ \\n]{0,4}');
const maxCalls = 64;

/** Answers in which tags stand around reasoning and around calls whose arguments are JSON. Everything else is text. */
export function taggedAnswers(tags: TaggedAnswers): AnswerFormat {
  checkArguments('taggedAnswers', 'object', { tags });
  checkArguments('taggedAnswers', 'text', { 'tags.name': tags.name });
  checkArguments('taggedAnswers', 'object', { 'tags.call': tags.call });
  const { name, speaks, call, reasoning, howToCall } = tags;
  const { around } = call;
  const own = [reasoning?.begin, reasoning?.end, call.begin, call.end, around?.begin, around?.end];
  // tags may be special tokens, alone or several in a row
  const tokens = Object.fromEntries(
    own.flatMap((each) => each?.match(/<[^<>\s]+>/g) ?? []).map((token) => [token, token]),
  );
  const begun = (around?.begin ?? '') + call.begin;
  const calls = (tools: readonly Tool[]) =>
    anyFormat(
      ...tools.map((tool) =>
        formatSequence(
          choices([call.begin + tool.name + call.middle]),
          jsonSchema(parametersOf(tool), { whitespace: false }),
          choices([call.end]),
        ),
      ),
    );
  const only = ({ tools, severalCalls }: AnswerPlan): OutputFormat => {
    const several = repeatedFormat(calls(tools), {
      min: 1,
      max: severalCalls ? maxCalls : 1,
      between: around?.between ?? '\n',
    });
    return around ? formatSequence(choices([around.begin]), several, choices([around.end])) : several;
  };
  const mixed = ({ tools, severalCalls }: AnswerPlan): OutputFormat =>
    structuralTags({
      triggers: [begun],
      stopAfterFirst: !severalCalls,
      tags: around
        ? [
            {
              begin: begun,
              // the first call's own beginning is the trigger's end
              content: formatSequence(
                anyFormat(...tools.map((tool) => rest(tool, call))),
                repeatedFormat(formatSequence(choices([around.between]), calls(tools)), {
                  max: severalCalls ? maxCalls : 0,
                }),
              ),
              end: around.end,
            },
          ]
        : tools.map((tool) => ({
            begin: `${call.begin}${tool.name}${call.middle}`,
            content: jsonSchema(parametersOf(tool), { whitespace: false }),
            end: call.end,
          })),
    });
  const body = (plan: AnswerPlan): OutputFormat | undefined => {
    const { tools, mustCall, format } = plan;
    if (tools.length === 0) return format;
    if (mustCall) return only(plan);
    return format ? anyFormat(format, only(plan)) : mixed(plan);
  };
  return {
    name,
    tokens,
    speaks,
    reasons: ({ template, hasToken }) =>
      reasoning !== undefined && (template.includes(reasoning.begin) || hasToken(reasoning.begin)),
    opensReasoning: (prompt) => reasoning !== undefined && prompt.trimEnd().endsWith(reasoning.begin),
    endOfReasoning: reasoning ? `\n${reasoning.end}\n\n` : '',
    grammar(plan) {
      const answer = body(plan);
      if (!answer || !reasoning || !(plan.mayReason || plan.reasoningIsOpen)) return answer;
      const free = plan.tools.length > 0 && !plan.mustCall && !plan.format;
      const then = [textUntil(reasoning.end), ...(free ? [] : [whitespace]), answer];
      if (plan.reasoningIsOpen) return formatSequence(...then);
      return anyFormat(answer, formatSequence(whitespace, choices([reasoning.begin]), ...then));
    },
    reader: (plan) => new TaggedReader({ reasoning, call }, plan),
    describeTools: (tools) =>
      [
        'You may call these functions, given as JSON, to help with the task:',
        ...tools.map((tool) => JSON.stringify({ ...tool, parameters: parametersOf(tool) })),
        howToCall ??
          `To call one, write exactly:\n${around?.begin ?? ''}${call.begin}FUNCTION NAME${call.middle}{ARGUMENTS}${call.end}${around?.end ?? ''}`,
      ].join('\n'),
    writeCalls: (all) => {
      const texts = all.map((each) => call.begin + each.name + call.middle + each.arguments + call.end);
      return (around?.begin ?? '') + texts.join(around?.between ?? '\n') + (around?.end ?? '');
    },
  };
}

/** A call without what begins it. */
function rest(tool: Tool, { middle, end }: CallTags): OutputFormat {
  return formatSequence(
    choices([tool.name + middle]),
    jsonSchema(parametersOf(tool), { whitespace: false }),
    choices([end]),
  );
}
