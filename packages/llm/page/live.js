// What the server is doing, asked once a second while somebody looks.
import { figures } from './client.js';

const bytes = (count) =>
  count >= 2 ** 30 ? `${(count / 2 ** 30).toFixed(2)} GiB` : `${(count / 2 ** 20).toFixed(0)} MiB`;
const percent = (part) => `${(100 * part).toFixed(0)} %`;

/** Shows figures in a list until it is told to end. @returns {() => void} */
export function showLive(list, keyOf, onFault) {
  let before;
  let ended = false;
  let timer;
  const once = async () => {
    try {
      const now = { at: performance.now(), all: await figures(keyOf()) };
      if (!ended) draw(list, now, before);
      before = now;
    } catch (error) {
      onFault(error);
    }
    if (!ended) timer = setTimeout(once, 1000);
  };
  void once();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

function draw(list, now, before) {
  const sum = (name, from = now) =>
    from.all.reduce((total, each) => (each.name === name ? total + each.value : total), 0);
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const rate = (name) => (before ? Math.max(0, (sum(name) - sum(name, before)) / seconds) : 0);
  const prompt = sum('vllm:prompt_tokens_total');
  const tiers = now.all.filter(({ name }) => name === 'heddle:cache_tier_tokens');
  const shown = [
    ['Tokens per second', rate('vllm:generation_tokens_total').toFixed(1)],
    ['Prompt tokens per second', rate('vllm:prompt_tokens_total').toFixed(0)],
    ['In the batch', sum('vllm:num_requests_running')],
    ['Waiting', sum('vllm:num_requests_waiting')],
    ['Prompts from the cache', prompt > 0 ? percent(sum('vllm:prefix_cache_hits_total') / prompt) : '–'],
    ...now.all
      .filter(({ name }) => name === 'vllm:kv_cache_usage_perc')
      .map(({ labels, value }) => [`Cache of ${labels.model_name}`, percent(value)]),
    ...tiers.map(({ labels, value }) => [`Tokens ${labels.tier}`, value.toLocaleString('en')]),
    ['Device memory', bytes(sum('heddle:device_memory_bytes'))],
  ];
  list.replaceChildren(
    ...shown.map(([name, value]) => {
      const pair = document.createElement('div');
      const [term, data] = [document.createElement('dt'), document.createElement('dd')];
      term.textContent = name;
      data.textContent = String(value);
      pair.append(term, data);
      return pair;
    }),
  );
}
