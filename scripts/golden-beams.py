"""What beam search of transformers finds with the model of this repository, for tests: the best three of 4 beams.
pip install torch transformers, then from the root: python3 scripts/golden-beams.py && npx biome format --write test-support/golden"""
import json
import torch
from transformers import AutoModelForCausalLM, __version__

FOLDER, FILE = 'examples/models/prose4m', 'test-support/golden/prose4m-beams.json'
BEAMS, COUNT, NEW_TOKENS = 4, 3, 12

# prompt, end tokens, length penalty, early stopping: where ends come early, late and never, and what the rules change
ends = [2, 40, 264]
asked = [([12, 300, 45], ends, penalty, early) for penalty in (1.0, 0.0, 2.0, -1.0) for early in (True, False, 'never')]
asked += [([12, 300, 45], [2], 1.0, True), ([100], ends, 1.0, True), ([100], ends, 0.0, False)]
# of its continuations several have nearly the same score
asked += [([5, 17, 90, 33, 4, 250], ends, 1.0, 'never')]

model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
cases = []
for prompt, stop_tokens, penalty, early in asked:
    with torch.no_grad():
        found = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False,
            num_beams=BEAMS, num_return_sequences=COUNT, max_new_tokens=NEW_TOKENS, length_penalty=penalty,
            early_stopping=early, eos_token_id=stop_tokens, pad_token_id=0, return_dict_in_generate=True, output_scores=True)
    sequences = []
    for row, score in zip(found.sequences[:, len(prompt):].tolist(), found.sequences_scores.tolist()):
        end = next((i + 1 for i, token in enumerate(row) if token in stop_tokens), NEW_TOKENS)
        sequences.append({'tokens': row[:end], 'score': round(score, 6)})
    cases.append({'prompt': prompt, 'stopTokens': stop_tokens, 'lengthPenalty': penalty, 'earlyStopping': early,
                  'sequences': sequences})
lines = ',\n'.join(json.dumps(case, separators=(',', ':')) for case in cases)
head = json.dumps({'transformers': __version__, 'beams': BEAMS, 'maxTokens': NEW_TOKENS})
with open(FILE, 'w') as file:
    file.write(f'{head[:-1]}, "cases": [\n{lines}\n]}}\n')
