// <trunkline-chat agent="UUID">: a conversation with one agent, on any page. See docs/decisions/widget.md.
// What a model or a server says is set as text, never parsed as HTML.

const TEXT = {
  chat: 'Open the chat',
  close: 'Close the chat',
  ended: 'The earlier conversation has ended. This is a new one.',
  failed: 'Something went wrong. Nothing is lost; try again.',
  lost: 'The connection was lost. Your message is kept; try again.',
  noAgent: 'This chat has no agent: set the attribute "agent".',
  send: 'Send',
  stop: 'Stop the answer',
};
const ICONS = {
  chat: 'M5 5h14v11H10l-5 4z',
  close: 'M6 6l12 12M18 6L6 18',
  send: 'M12 19V6M6 11l6-6 6 6',
  stop: 'M8 8h8v8H8z',
};
const PAUSES_MS = [300, 1000, 2000, 4000, 8000]; // before each attempt to reach the server again
const HEADERS_MS = 30_000; // until a response begins
const SILENCE_MS = 45_000; // three heartbeats missed: the stream is dead, though nobody said so

/** What a person is told. Without a status the server was not reached. */
class Failure extends Error {
  constructor(sentence, status, code) {
    super(sentence || TEXT.failed);
    this.status = status;
    this.isPassing = !status || status === 503;
    this.isSessionGone = status === 401 || status === 404 || code === 'session_ended';
  }
}

/** Server-sent events (WHATWG HTML, 9.2), until the stream ends or breaks. */
async function* eventsOf(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let event = { data: [] };
  try {
    for (;;) {
      const timer = setTimeout(() => reader.cancel(), SILENCE_MS);
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      clearTimeout(timer);
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop(); // unfinished, or ending in a CR whose LF comes with the next chunk
      for (const line of lines) {
        const [, field, text = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line);
        if (field === 'data') event.data.push(text);
        else if (field) event[field] = text;
        else if (!line) {
          if (event.data.length) yield { ...event, data: JSON.parse(event.data.join('\n')) };
          event = { data: [] };
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A session, found again after a reload by what localStorage keeps of it. */
class Conversation {
  constructor(base, agent, signal) {
    Object.assign(this, { base, agent, signal, place: `trunkline:${base}:${agent}` });
    try {
      this.saved = JSON.parse(localStorage.getItem(this.place));
    } catch {} // storage is forbidden: the session lasts as long as the page
  }

  save(saved) {
    this.saved = saved;
    try {
      localStorage.setItem(this.place, JSON.stringify(saved));
    } catch {}
  }

  async openOrStart() {
    if (this.saved) {
      try {
        const session = await this.ask('GET', '');
        if (session.status === 'active') return session;
      } catch (error) {
        if (!error.isSessionGone) throw error;
      }
    }
    const response = await this.request('POST', '', { agent_id: this.agent });
    const session = await response.json();
    this.save({ id: session.session_id, token: session.token, agent: session.agent });
    return session;
  }

  async messages() {
    const all = [];
    let cursor = '';
    do {
      const page = await this.ask('GET', `/messages?limit=100&${cursor}`);
      all.push(...page.data);
      cursor = page.next_cursor && `cursor=${encodeURIComponent(page.next_cursor)}`;
    } while (cursor);
    return all;
  }

  /** The stream of a new turn, or the rest of a known one. The key makes asking twice harmless. */
  stream({ id, lastEvent, key, content }) {
    return id
      ? this.respond('GET', `/turns/${id}/stream`, undefined, lastEvent && { 'Last-Event-ID': lastEvent })
      : this.respond('POST', '/messages', { content, stream: true }, { 'Idempotency-Key': key });
  }

  async ask(...request) {
    return (await this.respond(...request)).json();
  }

  /** A request in the session; a token that ran out is renewed once. */
  async respond(method, path, body, headers) {
    const { id } = this.saved;
    const own = (to, ...more) => this.request(to, ...more, { Authorization: `Bearer ${this.saved.token}`, ...headers });
    try {
      return await own(method, `/${id}${path}`, body);
    } catch (error) {
      if (error.status !== 401) throw error;
      const { token } = await (await own('POST', `/${id}/token`, {})).json();
      this.save({ ...this.saved, token });
      return own(method, `/${id}${path}`, body);
    }
  }

  async request(method, path, body, headers) {
    this.signal.throwIfAborted();
    const control = new AbortController();
    const abort = () => control.abort();
    this.signal.addEventListener('abort', abort);
    const timer = setTimeout(abort, HEADERS_MS);
    let response;
    try {
      response = await fetch(`${this.base}/v1/sessions${path}`, {
        method,
        headers: { 'Content-Type': 'application/json', ...headers },
        body: body && JSON.stringify(body),
        cache: 'no-store',
        credentials: 'omit',
        signal: control.signal,
      });
    } catch {
      this.signal.throwIfAborted();
      throw new Failure(TEXT.lost);
    }
    clearTimeout(timer);
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw new Failure(problem.detail, response.status, problem.code);
  }
}

const element = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const iconButton = (name, onclick) => {
  const [svg, path] = ['svg', 'path'].map((tag) => document.createElementNS('http://www.w3.org/2000/svg', tag));
  svg.setAttribute('viewBox', '0 0 24 24');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return element('button', { type: 'button', className: name, title: TEXT[name], onclick }, svg);
};

/** Black or white, whichever reads better on #rrggbb: by WCAG's luminance they tie at 0.18. */
const readableOn = (color) => {
  const [r, g, b] = color.match(/\w\w/g).map((hex) => (parseInt(hex, 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? '#000' : '#fff';
};

const STYLE = new CSSStyleSheet();
STYLE.replaceSync(`
:host { display: block }
* { box-sizing: border-box }
[hidden] { display: none !important }
.root {
  color-scheme: light dark;
  --bg: light-dark(#fff, #16191d); --fg: light-dark(#1b2127, #e9ecef); --muted: light-dark(#5a6570, #9ca6b0);
  --line: light-dark(#e2e6ea, #2d333a); --soft: light-dark(#f3f5f7, #20252b); --bad: light-dark(#a1261b, #ff9d91);
  --accent: var(--trunkline-accent, light-dark(#0b6650, #5fd3ac));
  --on-accent: var(--trunkline-on-accent, light-dark(#fff, #06231a));
  font: 1rem/1.55 var(--trunkline-font, Inter, system-ui, sans-serif); color: var(--fg); text-align: start;
}
.root[data-theme=light] { color-scheme: light }
.root[data-theme=dark] { color-scheme: dark }
.panel {
  display: flex; flex-direction: column; overflow: hidden; background: var(--bg);
  border: 1px solid var(--line); border-radius: 1rem;
}
.inline .panel { height: var(--trunkline-height, 36rem) }
.inline .close { display: none }
.floating { position: fixed; z-index: 2147483000; bottom: 1.25rem; right: 1.25rem }
.left { left: 1.25rem; right: auto }
.floating .panel {
  width: min(24rem, 100vw - 2.5rem); height: min(38rem, 100dvh - 2.5rem); box-shadow: 0 1rem 3rem #0003;
}
button {
  flex: none; padding: .5rem; font: inherit; color: inherit; background: none; border: 0; border-radius: 2rem;
  cursor: pointer;
}
button:hover { background: var(--soft) }
:focus-visible { outline: 2px solid var(--fg); outline-offset: 2px }
svg { display: block; width: 1.25rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round }
.stop svg { fill: currentColor }
header {
  display: flex; align-items: center; gap: .25rem; padding: .6rem .9rem;
  border-bottom: 1px solid var(--line);
}
h2 { flex: 1; min-width: 0; margin: 0; font-size: 1rem; overflow-wrap: anywhere }
.log {
  flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; padding: 1.1rem;
  display: flex; flex-direction: column; gap: 1.1rem;
}
.log:focus-visible { outline-offset: -3px }
.text { white-space: pre-wrap; overflow-wrap: anywhere }
.text, .meta, footer { unicode-bidi: plaintext }
.user { align-self: flex-end; max-width: 85%; padding: .5rem .9rem; border-radius: 1.1rem }
.meta, footer { color: var(--muted); font-size: .8rem; overflow-wrap: anywhere }
.busy .text::after {
  content: ""; display: inline-block; width: .6em; height: .6em; margin-inline-start: .2em; border-radius: 1em;
  background: var(--accent); animation: breathe 1.1s infinite;
}
@keyframes breathe { 50% { opacity: .25 } }
.asks { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0 1.1rem .9rem }
.asks button, .fresh, .error button { padding: .3rem .8rem; border: 1px solid var(--line); font-size: .875rem }
.asks button { flex: initial; text-align: start }
.error {
  display: flex; align-items: center; gap: .75rem; margin: 0 .9rem .9rem; padding: .6rem .9rem; border: 1px solid;
  border-radius: 1rem; color: var(--bad); font-size: .9rem; overflow-wrap: anywhere;
}
.error button { border-color: currentColor; margin-inline-start: auto }
form {
  display: flex; align-items: end; gap: .4rem; margin: 0 .9rem; padding: .3rem;
  border: 1px solid var(--muted); border-radius: 1.5rem;
}
form:focus-within { outline: 2px solid var(--fg) }
textarea {
  flex: 1; min-width: 0; max-height: 9rem; padding: .35rem .7rem; font: inherit; color: inherit; background: none;
  border: 0; resize: none;
}
textarea:focus { outline: 0 }
textarea::placeholder { color: var(--muted); opacity: 1 }
.user, form button, .launch, form button:hover, .launch:hover { background: var(--accent); color: var(--on-accent) }
form button:disabled { background: var(--soft); color: var(--muted) }
footer { padding: .5rem 1.1rem .7rem }
.launch { padding: 1rem; box-shadow: 0 .4rem 1.4rem #0004 }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
@media (max-width: 30rem) {
  .open { inset: 0 }
  .open .panel { width: 100%; height: 100dvh; border: 0; border-radius: 0 }
}
@media (prefers-reduced-motion) { .busy .text::after { animation: none } }
@media (forced-colors: active) { .user, form button, .launch { border: 1px solid } }
`);

class TrunklineChat extends HTMLElement {
  static observedAttributes = ['agent', 'base', 'position', 'theme'];

  #life = new AbortController(); // ends what runs: at a disconnect, and before beginning anew
  #conversation;
  #config = {}; // the agent's widget_config
  #turn; // the one under way
  #ui;

  connectedCallback() {
    if (!this.#ui) this.#build();
    this.#dress();
    this.#beginIfSeen();
  }

  disconnectedCallback() {
    this.#life.abort();
    this.#conversation = undefined;
  }

  attributeChangedCallback(name) {
    if (!this.isConnected || !this.#ui) return;
    if (name === 'agent' || name === 'base') this.disconnectedCallback();
    this.connectedCallback();
  }

  #build() {
    const input = { rows: 1, maxLength: 8000, placeholder: 'Write a message', ariaLabel: 'Your message', dir: 'auto' };
    const ui = (this.#ui = {
      title: element('h2', { textContent: '…' }),
      fresh: element('button', { className: 'fresh', textContent: 'New conversation', type: 'button' }),
      log: element('div', { className: 'log', role: 'log', ariaLabel: 'Conversation', ariaLive: 'polite', tabIndex: 0 }),
      asks: element('div', { className: 'asks', hidden: true }),
      said: element('span'),
      retry: element('button', { textContent: 'Retry', type: 'button' }),
      input: element('textarea', { ...input, title: 'Enter sends, Shift+Enter starts a new line, Esc stops the answer' }),
      send: iconButton('send', () => this.#submit()),
      stop: iconButton('stop', () => this.#stop()),
      footer: element('footer'),
      voice: element('div', { className: 'unseen', ariaLive: 'polite' }), // speaks answers to screen readers
      launch: iconButton('chat', () => this.#show(true)),
    });
    ui.launch.className = 'launch';
    ui.send.disabled = ui.stop.hidden = true;
    ui.error = element('div', { className: 'error', role: 'alert', hidden: true }, ui.said, ui.retry);
    const header = element('header', {}, ui.title, ui.fresh, iconButton('close', () => this.#show(false)));
    const form = element('form', {}, ui.input, ui.send, ui.stop);
    ui.panel = element('section', { className: 'panel', hidden: true });
    ui.panel.append(header, ui.log, ui.asks, ui.error, form, ui.footer, ui.voice);
    ui.root = element('div', { lang: 'en' }, ui.launch, ui.panel);
    ui.fresh.onclick = () => this.#restart();
    ui.input.oninput = () => this.#grow();
    ui.root.onkeydown = (event) => this.#key(event);
    const shadow = this.attachShadow({ mode: 'open' });
    shadow.adoptedStyleSheets = [STYLE];
    shadow.append(ui.root);
  }

  /** Place and colors: an attribute wins over the agent's settings. */
  #dress() {
    const { root, panel, launch } = this.#ui;
    const position = this.getAttribute('position') || this.#config.position;
    const isInline = position === 'inline';
    if (isInline) panel.hidden = false;
    launch.hidden = !panel.hidden;
    panel.role = isInline ? 'region' : 'dialog';
    root.className = `root ${isInline ? 'inline' : 'floating'} ${position === 'bottom-left' ? 'left' : ''}`;
    root.classList.toggle('open', !isInline && !panel.hidden);
    root.dataset.theme = this.getAttribute('theme') || this.#config.theme;
    const accent = this.#config.accent_color;
    if (accent) {
      root.style.setProperty('--accent', accent);
      root.style.setProperty('--on-accent', readableOn(accent));
    }
  }

  #show(isOpen) {
    const { panel, input, launch } = this.#ui;
    panel.hidden = !isOpen;
    this.#dress();
    (isOpen ? input : launch).focus();
    this.#beginIfSeen();
  }

  #beginIfSeen() {
    if (!this.#ui.panel.hidden && !this.#conversation) this.#try(() => this.#begin());
  }

  /** Do what may fail: a failure is told here, with a way to try again, and never reaches the page. */
  async #try(action) {
    const { error, said, retry, input } = this.#ui;
    error.hidden = true;
    try {
      await action();
    } catch (failure) {
      if (failure.name === 'AbortError') return;
      if (!(failure instanceof Failure)) console.error(failure);
      said.textContent = failure instanceof Failure ? failure.message : TEXT.failed;
      retry.onclick = () => {
        input.focus();
        this.#try(action);
      };
      error.hidden = false;
    }
  }

  /** Open the session, draw what it holds, and follow a turn that still runs. */
  async #begin(isFresh) {
    const { log, voice, send } = this.#ui;
    this.#life.abort();
    this.#life = new AbortController();
    this.#idle();
    send.disabled = true;
    log.replaceChildren();
    voice.replaceChildren();
    const agent = this.getAttribute('agent');
    if (!agent) throw new Failure(TEXT.noAgent);
    const base = new URL(this.getAttribute('base') || '.', import.meta.url).href.replace(/\/$/, '');
    const conversation = (this.#conversation = new Conversation(base, agent, this.#life.signal));
    if (isFresh) conversation.save(null);
    const session = await conversation.openOrStart();
    const messages = session.message_count || session.running_turn_id ? await conversation.messages() : [];
    log.ariaLive = 'off'; // what was said before is no news
    this.#introduce(session, messages);
    messages.forEach((message) => this.#draw(message));
    this.#toBottom();
    setTimeout(() => (log.ariaLive = 'polite'), 500);
    send.disabled = false;
    if (session.running_turn_id) await this.#follow(this.#drawTurn({ id: session.running_turn_id }));
  }

  #introduce(session, messages) {
    const { title, panel, log, asks } = this.#ui;
    const { agent } = this.#conversation.saved;
    this.#config = agent.widget_config || {};
    this.#dress();
    title.textContent = panel.ariaLabel = this.#config.title || agent.name;
    log.lang = agent.language;
    this.#sign(session);
    const content = agent.first_message;
    if (content && messages[0]?.content !== content) this.#draw({ role: 'assistant', content });
    const button = (question) =>
      element('button', { type: 'button', dir: 'auto', textContent: question, onclick: () => this.#say(question) });
    asks.replaceChildren(...agent.suggested_questions.map(button));
    asks.hidden = messages.length || !agent.suggested_questions.length;
  }

  #sign({ session_id, website_domain }) {
    this.#ui.footer.textContent = `Session ${session_id} on ${website_domain}`;
  }

  /** Begin another conversation. That the server hears of the end is a courtesy. */
  #restart() {
    const turn = this.#turn;
    if (this.#conversation?.saved) {
      const old = Object.create(this.#conversation); // for its last words
      old.signal = AbortSignal.timeout(HEADERS_MS);
      old.save = () => {};
      const end = () => old.ask('POST', '/end', {}).catch(() => {});
      turn?.id ? old.ask('POST', `/turns/${turn.id}/cancel`, {}).then(end, end) : end();
    }
    this.#ui.input.focus();
    this.#try(() => this.#begin(true));
  }

  #submit() {
    const { input, send } = this.#ui;
    const content = input.value.trim();
    if (!content || this.#turn || send.disabled) return;
    input.value = '';
    this.#grow();
    this.#say(content);
  }

  #say(content) {
    const { input, asks } = this.#ui;
    asks.hidden = true;
    input.focus();
    const key = crypto.getRandomValues(new Uint32Array(4)).join('-'); // randomUUID is missing where there is no TLS
    const question = this.#draw({ role: 'user', content });
    const turn = this.#drawTurn({ content, key, question });
    this.#toBottom();
    this.#try(() => this.#follow(turn));
  }

  #drawTurn(turn) {
    const bubble = this.#draw({ content: '' });
    bubble.ariaLive = 'off'; // not each token: `voice` is given whole sentences
    this.#ui.voice.replaceChildren();
    return Object.assign(turn, { bubble, text: bubble.firstChild.appendChild(new Text()), spoken: 0 });
  }

  /** Read a turn to its end; where the session is over, in a new one. */
  async #follow(turn) {
    const { send, stop } = this.#ui;
    this.#turn = turn;
    turn.wantsStop = false;
    send.hidden = true;
    stop.hidden = false;
    turn.bubble.classList.add('busy');
    try {
      await this.#read(turn).catch(async (failure) => {
        if (!failure.isSessionGone || !turn.content) throw failure;
        this.#conversation.save(null);
        this.#sign(await this.#conversation.openOrStart());
        turn.question.before(element('div', { className: 'meta', textContent: TEXT.ended }));
        turn.id = undefined;
        await this.#read(turn);
      });
    } finally {
      if (this.#turn === turn) this.#idle();
    }
  }

  /** The same, however often the connection is cut. */
  async #read(turn) {
    const conversation = this.#conversation;
    for (let failures = 0; ; failures++) {
      let failure = new Failure(TEXT.lost);
      try {
        for await (const event of eventsOf(await conversation.stream(turn))) {
          failures = 0;
          if (this.#take(turn, event)) return;
        }
      } catch (error) {
        if (!error.isPassing) throw error;
        failure = error;
      }
      if (failures === PAUSES_MS.length) throw failure;
      await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[failures]));
    }
  }

  /** Take in one event of a turn; true at the last. */
  #take(turn, { id, event, data }) {
    const { log } = this.#ui;
    const isAtBottom = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    turn.lastEvent = id;
    if (event === 'turn') {
      turn.id = data.turn_id;
      turn.text.data = '';
      turn.spoken = 0;
      if (turn.wantsStop) this.#stop();
    } else if (event === 'delta') {
      turn.text.appendData(data.text);
      this.#speak(turn);
    } else if (event === 'done') {
      const answer = data.message || { content: '', status: 'interrupted' }; // stopped before the first word
      turn.text.data = answer.content;
      this.#drawFacts(turn.bubble, answer);
      this.#speak(turn, true);
    } else if (event === 'error') {
      turn.id = turn.lastEvent = undefined; // to try again is to ask again, with the same key
      throw new Failure(data.detail, data.status || 500, data.code);
    }
    if (isAtBottom) this.#toBottom();
    return event === 'done';
  }

  #stop() {
    const turn = this.#turn;
    if (!turn) return;
    turn.wantsStop = true; // heard once the turn has an id
    this.#ui.input.focus();
    if (turn.id) this.#try(() => this.#conversation.ask('POST', `/turns/${turn.id}/cancel`, {}));
  }

  #idle() {
    const { send, stop, input } = this.#ui;
    this.#turn?.bubble.classList.remove('busy');
    this.#turn = undefined;
    if (this.shadowRoot.activeElement === stop) input.focus();
    stop.hidden = true;
    send.hidden = false;
  }

  #draw(message) {
    const isUser = message.role === 'user';
    const bubble = element('div', { className: isUser ? 'user' : 'assistant' });
    bubble.append(element('div', { className: 'text', textContent: message.content }));
    if (isUser) bubble.prepend(element('span', { className: 'unseen', textContent: 'You said: ' }));
    else this.#drawFacts(bubble, message);
    this.#ui.log.append(bubble);
    return bubble;
  }

  #drawFacts(bubble, { status, tokens_used, latency_ms, model_used }) {
    const parts = [
      status === 'interrupted' && 'Stopped',
      tokens_used != null && `${tokens_used} tokens`,
      latency_ms != null && (latency_ms < 1000 ? `${latency_ms} ms` : `${(latency_ms / 1000).toFixed(1)} s`),
      model_used,
    ].filter(Boolean);
    if (parts.length) bubble.append(element('div', { className: 'meta', textContent: parts.join(' · ') }));
  }

  /** Tell screen readers the sentences that have become whole. */
  #speak(turn, isLast) {
    const { voice } = this.#ui;
    const fresh = turn.text.data.slice(turn.spoken);
    const end = isLast ? fresh.length : fresh.search(/[.!?。！？؟\n]\s[^.!?。！？؟\n]*$/) + 1;
    turn.spoken += end;
    if (end) voice.append(element('p', { textContent: fresh.slice(0, end) }));
    if (isLast) setTimeout(() => this.#turn || voice.replaceChildren(), 5000); // not to be found twice
  }

  #key(event) {
    const { input, root } = this.#ui;
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey && event.target === input) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === 'Escape') {
      if (this.#turn) this.#stop();
      else if (root.classList.contains('open')) this.#show(false);
    }
  }

  #grow() {
    const { input } = this.#ui;
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight}px`;
  }

  #toBottom() {
    const { log } = this.#ui;
    log.scrollTop = log.scrollHeight;
  }
}

customElements.get('trunkline-chat') || customElements.define('trunkline-chat', TrunklineChat);
