import { z } from 'zod';
import { countBody, messagesBody } from './anthropic/messages.ts';
import { chatBody } from './openai/chat.ts';
import { completionBody } from './openai/completions.ts';
import { embeddingBody } from './openai/embeddings.ts';
import { responseBody } from './openai/responses.ts';
import { rerankBody } from './rerank.ts';
import { detokenizeBody, tokenizeBody } from './tokenize.ts';

const posts: Readonly<Record<string, readonly [string, z.ZodType]>> = {
  '/v1/chat/completions': ['Answers a conversation', chatBody],
  '/v1/completions': ['Goes on with a text', completionBody],
  '/v1/responses': ['Answers, as the Responses API has it', responseBody],
  '/v1/messages': ['Answers a conversation, as Anthropic has it', messagesBody],
  '/v1/messages/count_tokens': ['Counts the tokens of a conversation', countBody],
  '/v1/embeddings': ['Vectors of texts', embeddingBody],
  '/v1/rerank': ['Documents by how well they answer', rerankBody],
  '/tokenize': ['Tokens of a text or a conversation', tokenizeBody],
  '/detokenize': ['Text of tokens', detokenizeBody],
};
const gets: Readonly<Record<string, string>> = {
  '/v1/models': 'The models of this server',
  '/v1/models/{id}': 'One of them',
  '/health': 'Whether the server runs',
  '/ready': 'Whether its models can answer',
  '/metrics': 'Figures for Prometheus',
};

/** What the server takes, as an OpenAPI 3.1 document. */
export function openApi(): object {
  const responses = {
    200: { description: 'OK' },
    '4XX': { description: 'A fault of the request, which names the field' },
  };
  const post = ([path, [summary, schema]]: (typeof entries)[number]) => {
    const body = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
    const requestBody = { required: true, content: { 'application/json': { schema: body } } };
    return [path, { post: { summary, requestBody, responses } }] as const;
  };
  const entries = Object.entries(posts);
  return {
    openapi: '3.1.0',
    info: { title: 'Heddle', version: '1' },
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
    paths: Object.fromEntries([
      ...entries.map(post),
      ...Object.entries(gets).map(([path, summary]) => [path, { get: { summary, responses } }] as const),
    ]),
  };
}
