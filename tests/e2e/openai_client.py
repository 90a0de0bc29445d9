"""The official client for Python, driven by openai-python.test.ts: one function a call, its result as JSON."""
import asyncio
import os
import threading

import openai
from line_server import serve
from pydantic import BaseModel

MESSAGES = [{'role': 'user', 'content': 'What is the capital of France?'}]
TOOLS = [{'type': 'function', 'function': {'name': 'look', 'parameters': {'type': 'object', 'properties': {}}}}]
OWN = {'base_url': os.environ['GATEWAY_URL'] + '/v1', 'api_key': os.environ['GATEWAY_KEY'], 'max_retries': 0}
client = openai.OpenAI(**OWN)
asynchronous = openai.AsyncOpenAI(**OWN)
# Goes on after a call, so that it is not its end that closes connections.
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


class City(BaseModel):
    name: str
    people: int


def chat(model='m', **more):
    answer = client.chat.completions.create(model=model, messages=MESSAGES, **more)
    return {'id': answer.id, 'record': answer._request_id, **answer.choices[0].message.model_dump()}


def chat_stream(model='m', **more):
    stream = client.chat.completions.create(
        model=model, messages=MESSAGES, stream=True, stream_options={'include_usage': True}, **more
    )
    chunks = list(stream)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    return {
        'id': chunks[0].id,
        'text': ''.join(delta.content or '' for delta in deltas),
        'tool': calls[0].function.name,
        'arguments': ''.join(call.function.arguments for call in calls),
        'tokens': chunks[-1].usage.total_tokens,
    }


def tools(pieces):
    return chat('pieces', tools=TOOLS, tool_choice='auto', extra_body={'pieces': pieces})


def structured(pieces):
    answer = client.chat.completions.parse(
        model='pieces', messages=MESSAGES, response_format=City, extra_body={'pieces': pieces}
    )
    return {'parsed': answer.choices[0].message.parsed.model_dump()}


def completions():
    whole = client.completions.create(model='m', prompt='x')
    stream = client.completions.create(model='m', prompt='x', stream=True)
    return {'texts': [whole.choices[0].text, ''.join(chunk.choices[0].text for chunk in stream)]}


def responses():
    whole = client.responses.create(model='m', input='x')
    events = list(client.responses.create(model='m', input='x', stream=True))
    deltas = [event.delta for event in events if event.type == 'response.output_text.delta']
    return {'texts': [whole.output_text, ''.join(deltas), events[-1].response.output_text]}


def embeddings():
    # Without encoding_format the client asks for base64, and reads lists of numbers too.
    return {'embedding': client.embeddings.create(model='m', input='x').data[0].embedding}


def models():
    return {'ids': [model.id for model in client.models.list()], 'one': client.models.retrieve('org/name').id}


def failure(model='m', key=None, path=None, retries=0, timeout=10, stream=False):
    """The exception of a call that must not succeed."""
    own = client.with_options(api_key=key or OWN['api_key'], max_retries=retries, timeout=timeout)
    try:
        if path is None:
            answer = own.chat.completions.create(model=model, messages=MESSAGES, stream=stream)
            text = ''.join(chunk.choices[0].delta.content or '' for chunk in answer) if stream else answer.id
        else:
            text = own.get(path, cast_to=object)
    except openai.APIError as error:
        return {'name': type(error).__name__, 'status': getattr(error, 'status_code', None), 'code': error.code}
    return {'name': None, 'text': text}


def retried():
    return {'id': client.with_options(max_retries=1).chat.completions.create(model='m', messages=MESSAGES).id}


def leave_stream(model):
    """Reads the first words, and closes the stream."""
    text = ''
    with client.chat.completions.create(model=model, messages=MESSAGES, stream=True) as stream:
        for chunk in stream:
            text += chunk.choices[0].delta.content or ''
            if text.endswith('of '):
                return {'id': chunk.id, 'text': text}


def cancel_async_stream(model):
    """The same of the asynchronous client, whose task is cancelled while it waits for the next word."""

    async def run():
        begun = asyncio.get_running_loop().create_future()

        async def read():
            async for chunk in await asynchronous.chat.completions.create(model=model, messages=MESSAGES, stream=True):
                if not begun.done():
                    begun.set_result(chunk.id)

        task = asyncio.create_task(read())
        answer = await begun
        task.cancel()
        await asyncio.wait([task])
        return {'id': answer}

    return asyncio.run_coroutine_threadsafe(run(), loop).result()


serve(
    chat, chat_stream, tools, structured, completions, responses, embeddings, models, failure, retried, leave_stream,
    cancel_async_stream,
)
