"""Golden chat renderings by transformers, with the clock at 26 July 2024, 12:34:56.

    python tests/golden/chat-templates.py     -> chat-templates.json

Needs: pip install tokenizers transformers jinja2
"""

import datetime
import json
from importlib.metadata import version
from pathlib import Path

import transformers.utils.chat_template_utils as chat_template_utils
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 12, 34, 56)


chat_template_utils.datetime = Frozen

system = lambda text: {"role": "system", "content": text}
user = lambda text: {"role": "user", "content": text}
assistant = lambda text: {"role": "assistant", "content": text}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather", "description": "Weather of a city, in °C",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}}, "required": ["city"]},
    },
}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}}]}
RESULT = {"role": "tool", "content": "21", "tool_call_id": "call12345", "name": "get_weather"}

CONVERSATIONS = {
    "one question": [user("What is the capital of France?")],
    "system": [system("Be brief."), user("Hi")],
    "multi-turn": [system("  Be kind.  "), user("Hi"), assistant("Hello! How can I help?"), user("Tell me a joke.\n\nA short one.")],
    "answered": [user("2 + 2?"), assistant("4")],
    "long": [message for i in range(4) for message in (user(f"question {i}"), assistant(f"answer  {i}"))],
    "empty content": [system(""), user(""), assistant(""), user(" ")],
    "unicode": [user("日本語 😀 e\u0301 \u00a0 العربية"), assistant("👨‍👩‍👧‍👦 naïve"), user("\u200b\ue000\ufeffx")],
    "white space": [user("\n\n  Hello \t\n"), assistant("  \n Yes \n\n")],
    "template syntax in contents": [user("{{ 7*7 }} {% raw %} {# c #} ' \" \\ \\n <b>&amp;</b>")],
    "two users": [user("a"), user("b")],
    "assistant first": [assistant("I begin."), user("Why?")],
    "system only": [system("Just rules.")],
    "system in the middle": [user("a"), system("b"), user("c")],
    "tool call": [user("Weather in Zürich?"), CALL, RESULT, assistant("21 °C."), user("Thanks")],
}

tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(models.BPE(vocab={"<s>": 0, "</s>": 1}, merges=[])), bos_token="<s>", eos_token="</s>"
)
rows = []
for path in sorted((HERE / "chat-templates").glob("*.jinja")):
    template = path.read_text()
    for name, messages in CONVERSATIONS.items():
        for tools in [None, [WEATHER]] if "tool" in name or name == "system" else [None]:
            for add_generation_prompt in (False, True):
                row = {"template": path.name, "conversation": name, "tools": bool(tools), "addGenerationPrompt": add_generation_prompt}
                try:
                    row["text"] = tokenizer.apply_chat_template(
                        messages, tools=tools, chat_template=template, add_generation_prompt=add_generation_prompt, tokenize=False
                    )
                except Exception as error:
                    row["error"] = f"{type(error).__name__}: {error}"
                rows.append(row)

(HERE / "chat-templates.json").write_text(
    json.dumps({
        "command": "python tests/golden/chat-templates.py",
        "versions": {p: version(p) for p in ("transformers", "jinja2", "tokenizers")},
        "now": [2024, 7, 26, 12, 34, 56], "tools": [WEATHER], "conversations": CONVERSATIONS, "rows": rows,
    }, ensure_ascii=True, indent=1) + "\n"
)
print(len(rows), "rows,", sum("error" in r for r in rows), "errors")
