// The server's API as the page uses it. Every failure is an Error with the server's own sentence.

let key = sessionStorage.getItem('longspan.key') || '';

export function setKey(value) {
  key = value;
  sessionStorage.setItem('longspan.key', value);
}

export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function call(path, options = {}) {
  const headers = {...options.headers};
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(path, {...options, headers});
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message || message;
  } catch { /* not the server's own error */ }
  throw new ServerError(message, response.status);
}

const post = (path, value, signal) => call(path, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(value), signal});

export async function model() {
  const {data} = await (await call('/v1/models')).json();
  return {name: data[0].id, window: data[0].max_model_len};
}

/// {name, text, tokens, remarks}
export async function readDocument(file) {
  const form = new FormData();
  form.append('file', file, file.name);
  return (await call('/documents', {method: 'POST', body: form})).json();
}

export async function countTokens(messages, signal) {
  return (await (await post('/tokenize', {messages}, signal)).json()).count;
}

/// The values of the `data:` lines of server-sent events as they come.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    rest += value;
    for (let end; (end = rest.indexOf('\n\n')) >= 0; rest = rest.slice(end + 2))
      for (const line of rest.slice(0, end).split('\n'))
        if (line.startsWith('data: ')) yield line.slice(6);
  }
}

/// Yields {progress: {place, processed, cache}}, {text}, {finish}, {attention: [{share, text}]}, {usage, timings}; ends
/// whole or with an Error.
export async function* chat(messages, signal) {
  const response = await post('/v1/chat/completions', {messages, stream: true, stream_options: {include_usage: true}, return_progress: true, attention: true, temperature: 0}, signal);
  let whole = false;
  for await (const data of events(response)) {
    if (data === '[DONE]') {
      whole = true;
      break;
    }
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ServerError(chunk.error.message, 500);
    if (chunk.prompt_progress) yield {progress: chunk.prompt_progress};
    const choice = chunk.choices && chunk.choices[0];
    if (choice && choice.delta && choice.delta.content) yield {text: choice.delta.content};
    if (choice && choice.finish_reason) yield {finish: choice.finish_reason};
    if (chunk.attention) yield {attention: chunk.attention};
    if (chunk.usage) yield {usage: chunk.usage, timings: chunk.timings};
  }
  if (!whole) throw new ServerError('', 0);
}
