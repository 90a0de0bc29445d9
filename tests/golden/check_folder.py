"""Logits that transformers computes with a model folder, as JSON on stdout.

    python tests/golden/check_folder.py FOLDER '[[1, 5, 9], [4, 2, 7]]' [ADAPTER]

The rows of ids have one length. Prints {"model_type", "missing", "unexpected", "logits": [rows][time][vocab]}, fp32 with
eager attention; missing and unexpected are the weights' names that the folder lacks or has too many. With a third
argument a PEFT adapter is put on the model.
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, logging


def main(folder, ids, adapter=None):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation='eager', local_files_only=True, output_loading_info=True)
    if adapter:
        from peft import PeftModel
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor(json.loads(ids)), use_cache=False).logits
    print(json.dumps({'model_type': model.config.model_type, 'missing': sorted(info['missing_keys']),
                      'unexpected': sorted(info['unexpected_keys']), 'logits': logits.tolist()}))


if __name__ == '__main__':
    main(*sys.argv[1:])
