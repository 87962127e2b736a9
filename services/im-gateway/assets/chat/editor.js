import { once } from './api.js';
import { button, el, toast } from './dom.js';
import { changed, currentLog, drawNow, learnFrom } from './state.js';
import { edited } from './sync.js';

// Editing a message where it stands. Its field survives whatever else happens to the message meanwhile.
let editing = null; // { id, log, node, field }

export const editorOf = m => (editing?.id === m.id && !m.deleted && !m.hidden ? editing.node : null);

export function fit(field) {
  field.style.height = 'auto';
  field.style.height = field.scrollHeight + 2 + 'px';
}
export function startEdit(m) {
  const field = el('textarea', { value: m.content, rows: 1, maxLength: 5000, dir: 'auto', 'aria-label': 'Edit the message. Enter saves, Escape cancels' });
  const node = el('form', { class: 'editor', onsubmit: e => { e.preventDefault(); save(); } },
    field, el('div', {}, button('Cancel', { onclick: endEdit }), el('button', { class: 'primary' }, 'Save')));
  field.addEventListener('input', () => fit(field));
  field.addEventListener('keydown', editorKey);
  editing = { id: m.id, log: currentLog(), node, field, before: m.content };
  drawNow();
  fit(field);
  field.focus();
  field.setSelectionRange(m.content.length, m.content.length);
}
function editorKey(e) {
  if (e.isComposing || e.keyCode === 229) return;
  if (e.key === 'Escape') { e.preventDefault(); e.stopPropagation(); endEdit(); }
  if (e.key === 'Enter' && !e.shiftKey) { e.preventDefault(); save(); }
}
export function endEdit() {
  if (!editing) return;
  const { id } = editing;
  editing = null;
  drawNow();
  document.querySelector(`article[data-id="${CSS.escape(id)}"]`)?.focus();
}
async function save() {
  const { id, log, field, before } = editing, content = field.value.trim();
  if (!content) return toast('A message needs a text. It can be taken back instead.');
  if (content === before) return endEdit();
  field.readOnly = true;
  try {
    const m = await once('PUT', `/conversations/${encodeURIComponent(log.id)}/messages/${id}`, { content });
    edited(log, m);
    if (editing?.id === id) endEdit();
  } catch (e) {
    const m = log.find(id);
    if (m) learnFrom(e, m);
    toast(e);
  } finally {
    field.readOnly = false;
    changed();
  }
}
